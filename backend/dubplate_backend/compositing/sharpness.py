# SPDX-License-Identifier: Apache-2.0
"""The plate's sharpness, brought back to the drawn face.

How sharp a picture is shows in how much of its detail is fine: the ratio of a fine band's energy to a coarse one's,
which does not ask how strong the detail is.  The drawn mouth is compared with the filmed one that it replaces, whose
lips, teeth and beard lay in the same focus.  Noise is taken out of either share first, and where the drawing shows no
more than noise it is left alone: sharpening flat skin would only make its noise stronger.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dubplate_backend.compositing.bands import (
    FEWEST_PATCHES,
    LUMA,
    PATCH_PX,
    blurred,
    flat_patches,
    noise_covariance,
    split,
)

# Sigmas over a crop pixel's size on the plate: about an octave above a quarter of the crop's pixel rate, one below it,
# and one more as the measure, which any renderer of that size draws faithfully.
BANDS_CROP_PX = (0.75, 1.5, 3.0)
MOST = 2.0  # times: beyond that, what is strengthened is not there
NEIGHBOURHOOD = 2.0  # band sigmas over which detail and noise are told apart
LEAST_CONTRAST = 1.0 / 255.0  # of the coarse band: a mouth without any says nothing


@dataclass(frozen=True)
class Sharpness:
    """Energy of each band over the coarsest one's, finest first; their square roots compare as contrasts.

    noise: energy of each band on flat skin.
    """

    ratios: tuple[float, ...]
    noise: tuple[float, ...]


def measure_sharpness(picture: np.ndarray, region: np.ndarray, flat: np.ndarray, crop_px: float) -> Sharpness | None:
    """How fine the detail of a region is; None where there is none.

    picture: [h, w, 3] network values.  region: [h, w] bool.  flat: [h, w] bool, where its noise is measured.
    crop_px: size of a crop pixel on the plate.
    """
    if region.sum() < FEWEST_PATCHES * PATCH_PX**2:
        return None
    bands = [band[..., None] for band in split(picture @ LUMA, band_sigmas(crop_px))]
    patches = flat_patches(picture, flat)
    noise = [float(noise_covariance(band, patches)[0, 0]) if len(patches) else 0.0 for band in bands]
    energies = [max(float(np.square(b[region]).mean()) - n, 0.0) for b, n in zip(bands, noise, strict=True)]
    if energies[-1] < LEAST_CONTRAST**2:
        return None
    return Sharpness(tuple(energy / energies[-1] for energy in energies), tuple(noise))


def sharpen(picture: np.ndarray, plate: Sharpness, drawn: Sharpness, crop_px: float, strength: float) -> np.ndarray:
    """The drawn picture with its fine bands brought to the plate's share; softened where it was sharper.

    picture: [h, w, 3].   strength: 0 leaves it, 1 matches.   Returns float32 [h, w, 3].
    """
    result = picture.astype(np.float32)
    sigmas = band_sigmas(crop_px)[:-1]  # the coarsest is the measure and stays
    told = zip(sigmas, plate.ratios[:-1], drawn.ratios[:-1], drawn.noise[:-1], strict=False)
    for band, (sigma, wanted, shown, noise) in zip(split(picture, sigmas), told, strict=False):
        gain = np.clip(np.sqrt(wanted / max(shown, 1e-9)), 1.0 / MOST, MOST) ** strength
        result += np.float32(gain - 1.0) * _detail(band @ LUMA, sigma, noise)[..., None] * band
    return result


def _detail(band: np.ndarray, sigma: float, noise: float) -> np.ndarray:
    """How much of a band is detail and not noise, 0..1 (Wiener's share of the local energy).  band: [h, w]."""
    energy = blurred(np.square(band), NEIGHBOURHOOD * sigma)
    return np.asarray(np.clip(1.0 - noise / np.maximum(energy, 1e-12), 0.0, 1.0), np.float32)


def band_sigmas(crop_px: float) -> tuple[float, ...]:
    """px of the plate; a crop finer than the plate is measured at the plate's own pixels."""
    return tuple(max(1.0, crop_px) * sigma for sigma in BANDS_CROP_PX)
