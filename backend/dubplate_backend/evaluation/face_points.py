# SPDX-License-Identifier: Apache-2.0
"""Landmarks on drawn and filmed frames, and what they tell: lips that fit, and a face that stays the person's own.

No network that recognises people comes with a licence to ship, so identity is judged by shape and colour: how far the
jaw's outline and the nose lie from the filmed ones, once the eyes and brows, which are never drawn, are laid on one
another; and how far the drawn skin's mean colour is from the filmed skin's.  FaceMesh measures both frames, so what it
gets wrong it mostly gets wrong alike; it knows no skin texture: a face that is only blurred keeps its identity here.
"""

from __future__ import annotations

import cv2
import numpy as np

from dubplate_shared.landmarks import (
    FACE_OVAL,
    LEFT_BROW,
    LEFT_EYE,
    LIPS,
    RIGHT_BROW,
    RIGHT_EYE,
    inter_ocular,
    landmark_error,
    lip_gap,
)

HELD = RIGHT_EYE + LEFT_EYE + RIGHT_BROW + LEFT_BROW  # above anything that is drawn
NOSE_BASE = (2, 97, 98, 326, 327)  # under the nose, from one wing to the other
JAW = FACE_OVAL[10:27]  # from below one ear over the chin to below the other
SHAPE = JAW + NOSE_BASE


class FacePoints:
    """Landmarks of T frames; frames on which no face was seen are not a number."""

    def __init__(self) -> None:
        self._drawn: list[np.ndarray] = []
        self._filmed: list[np.ndarray] = []

    def add(self, drawn: np.ndarray | None, filmed: np.ndarray | None) -> None:
        """[478, 2 or 3] plate px each, None where no face was seen."""
        if drawn is not None and filmed is not None:
            self._drawn.append(np.asarray(drawn, np.float64)[:, :2])
            self._filmed.append(np.asarray(filmed, np.float64)[:, :2])

    @property
    def count(self) -> int:
        """Frames on which both faces were seen."""
        return len(self._drawn)

    def lip_error_percent(self) -> float:
        """Mean distance of the lips' points, percent of the eyes' distance."""
        if not self.count:
            return float("nan")
        return float(100 * landmark_error(np.stack(self._drawn), np.stack(self._filmed), LIPS).mean())

    def gap_error_percent(self) -> float:
        """Mean difference of the gap between the lips, likewise."""
        if not self.count:
            return float("nan")
        return float(100 * np.abs(lip_gap(np.stack(self._drawn)) - lip_gap(np.stack(self._filmed))).mean())

    def gap_correlation(self) -> float:
        """Correlation of the gap over the frames; not a number where a gap does not change."""
        if self.count < 3:
            return float("nan")
        gaps = [lip_gap(np.stack(points)) for points in (self._drawn, self._filmed)]
        if min(gap.std() for gap in gaps) < 1e-6:
            return float("nan")
        return float(np.corrcoef(*gaps)[0, 1])

    def shape_drift_percent(self) -> float:
        """Mean distance of jaw and nose with the upper faces laid on one another, likewise."""
        if not self.count:
            return float("nan")
        drifts = []
        for drawn, filmed in zip(self._drawn, self._filmed, strict=True):
            laid = laid_on(drawn, filmed, HELD)
            apart = np.linalg.norm(laid[list(SHAPE)] - filmed[list(SHAPE)], axis=1)
            drifts.append(apart.mean() / inter_ocular(filmed))
        return float(100 * np.mean(drifts))


def laid_on(points: np.ndarray, onto: np.ndarray, subset: tuple[int, ...]) -> np.ndarray:
    """`points` turned, scaled and shifted so that a subset of them lies best on `onto`'s.  Both [N, 2]."""
    source, target = points[list(subset)], onto[list(subset)]
    mean_source, mean_target = source.mean(axis=0), target.mean(axis=0)
    # As complex numbers a turn and a scale are one factor, found by least squares.
    a, b = ((part - middle) @ (1, 1j) for part, middle in ((source, mean_source), (target, mean_target)))
    factor = np.vdot(a, b) / max(np.vdot(a, a).real, 1e-12)
    moved = ((points - mean_source) @ (1, 1j)) * factor
    return np.stack((moved.real, moved.imag), axis=1) + mean_target


def colour_apart(drawn: np.ndarray, filmed: np.ndarray, skin: np.ndarray) -> float:
    """Distance of the mean colours of a region in CIELAB (CIE 1976); about 1 is just seen.

    drawn, filmed: [h, w, 3] display-referred 0..1.   skin: [h, w] bool.   Not a number where the region is empty.
    """
    if not skin.any():
        return float("nan")
    means = np.stack([picture[skin].mean(axis=0) for picture in (drawn, filmed)]).astype(np.float32)
    lab = cv2.cvtColor(np.clip(means, 0, 1)[None], cv2.COLOR_RGB2Lab)[0]
    return float(np.linalg.norm(lab[0] - lab[1]))
