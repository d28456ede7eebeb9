# SPDX-License-Identifier: Apache-2.0
"""The first three channels of an actor's texture before training: filmed colours laid back onto the head, averaged."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dubplate_backend.head.model import HeadModel
from dubplate_backend.texture.islands import island_mask, pad_islands

SEEN = 0.25  # bilinear pixel weights a texel needs before its average counts
OUTLINE = 0.06  # of the crop: how far from the head's outline pixels are trusted in full
LEAST_TRUST = 0.02
COARSEST = 4  # texels: where the spreading of colours to unseen texels begins


def unproject(pictures: Iterable[tuple[Tensor, Tensor, Tensor]], head: HeadModel, size: int) -> tuple[Tensor, Tensor]:
    """Average the colours that each texel was seen with, and spread them to the texels never seen.

    pictures: (rgb [3, S, S] -1..1, uv [S, S, 2], face [S, S] bool) of some frames. Pixels near the head's outline
    count little: there the fitted head often covers what lies behind the true one.
    Returns the texture [3, size, size] and which texels were seen [size, size].
    """
    total = torch.zeros(size * size, 4)
    for rgb, uv, face in pictures:
        trust = outline_trust(face.numpy())[face]
        _splat(total, rgb.permute(1, 2, 0)[face], uv[face], trust, size)
    weight = total[:, 3].reshape(size, size)
    colour = total[:, :3].T.reshape(3, size, size)
    spread = _spread(colour, weight)
    islands = island_mask(head.uv, head.faces_uv, size)
    return pad_islands(spread, islands), (weight > SEEN) & islands


def outline_trust(face: npt.NDArray[np.bool_]) -> Tensor:
    """[S, S]: rises from LEAST_TRUST at the head's outline to 1 further in.  The crop's own edge is no outline."""
    padded = np.pad(face.astype(np.uint8), 1, mode="edge")
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return torch.from_numpy(np.clip((distance / (OUTLINE * len(face))) ** 2, LEAST_TRUST, 1.0).astype(np.float32))


def _splat(total: Tensor, colours: Tensor, uv: Tensor, trust: Tensor, size: int) -> None:
    """Add pixels to their four nearest texels.

    total: [size * size, 4], changed.  colours: [N, 3].  uv: [N, 2].  trust: [N].
    """
    x = uv[:, 0] * size - 0.5
    y = (1.0 - uv[:, 1]) * size - 0.5
    left, top = x.floor(), y.floor()
    values = torch.cat((colours, torch.ones(len(colours), 1)), dim=1) * trust[:, None]  # [N, 4]
    for dx in (0, 1):
        for dy in (0, 1):
            weight = (1.0 - (x - left - dx).abs()) * (1.0 - (y - top - dy).abs())
            column = (left + dx).clamp(0, size - 1).long()
            row = (top + dy).clamp(0, size - 1).long()
            total.index_add_(0, row * size + column, values * weight[:, None])


def _spread(colour: Tensor, weight: Tensor) -> Tensor:
    """Average where seen, and the nearest coarser level's average where not (pull-push).

    colour: [3, R, R] sums.  weight: [R, R].  Returns [3, R, R].
    """
    sums, weights = [colour], [weight]
    while sums[-1].shape[-1] > COARSEST:
        sums.append(_halved(sums[-1]))
        weights.append(_halved(weights[-1][None])[0])
    everything = colour.sum(dim=(1, 2)) / weight.sum().clamp(min=1e-6)
    filled = everything[:, None, None].expand_as(sums[-1])
    for level_sum, level_weight in zip(reversed(sums), reversed(weights), strict=True):
        if filled.shape[-1] != level_sum.shape[-1]:
            filled = torch.nn.functional.interpolate(filled[None], size=level_sum.shape[-2:], mode="bilinear")[0]
        average = level_sum / level_weight.clamp(min=1e-6)
        known = (level_weight / SEEN).clamp(max=1.0)
        filled = known * average + (1.0 - known) * filled
    return filled


def _halved(planes: Tensor) -> Tensor:
    """Sums of 2 x 2 blocks.  planes: [C, R, R]."""
    return 4.0 * torch.nn.functional.avg_pool2d(planes[None], 2)[0]
