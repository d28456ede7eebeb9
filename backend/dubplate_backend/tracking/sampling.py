# SPDX-License-Identifier: Apache-2.0
"""Colours of crops at points between pixels, and how they change there."""

from __future__ import annotations

import numba
import numpy as np
import torch
from torch import Tensor

from dubplate_backend.raster.threads import in_threads, ranges

STEP_PX = 1.0  # to either side for a slope: the crops are blurred by about as much


def sample(crops: Tensor, points: Tensor) -> Tensor:
    """Bilinear colours 0..1, [T, N, 3] float32.   crops: uint8 [T, S, S, 3].   points: [T, N, 2] px, centres at +0.5;
    outside the crop the nearest edge counts."""
    values = np.empty((*points.shape[:2], 3), np.float32)
    pictures, places = crops.numpy(), points.float().numpy()

    def work(span: tuple[int, int]) -> None:
        _sample(pictures[span[0] : span[1]], places[span[0] : span[1]], values[span[0] : span[1]])

    in_threads(work, ranges(len(values), 1))
    return torch.from_numpy(values)


def sample_with_slopes(crops: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """As `sample`, and the slopes per px, [T, N, 3, 2]: central differences."""
    values = np.empty((*points.shape[:2], 3), np.float32)
    slopes = np.empty((*points.shape[:2], 3, 2), np.float32)
    pictures, places = crops.numpy(), points.float().numpy()

    def work(span: tuple[int, int]) -> None:
        part = slice(*span)
        _sample_with_slopes(pictures[part], places[part], np.float32(STEP_PX), values[part], slopes[part])

    in_threads(work, ranges(len(values), 1))
    return torch.from_numpy(values), torch.from_numpy(slopes)


@numba.njit(cache=True, nogil=True)
def _at(picture: np.ndarray, x: np.float32, y: np.float32, colour: np.ndarray) -> None:
    last = picture.shape[0] - 1
    x = min(max(x - np.float32(0.5), np.float32(0)), np.float32(last))
    y = min(max(y - np.float32(0.5), np.float32(0)), np.float32(last))
    column, row = min(int(x), last - 1), min(int(y), last - 1)
    p, q = x - np.float32(column), y - np.float32(row)
    for channel in range(3):
        above = picture[row, column, channel] * (1 - p) + picture[row, column + 1, channel] * p
        below = picture[row + 1, column, channel] * (1 - p) + picture[row + 1, column + 1, channel] * p
        colour[channel] = (above * (1 - q) + below * q) * np.float32(1 / 255)


@numba.njit(cache=True, nogil=True)
def _sample(pictures: np.ndarray, points: np.ndarray, values: np.ndarray) -> None:
    for frame in range(points.shape[0]):
        for point in range(points.shape[1]):
            _at(pictures[frame], points[frame, point, 0], points[frame, point, 1], values[frame, point])


@numba.njit(cache=True, nogil=True)
def _sample_with_slopes(
    pictures: np.ndarray, points: np.ndarray, step: np.float32, values: np.ndarray, slopes: np.ndarray
) -> None:
    before, after = np.empty(3, np.float32), np.empty(3, np.float32)
    for frame in range(points.shape[0]):
        for point in range(points.shape[1]):
            x, y = points[frame, point, 0], points[frame, point, 1]
            _at(pictures[frame], x, y, values[frame, point])
            for axis in range(2):
                dx, dy = (step, np.float32(0)) if axis == 0 else (np.float32(0), step)
                _at(pictures[frame], x - dx, y - dy, before)
                _at(pictures[frame], x + dx, y + dy, after)
                for channel in range(3):
                    slopes[frame, point, channel, axis] = (after[channel] - before[channel]) / (2 * step)
