# SPDX-License-Identifier: Apache-2.0
"""The square of the plate in which a face is looked for."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dubplate_shared.landmarks import COUNT

# FaceMesh looks at 192 px; this leaves it room to choose its own region and costs nothing to fill.
CROP_PX = 512
# Side of the square over the longer side of the landmarks' box.
CROP_AROUND_LANDMARKS = 1.6
# A face that jumps further than this share of its square between two frames is another face.
LARGEST_JUMP = 0.35


@dataclass(frozen=True)
class Square:
    """Centre and side in plate px."""

    x: float
    y: float
    side: float

    def view(self, right: float, down: float, scale: float) -> Square:
        """Shifted by shares of the side, then scaled."""
        return Square(self.x + right * self.side, self.y + down * self.side, self.side * scale)

    def distance(self, other: Square) -> float:
        """Between the centres, px."""
        return float(np.hypot(self.x - other.x, self.y - other.y))

    def holds(self, x: float, y: float) -> bool:
        """Whether a point lies on the face, which is smaller than its square."""
        return max(abs(x - self.x), abs(y - self.y)) <= self.side / CROP_AROUND_LANDMARKS / 2


def square_around(points: np.ndarray) -> Square:
    """The square in which a face with these landmarks (478, 3) is looked for in the next frame."""
    low, high = points[:COUNT, :2].min(axis=0), points[:COUNT, :2].max(axis=0)
    x, y = (low + high) / 2
    return Square(float(x), float(y), float((high - low).max()) * CROP_AROUND_LANDMARKS)


def near(here: Square, before: Square) -> bool:
    """Whether a face could have moved from `before` to `here` within a frame."""
    return here.distance(before) < LARGEST_JUMP * before.side


def distinct(squares: list[Square]) -> list[Square]:
    """One square for each face that several tiles saw, the bigger ones first."""
    kept: list[Square] = []
    for square in sorted(squares, key=lambda square: square.side, reverse=True):
        if all(square.distance(other) > other.side / 2 for other in kept):
            kept.append(square)
    return kept


def cut(rgb: np.ndarray, square: Square) -> tuple[np.ndarray, int, int, int]:
    """A square of whole pixels as uint8 [CROP_PX, CROP_PX, 3], averaged where it shrinks, black outside the plate.

    Returns the crop and the square's left, top and side in plate px.
    """
    side = max(8, round(square.side))
    left, top = round(square.x - side / 2), round(square.y - side / 2)
    height, width = rgb.shape[:2]
    inside = rgb[max(top, 0) : max(min(top + side, height), 0), max(left, 0) : max(min(left + side, width), 0)]
    if inside.shape[:2] != (side, side):
        whole = np.zeros((side, side, 3), np.uint8)
        whole[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]] = inside
        inside = whole
    shrinks = side > CROP_PX
    crop = cv2.resize(inside, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return crop, left, top, side
