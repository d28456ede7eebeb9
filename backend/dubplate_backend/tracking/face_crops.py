# SPDX-License-Identifier: Apache-2.0
"""What of each plate the photometric term looks at: a square around the head, from coarse to fine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from dubplate_backend.tracking.lens import Lens

# Sides of the squares, px, coarse to fine. A face fills two thirds of one: at 384, 0.7 mm to a pixel.
LEVELS = (64, 128, 384)
# Blur of each level's picture, px: slopes then reach as far as errors do. At last the skin's own detail counts.
BLUR_PX = (1.0, 1.0, 0.6)
AROUND = 1.7  # side of the square over the longer side of the landmarks' box


@dataclass(frozen=True)
class FaceCrops:
    """levels: a uint8 [T, S, S, 3] for each of LEVELS.  corner: [T, 2] and side: [T], plate px (float64)."""

    levels: tuple[Tensor, ...]
    corner: Tensor
    side: Tensor

    def scale(self, level: int) -> Tensor:
        """Crop px per plate px, [T]."""
        return LEVELS[level] / self.side

    def at(self, frames: Tensor | slice) -> FaceCrops:
        return FaceCrops(tuple(level[frames] for level in self.levels), self.corner[frames], self.side[frames])


def face_crops(pictures: Iterable[np.ndarray], landmarks: np.ndarray, lens: Lens, frames: np.ndarray) -> FaceCrops:
    """Crops of the ideal picture around landmarks (T, 468, 2) of it, px.

    pictures: uint8 [H, W, 3] RGB, those of `frames` (T,) in order.
    """
    low, high = landmarks.min(axis=1), landmarks.max(axis=1)
    side = (high - low).max(axis=1) * AROUND
    corner = (low + high) / 2 - side[:, None] / 2
    levels = [np.empty((len(frames), size, size, 3), np.uint8) for size in LEVELS]
    for index, (picture, frame) in enumerate(zip(pictures, frames, strict=True)):
        finest = cut(picture, corner[index], side[index], LEVELS[-1], lens, int(frame))
        for level, size, blur in zip(levels, LEVELS, BLUR_PX, strict=True):
            smaller = finest if size == LEVELS[-1] else cv2.resize(finest, (size, size), interpolation=cv2.INTER_AREA)
            level[index] = cv2.GaussianBlur(smaller, (0, 0), blur)
    return FaceCrops(
        tuple(torch.from_numpy(level) for level in levels), torch.from_numpy(corner), torch.from_numpy(side)
    )


def cut(picture: np.ndarray, corner: np.ndarray, side: float, size: int, lens: Lens, frame: int) -> np.ndarray:
    """uint8 [size, size, 3]: a square of the ideal picture, averaged where it shrinks."""
    finer = max(1, int(np.ceil(side / size)))
    grid = (np.arange(size * finer) + 0.5) / (size * finer) * side
    places = np.stack(np.meshgrid(grid, grid), axis=-1) + corner  # [S, S, 2] ideal px
    if lens.distorts or lens.squeeze != 1:
        at = slice(frame, frame + 1)
        places = lens.plate(places.reshape(1, -1, 2), at).reshape(places.shape)
        drawn = cv2.remap(
            picture, (places - 0.5).astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    else:
        step = side / (size * finer)
        affine = np.array([[step, 0, corner[0] + 0.5 * step - 0.5], [0, step, corner[1] + 0.5 * step - 0.5]])
        drawn = cv2.warpAffine(
            picture,
            affine,
            (size * finer, size * finer),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return drawn if finer == 1 else cv2.resize(drawn, (size, size), interpolation=cv2.INTER_AREA)
