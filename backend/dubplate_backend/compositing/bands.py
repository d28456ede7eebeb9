# SPDX-License-Identifier: Apache-2.0
"""A picture in frequency bands, and what of each band is noise.

Bands are differences of Gaussians, about an octave each (Burt and Adelson 1983, "The Laplacian Pyramid", without its
decimation).  Noise is measured where the picture itself is flat: small patches are ranked by the slope of the smoothed
picture, which noise hardly touches, so that choosing them does not bias what is measured in them; a patch that is
still far above the others holds texture and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

PATCH_PX = 8
FLAT_SHARE = 0.25  # of the patches: the flatter ones are measured, cheeks and forehead and no brows
TEXTURED = 3.0  # times the median energy: more than noise alone gives a patch
FEWEST_PATCHES = 12  # fewer say nothing
SLOPE_PX = 4.0  # sigma under which slopes are taken
NARROW_PX = 2.0  # sigma: wider blurs are made on a smaller picture, on which they are still as wide as this
LUMA = np.array((0.2126, 0.7152, 0.0722), np.float32)  # ITU-R BT.709


def split(picture: np.ndarray, sigmas: Sequence[float]) -> list[np.ndarray]:
    """The bands of a picture, finest first, as many as sigmas.  picture: [h, w] or [h, w, C] float.  sigmas: px,
    rising.  The picture less the sum of its bands is its blur by the last of them.
    """
    found, finer = [], picture
    for sigma in sigmas:
        coarser = blurred(picture, sigma)
        found.append(finer - coarser)
        finer = coarser
    return found


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur.  picture: [h, w] or [h, w, C] float.  sigma: px.

    A wide one leaves nothing that a smaller picture would not hold, and costs far less there.  Each halving and each
    doubling is a binomial filter of variance 1 px^2 of the finer picture, which is taken off the blur.
    """
    variance, sizes = sigma**2, []
    while variance - 2.0 >= (2.0 * NARROW_PX) ** 2:
        variance = (variance - 2.0) / 4.0
        sizes.append(picture.shape[1::-1])
        picture = cv2.pyrDown(picture)
    picture = cv2.GaussianBlur(picture, (0, 0), np.sqrt(variance), borderType=cv2.BORDER_REFLECT_101)
    for size in reversed(sizes):
        picture = cv2.pyrUp(picture, dstsize=size)
    return picture


def flat_patches(picture: np.ndarray, region: np.ndarray) -> np.ndarray:
    """The flatter patches of a region.  picture: [h, w, 3].  region: [h, w] bool.

    Returns [N, 2] patch rows and columns; empty where there are fewer than FEWEST_PATCHES.
    """
    whole = patch_means(region.astype(np.float32)) > 1.0 - 0.5 / PATCH_PX**2  # [h / P, w / P]
    places = np.argwhere(whole)
    kept = max(FEWEST_PATCHES, round(FLAT_SHARE * len(places)))
    if len(places) < kept:
        return places[:0]
    smooth = blurred(picture @ LUMA, SLOPE_PX)
    slope = np.square(np.gradient(smooth, axis=0)) + np.square(np.gradient(smooth, axis=1))
    steepness = patch_means(slope.astype(np.float32))[tuple(places.T)]
    return places[np.argsort(steepness, kind="stable")[:kept]]


def noise_covariance(band: np.ndarray, patches: np.ndarray) -> np.ndarray:
    """How a band's noise varies and covaries over channels: [C, C] float64.  band: [h, w, C].  patches: [N, 2]."""
    blocks = _blocks(band).transpose(0, 2, 1, 3, 4)  # [h / P, w / P, P, P, C]
    pixels = blocks[tuple(patches.T)].reshape(len(patches), -1, band.shape[2]).astype(np.float64)  # [N, P P, C]
    each = np.einsum("npc,npd->ncd", pixels, pixels) / PATCH_PX**2
    energy = np.trace(each, axis1=1, axis2=2)
    return np.asarray(each[energy <= TEXTURED * np.median(energy)].mean(axis=0))


def patch_means(values: np.ndarray) -> np.ndarray:
    """Means of [h, w] over whole patches: [h // PATCH_PX, w // PATCH_PX]."""
    return np.asarray(_blocks(values).mean(axis=(1, 3)))


def _blocks(values: np.ndarray) -> np.ndarray:
    """Whole patches of [h, w, ...]: [h // P, P, w // P, P, ...]."""
    rows, columns = values.shape[0] // PATCH_PX, values.shape[1] // PATCH_PX
    whole = values[: rows * PATCH_PX, : columns * PATCH_PX]
    return whole.reshape(rows, PATCH_PX, columns, PATCH_PX, *values.shape[2:])
