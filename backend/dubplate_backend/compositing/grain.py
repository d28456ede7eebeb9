# SPDX-License-Identifier: Apache-2.0
"""The plate's grain, brought back to the drawn face.

A network draws the mean of what it has seen, without the noise of a sensor or of film, and a face without grain swims
on a plate that has it.  Per frequency band, the covariance of the channels' noise is measured on the filmed skin
beside the matte and on the drawn skin; what is missing is added as noise of the frame's own: the same on every machine
and in every chunk, and another in the next frame.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dubplate_backend.compositing.bands import flat_patches, noise_covariance, split

BANDS_PX = (0.8, 1.3, 2.2, 4.0)  # sigmas: grain of video lies in the finer ones, that of film at 4K in all
LEAST_SIGMA = 0.3 / 255.0  # of all bands together; what an 8-bit step alone makes (1 / sqrt 12) is no grain
MOST_SIGMA = 0.1  # of a channel in one band: more is a damaged plate
RAISED_MOST = 4.0  # times, where the matte begins: there the plate shows its own
FREQUENCIES = 64  # samples an axis, of the bands' responses
FITTING_STEPS = 40


@dataclass(frozen=True)
class NoiseLevel:
    """covariance: [bands, 3, 3] float64 of RGB in network values, finest band first."""

    covariance: np.ndarray

    @property
    def sigma(self) -> np.ndarray:
        """[bands, 3]: standard deviations."""
        return np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))


def measure_noise(picture: np.ndarray, region: np.ndarray) -> NoiseLevel | None:
    """The noise of a region's flat patches; None where it is too small to tell.

    picture: [h, w, 3] network values.  region: [h, w] bool.
    """
    patches = flat_patches(picture, region)
    if not len(patches):
        return None
    return NoiseLevel(np.stack([noise_covariance(band, patches) for band in split(picture, BANDS_PX)]))


def missing_noise(plate: NoiseLevel, drawn: NoiseLevel) -> NoiseLevel | None:
    """What has to be added to the drawn picture; None where that is nothing."""
    lacking = plate.covariance - drawn.covariance  # [bands, 3, 3]
    _, axes = np.linalg.eigh(lacking.sum(axis=0))  # [3, 3]: along these the channels are taken one by one
    along = np.clip(np.einsum("ci,bcd,di->bi", axes, lacking, axes), 0.0, MOST_SIGMA**2)  # [bands, 3]
    floor = LEAST_SIGMA**2 / np.maximum(along.sum(axis=0), 1e-12)  # [3]
    along = along * np.maximum(1.0 - floor**2, 0.0)  # sets in without a step and soon takes nothing away (Gao 1998)
    if not along.any():
        return None
    return NoiseLevel(np.einsum("ci,bi,di->bcd", axes, along, axes))


def grain(level: NoiseLevel, height: int, width: int, seed: str) -> np.ndarray:
    """Noise of this level: float32 [height, width, 3], mean 0.  seed: names shot and frame."""
    _, axes = np.linalg.eigh(level.covariance.sum(axis=0))
    along = np.maximum(np.einsum("ci,bcd,di->bi", axes, level.covariance, axes), 0.0)  # [bands, 3]
    amplitudes = np.stack([_amplitudes(along[:, axis]) for axis in range(3)], axis=1)  # [bands, 3]
    bands = split(white_noise(height, width, seed), BANDS_PX)
    independent = sum(band * amplitude.astype(np.float32) for band, amplitude in zip(bands, amplitudes, strict=True))
    return np.asarray(independent @ axes.T.astype(np.float32))


def white_noise(height: int, width: int, seed: str) -> np.ndarray:
    """float32 [height, width, 3], mean 0, deviation 1, nearly normal: sums of four uniform integers.

    Philox counts, so its integers are the same everywhere (Salmon et al. 2011); NumPy does not promise that of its
    normal distribution.
    """
    key = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16], "little")
    raw = np.random.Philox(key=key).random_raw(height * width * 3)
    sums = raw.view(np.uint16).reshape(-1, 4).astype(np.int64).sum(axis=1)
    mean, deviation = 2.0 * 65535.0, np.sqrt(4.0 * (65536.0**2 - 1.0) / 12.0)
    return ((sums - mean) / deviation).astype(np.float32).reshape(height, width, 3)


def held_up(grain: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Grain raised where the matte ramps, so that the mix is as noisy as the plate.

    Independent noises mix as squares: (1 - a)^2 of the plate's and (a w)^2 of ours make 1 with
    w = sqrt((2 - a) / a).   grain: [h, w, 3].   alpha: [h, w].
    """
    shown = np.maximum(alpha, 1e-6)
    return np.asarray(grain * np.minimum(np.sqrt((2.0 - shown) / shown), RAISED_MOST)[..., None], np.float32)


def _amplitudes(variances: np.ndarray) -> np.ndarray:
    """[bands] by which white noise's bands are scaled, so that the sum shows these variances band by band.

    Neighbouring bands overlap, so each is scaled by what it still lacks, again and again.
    """
    mixing = _overlaps()  # [bands, bands, bands]
    wanted = np.asarray(variances, np.float64)
    found = np.sqrt(wanted / np.einsum("bbb->b", mixing))
    for _ in range(FITTING_STEPS):
        shown = np.einsum("ijk,j,k->i", mixing, found, found)
        found = found * np.sqrt(wanted / np.maximum(shown, 1e-12))
    return found


def _overlaps() -> np.ndarray:
    """[i, j, k]: what bands j and k of white noise add to the variance seen in band i."""
    turn = 2.0 * np.pi * np.fft.fftfreq(FREQUENCIES)
    squared = turn[:, None] ** 2 + turn[None] ** 2
    blurs = [np.ones_like(squared), *(np.exp(-0.5 * sigma**2 * squared) for sigma in BANDS_PX)]
    responses = np.stack([finer - coarser for finer, coarser in pairwise(blurs)])
    flat = responses.reshape(len(BANDS_PX), -1)
    return np.asarray(np.einsum("if,jf,kf->ijk", flat**2, flat, flat) / flat.shape[1])
