# SPDX-License-Identifier: Apache-2.0
"""Seam energy: whether the matte's border shows.

A seam is a slope across the border that the filmed plate does not have there.  Slopes along the border's normal are
summed on the border and on strips beside it, each as a share of the filmed plate's own; the border's share is then set
against its neighbours', since a face drawn softer than filmed has less of every slope.  1: no seam.
"""

from __future__ import annotations

import cv2
import numpy as np

from dubplate_backend.compositing.bands import LUMA

STRIP = 2.0  # widths of the strips beside the border, over half the border's
EMPTY, FULL = 0.02, 0.98  # matte values between which the border lies


class Seam:
    """Fed frame by frame."""

    def __init__(self) -> None:
        self._sums = np.zeros((3, 2))  # [border, inside, outside] x [shown, filmed]

    def add(self, shown: np.ndarray, filmed: np.ndarray, matte: np.ndarray) -> None:
        """shown, filmed: [h, w, 3] 0..1 around the crop, at the plate's pixels.   matte: [h, w] 0..1."""
        border = (matte > EMPTY) & (matte < FULL)
        if not border.any():
            return
        away = _distance(matte >= 0.5)
        half = float(np.abs(away[border]).max())
        inside = (away > half) & (away <= (1 + STRIP) * half) & (matte >= FULL)
        outside = (away < -half) & (away >= -(1 + STRIP) * half) & (matte <= 0)
        down, right = np.gradient(away)
        for column, picture in enumerate((shown, filmed)):
            slope_down, slope_right = np.gradient(picture @ LUMA)
            across = np.square(slope_down * down + slope_right * right)
            self._sums[:, column] += [float(across[where].sum()) for where in (border, inside, outside)]

    def energy(self) -> float:
        """The border's share over the geometric mean of its neighbours'; not a number where there was no border."""
        with np.errstate(divide="ignore", invalid="ignore"):
            border, inside, outside = np.sqrt(self._sums[:, 0] / self._sums[:, 1])
        return float(border / np.sqrt(inside * outside))


def _distance(inside: np.ndarray) -> np.ndarray:
    """Signed distance to the edge of a region [px], above 0 inside, smoothed a little so that it has a slope."""
    within, beyond = (
        cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for part in (inside, ~inside)
    )
    return cv2.GaussianBlur(within - beyond, (0, 0), 1.0)
