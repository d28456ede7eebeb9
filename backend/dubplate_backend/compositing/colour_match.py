# SPDX-License-Identifier: Apache-2.0
"""Gain and offset that bring the drawn face to the plate's colour, learnt where the matte ramps.

There both pictures show the same skin but for a chin or a lip that moved, so the fit is robust: least squares with
Tukey's weights, which give no say to what is far off, begun at the median difference, and drawn a little towards
"change nothing" so that a flat ring does not invent contrast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FEWEST_PIXELS = 50  # below that, a ring says nothing about colour
MOST_PIXELS = 20_000  # evenly spaced samples are as good as all, and quick at 4K
ITERATIONS = 12
TUKEY = 4.685  # standard deviations; 95 % efficient on normal errors (Beaton and Tukey 1974)
MAD_TO_SIGMA = 1.4826
LEAST_SIGMA = 1e-3  # of the value range: a quarter of an 8-bit step
GAIN_LIMITS = (0.8, 1.25)  # a drawn face further off than that is a failure, which a grade would only hide
OFFSET_LIMIT = 0.1
PULL = 0.02  # weight of "gain 1" beside the ring's variance: (0.14)^2, about the contrast of lit skin


@dataclass(frozen=True)
class Grade:
    """drawn -> gain * drawn + offset, for each channel; both (3,) float32."""

    gain: np.ndarray
    offset: np.ndarray

    @classmethod
    def identity(cls) -> Grade:
        return cls(np.ones(3, np.float32), np.zeros(3, np.float32))

    def apply(self, drawn: np.ndarray) -> np.ndarray:
        """[..., 3] -> [..., 3] float32."""
        return drawn * self.gain + self.offset


def match_colour(drawn: np.ndarray, plate: np.ndarray, ring: np.ndarray) -> Grade:
    """The grade that takes `drawn` to `plate` on the ring.

    drawn, plate: [H, W, 3] in network values 0..1.  ring: [H, W] bool.
    """
    source, target = drawn[ring].astype(np.float64), plate[ring].astype(np.float64)  # [N, 3]
    if len(source) < FEWEST_PIXELS:
        return Grade.identity()
    step = -(-len(source) // MOST_PIXELS)
    fits = [_fit(source[::step, channel], target[::step, channel]) for channel in range(3)]
    return Grade(np.array([gain for gain, _ in fits], np.float32), np.array([offset for _, offset in fits], np.float32))


def _fit(source: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Gain and offset of one channel, by iteratively re-weighted least squares."""
    gain, offset = 1.0, float(np.median(target - source))
    for _ in range(ITERATIONS):
        residual = target - (gain * source + offset)
        sigma = MAD_TO_SIGMA * float(np.median(np.abs(residual))) + LEAST_SIGMA
        weights = (1.0 - np.minimum(1.0, np.abs(residual) / (TUKEY * sigma)) ** 2) ** 2
        weights /= weights.sum()
        mean_source, mean_target = float(weights @ source), float(weights @ target)
        variance = float(weights @ (source - mean_source) ** 2)
        covariance = float(weights @ ((source - mean_source) * (target - mean_target)))
        gain = float(np.clip((covariance + PULL) / (variance + PULL), *GAIN_LIMITS))
        offset = mean_target - gain * mean_source
    return gain, float(np.clip(offset, -OFFSET_LIMIT, OFFSET_LIMIT))
