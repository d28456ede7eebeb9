# SPDX-License-Identifier: Apache-2.0
"""Bilinear texture look-up on the CPU, with gradients.

A texel's channels lie side by side, so a look-up touches four short runs of memory; pixels that see no surface cost
nothing.  Threads share out the pixels forward, and the texture's rows backward: every texel sums its pixels in their
order, so the gradient does not depend on how many threads there are.
"""

from typing import Any

import numba
import torch
from numpy import ndarray
from torch import Tensor
from torch.autograd.function import once_differentiable

from dubplate_backend.raster.threads import in_threads, ranges

_LEAST_PIXELS = 16384
_LEAST_ROWS = 32
"""Shares of less are not worth a thread."""


class NumbaSampling(torch.autograd.Function):
    """texels: [S, S, C], uv: [P, 2], covered: [P] bool, all contiguous on the CPU.   Returns [P, C]."""

    @staticmethod
    def forward(ctx: Any, texels: Tensor, uv: Tensor, covered: Tensor) -> Tensor:
        ctx.save_for_backward(texels, uv, covered)
        values = torch.zeros((len(uv), texels.shape[-1]), dtype=texels.dtype)
        arrays = texels.detach().numpy(), uv.detach().numpy(), covered.numpy(), values.numpy()
        in_threads(lambda share: _look_up(*arrays, *share), ranges(len(uv), _LEAST_PIXELS))
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        texels, uv, covered = ctx.saved_tensors
        arrays = texels.detach().numpy(), uv.detach().numpy(), covered.numpy(), gradient.contiguous().numpy()
        to_texels = to_uv = None
        if ctx.needs_input_grad[0]:
            to_texels = torch.zeros_like(texels)
            into = to_texels.numpy()
            in_threads(lambda share: _give_back(*arrays[1:], into, *share), ranges(len(texels), _LEAST_ROWS))
        if ctx.needs_input_grad[1]:
            to_uv = torch.zeros_like(uv)
            slopes = to_uv.numpy()
            in_threads(lambda share: _slopes(*arrays, slopes, *share), ranges(len(uv), _LEAST_PIXELS))
        return to_texels, to_uv, None


@numba.njit(cache=True, nogil=True)
def _beside(position: float, size: int) -> tuple[int, int, float]:
    """Both texels beside a position counted in texels, and the second's share.

    Beyond the texture, and where it is not a number, the border repeats.
    """
    if not position > 0.0:
        return 0, 0, 0.0
    if position >= size - 1:
        return size - 1, size - 1, 0.0
    first = int(position)
    return first, first + 1, position - first


@numba.njit(cache=True, nogil=True)
def _look_up(texels: ndarray, uv: ndarray, covered: ndarray, values: ndarray, start: int, end: int) -> None:
    """Writes values[start:end]."""
    size, channels = texels.shape[0], texels.shape[2]
    real = texels.dtype.type
    for pixel in range(start, end):
        if not covered[pixel]:
            continue
        left, right, x = _beside(uv[pixel, 0] * size - 0.5, size)
        top, bottom, y = _beside((1.0 - uv[pixel, 1]) * size - 0.5, size)
        a, b = real((1.0 - x) * (1.0 - y)), real(x * (1.0 - y))
        c, d = real((1.0 - x) * y), real(x * y)
        for channel in range(channels):
            upper = a * texels[top, left, channel] + b * texels[top, right, channel]
            lower = c * texels[bottom, left, channel] + d * texels[bottom, right, channel]
            values[pixel, channel] = upper + lower


@numba.njit(cache=True, nogil=True)
def _give_back(uv: ndarray, covered: ndarray, gradient: ndarray, into: ndarray, first_row: int, end_row: int) -> None:
    """Adds every pixel's gradient to the texels of rows [first_row, end_row) that it read."""
    size, channels = into.shape[0], into.shape[2]
    real = into.dtype.type
    for pixel in range(uv.shape[0]):
        if not covered[pixel]:
            continue
        top, bottom, y = _beside((1.0 - uv[pixel, 1]) * size - 0.5, size)
        if bottom < first_row or top >= end_row:
            continue
        left, right, x = _beside(uv[pixel, 0] * size - 0.5, size)
        if first_row <= top < end_row:
            near, far = real((1.0 - x) * (1.0 - y)), real(x * (1.0 - y))
            for channel in range(channels):
                into[top, left, channel] += near * gradient[pixel, channel]
                into[top, right, channel] += far * gradient[pixel, channel]
        if first_row <= bottom < end_row:
            near, far = real((1.0 - x) * y), real(x * y)
            for channel in range(channels):
                into[bottom, left, channel] += near * gradient[pixel, channel]
                into[bottom, right, channel] += far * gradient[pixel, channel]


@numba.njit(cache=True, nogil=True)
def _slopes(
    texels: ndarray, uv: ndarray, covered: ndarray, gradient: ndarray, slopes: ndarray, start: int, end: int
) -> None:
    """Writes the gradient to uv of pixels [start, end).  It is zero beyond the texture, where the border repeats."""
    size, channels = texels.shape[0], texels.shape[2]
    for pixel in range(start, end):
        if not covered[pixel]:
            continue
        left, right, x = _beside(uv[pixel, 0] * size - 0.5, size)
        top, bottom, y = _beside((1.0 - uv[pixel, 1]) * size - 0.5, size)
        along_u = along_v = 0.0
        for channel in range(channels):
            a, b = texels[top, left, channel], texels[top, right, channel]
            c, d = texels[bottom, left, channel], texels[bottom, right, channel]
            given = gradient[pixel, channel]
            along_u += given * ((1.0 - y) * (b - a) + y * (d - c))
            along_v += given * ((1.0 - x) * (c - a) + x * (d - b))
        slopes[pixel, 0] = along_u * size
        slopes[pixel, 1] = -along_v * size  # v is up, rows go down
