# SPDX-License-Identifier: Apache-2.0
"""Pictures with several people, put together from the development clips: where each face is, is known."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from dubplate_backend.plates.footage import Footage
from footage import clip

HEIGHT, WIDTH = 340, 900
BUST = np.s_[10:280, 70:290]  # of a GRID picture: head and shoulders
Place = Callable[[int], float | None]


def speaker(name: str, count: int) -> list[np.ndarray]:
    """Busts of a GRID speaker, uint8 [270, 220, 3]."""
    with Footage.open(clip(f"grid_{name}.mpg")) as footage:
        return [rgb[BUST] for rgb in footage.iter(0, count)]


def crowd(people: list[tuple[list[np.ndarray], float, Place]], count: int) -> list[np.ndarray]:
    """Frames of people, each (busts, scale, x of the middle by frame or None where away), the last one in front."""
    frames = []
    for index in range(count):
        canvas = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        for busts, scale, place in people:
            x = place(index)
            if x is not None:
                paste(canvas, cv2.resize(busts[index % len(busts)], None, fx=scale, fy=scale), x)
        frames.append(canvas)
    return frames


def paste(canvas: np.ndarray, bust: np.ndarray, x: float) -> None:
    """Lay an oval of `bust` on the canvas with its middle at x, as far as it is inside."""
    height, width = bust.shape[:2]
    mask = np.zeros((height, width), np.float32)
    cv2.ellipse(mask, (width // 2, height // 2), (int(width * 0.46), height // 2), 0, 0, 360, 1, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 3)[..., None]
    left, top = round(x - width / 2), HEIGHT // 2 - height // 2
    first, last = max(left, 0), min(left + width, WIDTH)
    if first < last:
        under = canvas[top : top + height, first:last]
        piece = np.s_[:, first - left : last - left]
        under[:] = (under * (1 - mask[piece]) + bust[piece] * mask[piece]).astype(np.uint8)
