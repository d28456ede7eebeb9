# SPDX-License-Identifier: Apache-2.0
"""Structural similarity.  Source: Wang et al. 2004, "Image Quality Assessment" (eq. 13, constants of section III-B)."""

from __future__ import annotations

import torch
from torch import Tensor

WINDOW = 11  # px, Gaussian of standard deviation 1.5, as published
DEVIATION = 1.5
K1, K2 = 0.01, 0.03


def ssim_map(first: Tensor, second: Tensor, *, data_range: float, window: int = WINDOW) -> Tensor:
    """SSIM at every pixel (edges repeat), averaged over channels.

    first, second: [N, C, H, W] within a range of `data_range`.  Returns [N, H, W].
    """
    line = _gaussian(window).to(first)
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    stacked = torch.cat((first, second, first * first, second * second, first * second), dim=1)
    mean1, mean2, square1, square2, product = _smooth(stacked, line).chunk(5, dim=1)
    variance1, variance2 = square1 - mean1 * mean1, square2 - mean2 * mean2
    covariance = product - mean1 * mean2
    numerator = (2 * mean1 * mean2 + c1) * (2 * covariance + c2)
    denominator = (mean1 * mean1 + mean2 * mean2 + c1) * (variance1 + variance2 + c2)
    return (numerator / denominator).mean(dim=1)


def _gaussian(window: int) -> Tensor:
    offsets = torch.arange(window) - (window - 1) / 2
    line = torch.exp(-offsets.square() / (2 * DEVIATION**2))
    return line / line.sum()


def _smooth(x: Tensor, line: Tensor) -> Tensor:
    """Separable filter with repeated edges.

    As two matrix products: on a CPU, and backward above all, they cost a tenth of one-channel convolutions.
    """
    height, width = x.shape[-2:]
    return _band(line, height) @ x @ _band(line, width).T


def _band(line: Tensor, size: int) -> Tensor:
    """[size, size]: the filter `line` as a matrix; what falls beyond an edge counts for the edge."""
    offsets = torch.arange(len(line), device=line.device) - len(line) // 2
    rows = torch.arange(size, device=line.device)[:, None].expand(size, len(line))
    columns = (rows + offsets).clamp(0, size - 1)
    return line.new_zeros(size, size).index_put_((rows, columns), line.expand(size, -1), accumulate=True)
