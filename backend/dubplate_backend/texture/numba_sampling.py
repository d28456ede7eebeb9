# SPDX-License-Identifier: Apache-2.0
"""The kernels of texture look-up on the CPU; `sampling` holds the reference.

A texel's channels lie side by side, so a look-up touches short runs of memory; pixels that see no surface cost nothing.
Threads share the pixels forward and the channels backward: every texel sums its pixels in their order, so neither
values nor gradients depend on how many threads there are.
"""

from typing import Any

import numba
import numpy as np
import torch
from numpy import ndarray
from scipy import sparse
from torch import Tensor
from torch.autograd.function import once_differentiable

from dubplate_backend.raster.threads import in_threads, ranges
from dubplate_backend.texture.mipmaps import LEVELS, MipLayout
from dubplate_backend.texture.sampling import FARTHEST, Footprints

_LEAST_ROWS = 64
_LEAST_PIXELS = 16384
_LEAST_CHANNELS = 4
"""Shares of less are not worth a thread."""


class SparseProduct(torch.autograd.Function):
    """A constant sparse matrix times texels.  texels: [M, C] contiguous.   Returns [N, C]."""

    @staticmethod
    def forward(ctx: Any, texels: Tensor, matrix: sparse.csr_array, transposed: sparse.csr_array) -> Tensor:
        ctx.transposed = transposed
        return _product(matrix, texels)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _product(ctx.transposed, gradient.contiguous()), None, None


class LookUp(torch.autograd.Function):
    """levels: [N, C] contiguous.   Returns [P, C]."""

    @staticmethod
    def forward(ctx: Any, levels: Tensor, seen: Footprints) -> Tensor:
        ctx.seen, ctx.count = seen, len(levels)
        values = torch.zeros((len(seen.first), levels.shape[1]), dtype=levels.dtype)
        arrays = levels.detach().numpy(), *_arrays(seen), values.numpy()
        in_threads(lambda share: _look_up(*arrays, *share), ranges(len(values), _LEAST_PIXELS))
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        levels = torch.zeros((ctx.count, gradient.shape[1]), dtype=gradient.dtype)
        arrays = gradient.contiguous().numpy(), *_arrays(ctx.seen), levels.numpy()
        in_threads(lambda share: _give_back(*arrays, *share), ranges(gradient.shape[1], _LEAST_CHANNELS))
        return levels, None


def footprints(uv: Tensor, covered: Tensor, layout: MipLayout) -> Footprints:
    """uv: [B, H, W, 2].   covered: [B, H, W] bool."""
    count = covered.numel()
    first, stride = torch.zeros((count, 2), dtype=torch.int64), torch.zeros((count, 2), dtype=torch.int64)
    weight = torch.zeros((count, 2, 4), dtype=uv.dtype)
    places = uv.detach().contiguous().numpy()
    charts = np.empty(covered.shape, np.int16)
    shares = ranges(len(covered), max(1, _LEAST_PIXELS // covered[0].numel()))
    in_threads(lambda share: _charts(places, covered.contiguous().numpy(), layout.labels, charts, *share), shares)
    outputs = first.numpy(), stride.numpy(), weight.numpy()
    in_threads(lambda share: _footprints(places, charts, layout.blocks, layout.size, *outputs, *share), shares)
    return Footprints(first, stride, weight)


def _arrays(seen: Footprints) -> tuple[ndarray, ndarray, ndarray]:
    return seen.first.numpy(), seen.stride.numpy(), seen.weight.numpy()


def _product(matrix: sparse.csr_array, dense: Tensor) -> Tensor:
    product = torch.empty((matrix.shape[0], dense.shape[1]), dtype=dense.dtype)
    arrays = matrix.indptr, matrix.indices, matrix.data, dense.detach().numpy(), product.numpy()
    in_threads(lambda share: _multiply(*arrays, *share), ranges(len(product), _LEAST_ROWS))
    return product


@numba.njit(cache=True, nogil=True)
def _multiply(
    starts: ndarray, columns: ndarray, weights: ndarray, dense: ndarray, product: ndarray, first: int, end: int
) -> None:
    """Writes product[first:end]."""
    real = dense.dtype.type
    for row in range(first, end):
        product[row] = real(0.0)
        for entry in range(starts[row], starts[row + 1]):
            weight, column = real(weights[entry]), columns[entry]
            for channel in range(dense.shape[1]):
                product[row, channel] += weight * dense[column, channel]


@numba.njit(cache=True, nogil=True)
def _look_up(
    levels: ndarray, first: ndarray, stride: ndarray, weight: ndarray, values: ndarray, start: int, end: int
) -> None:
    """Writes values[start:end]."""
    for pixel in range(start, end):
        for side in range(2):
            a, b = weight[pixel, side, 0], weight[pixel, side, 1]
            c, d = weight[pixel, side, 2], weight[pixel, side, 3]
            if a + b + c + d == 0.0:
                continue
            upper = first[pixel, side]
            lower = upper + stride[pixel, side]
            for channel in range(levels.shape[1]):
                values[pixel, channel] += (
                    a * levels[upper, channel]
                    + b * levels[upper + 1, channel]
                    + c * levels[lower, channel]
                    + d * levels[lower + 1, channel]
                )


@numba.njit(cache=True, nogil=True)
def _give_back(
    gradient: ndarray, first: ndarray, stride: ndarray, weight: ndarray, levels: ndarray, start: int, end: int
) -> None:
    """Adds every pixel's gradient, channels [start, end), to the texels that it read."""
    for pixel in range(len(first)):
        for side in range(2):
            a, b = weight[pixel, side, 0], weight[pixel, side, 1]
            c, d = weight[pixel, side, 2], weight[pixel, side, 3]
            if a + b + c + d == 0.0:
                continue
            upper = first[pixel, side]
            lower = upper + stride[pixel, side]
            for channel in range(start, end):
                given = gradient[pixel, channel]
                levels[upper, channel] += a * given
                levels[upper + 1, channel] += b * given
                levels[lower, channel] += c * given
                levels[lower + 1, channel] += d * given


@numba.njit(cache=True, nogil=True)
def _cell(position: float, count: int) -> int:
    """The cell of 0..1 cut into `count`; what is no number lies at 0."""
    if not position > 0.0:
        return 0
    return min(int(min(position, 1.0) * count), count - 1)


@numba.njit(cache=True, nogil=True)
def _charts(uv: ndarray, covered: ndarray, labels: ndarray, charts: ndarray, start: int, end: int) -> None:
    """Writes the chart that each pixel of pictures [start, end) sees, -1 where nothing is seen."""
    cells = len(labels)
    for picture in range(start, end):
        for row in range(covered.shape[1]):
            for column in range(covered.shape[2]):
                if covered[picture, row, column]:
                    u, v = _place(uv[picture, row, column])
                    charts[picture, row, column] = labels[_cell(v, cells), _cell(u, cells)]
                else:
                    charts[picture, row, column] = -1


@numba.njit(cache=True, nogil=True)
def _place(uv: ndarray) -> tuple[float, float]:
    """Right and down, 0..1; what is no number lies at 0, 0."""
    u, v = np.float64(uv[0]), 1.0 - np.float64(uv[1])
    return (u if u == u else 0.0), (v if v == v else 1.0)


@numba.njit(cache=True, nogil=True)
def _squared_step(uv: ndarray, charts: ndarray, row: int, column: int, down: int, across: int) -> float:
    """Squared way in uv to the nearer neighbour of the same chart, along rows or columns; FARTHEST where none is."""
    nearest = FARTHEST
    for side in (-1, 1):
        y, x = row + side * down, column + side * across
        if 0 <= y < charts.shape[0] and 0 <= x < charts.shape[1] and charts[y, x] == charts[row, column]:
            along_u = np.float64(uv[y, x, 0]) - np.float64(uv[row, column, 0])
            along_v = np.float64(uv[y, x, 1]) - np.float64(uv[row, column, 1])
            nearest = min(nearest, along_u * along_u + along_v * along_v)
    return nearest


@numba.njit(cache=True, nogil=True)
def _footprints(
    uv: ndarray,
    charts: ndarray,
    blocks: ndarray,
    size: int,
    first: ndarray,
    stride: ndarray,
    weight: ndarray,
    start: int,
    end: int,
) -> None:
    """Writes the pixels of pictures [start, end)."""
    height, width = charts.shape[1], charts.shape[2]
    for picture in range(start, end):
        for row in range(height):
            for column in range(width):
                chart = charts[picture, row, column]
                if chart < 0:
                    continue
                below = _squared_step(uv[picture], charts[picture], row, column, 1, 0)
                beside = _squared_step(uv[picture], charts[picture], row, column, 0, 1)
                below = beside if below >= FARTHEST else below
                beside = below if beside >= FARTHEST else beside
                level = 0.0
                if below < FARTHEST and (below + beside) * size * size > 2.0:
                    level = min(0.5 * np.log2(0.5 * (below + beside) * size * size), LEVELS - 1.0)
                fine = min(int(level), LEVELS - 2)
                u, v = _place(uv[picture, row, column])
                pixel = (picture * height + row) * width + column
                for side in range(2):
                    share = level - fine if side else 1.0 - (level - fine)
                    scale = np.float64(size >> (fine + side))
                    block = blocks[chart, fine + side]
                    x = min(max(u * scale - 0.5 - block[1], 0.0), block[3] - 1.0)
                    y = min(max(v * scale - 0.5 - block[2], 0.0), block[4] - 1.0)
                    i, j = min(int(x), block[3] - 2), min(int(y), block[4] - 2)
                    x, y = x - i, y - j
                    first[pixel, side] = block[0] + j * block[3] + i
                    stride[pixel, side] = block[3]
                    weight[pixel, side, 0] = (1.0 - x) * (1.0 - y) * share
                    weight[pixel, side, 1] = x * (1.0 - y) * share
                    weight[pixel, side, 2] = (1.0 - x) * y * share
                    weight[pixel, side, 3] = x * y * share
