# SPDX-License-Identifier: Apache-2.0
"""The plate's sharpness, brought back to the drawn face.

How sharp a picture is shows in how much of its detail is fine: the ratio of a fine band's energy to a coarse one's,
which does not ask how strong the detail is.  The drawn mouth is compared with the filmed one that it replaces, whose
lips, teeth and beard lay in the same focus.  Noise is taken out of the plate's share first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dubplate_backend.compositing.bands import FEWEST_PATCHES, LUMA, PATCH_PX, flat_patches, noise_covariance, split

# Sigmas over a crop pixel's size on the plate: about an octave above a quarter of the crop's pixel rate, one below it,
# and one more as the measure, which any renderer of that size draws faithfully.
BANDS_CROP_PX = (0.75, 1.5, 3.0)
MOST = 2.0  # times: beyond that, what is strengthened is not there
LEAST_CONTRAST = 1.0 / 255.0  # of the coarse band: a mouth without any says nothing


@dataclass(frozen=True)
class Sharpness:
    """Energy of each band over the coarsest one's, finest first; their square roots compare as contrasts."""

    ratios: tuple[float, ...]


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
    return Sharpness(tuple(energy / energies[-1] for energy in energies))


def sharpen(picture: np.ndarray, plate: Sharpness, drawn: Sharpness, crop_px: float, strength: float) -> np.ndarray:
    """The drawn picture with its fine bands brought to the plate's share; softened where it was sharper.

    picture: [h, w, 3].   strength: 0 leaves it, 1 matches.   Returns float32 [h, w, 3].
    """
    result = picture.astype(np.float32)
    pairs = zip(plate.ratios[:-1], drawn.ratios[:-1], strict=True)
    for band, (wanted, shown) in zip(split(picture, band_sigmas(crop_px)), pairs, strict=False):
        gain = np.clip(np.sqrt(wanted / max(shown, 1e-9)), 1.0 / MOST, MOST) ** strength
        result += np.float32(gain - 1.0) * band
    return result


def band_sigmas(crop_px: float) -> tuple[float, ...]:
    """px of the plate; a crop finer than the plate is measured at the plate's own pixels."""
    return tuple(max(1.0, crop_px) * sigma for sigma in BANDS_CROP_PX)
