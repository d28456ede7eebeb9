# SPDX-License-Identifier: Apache-2.0
"""Bilinear texture look-up.  Texel centres at +0.5, v up: row 0 of a texture is v = 1."""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from dubplate_backend.raster.fragments import Fragments, interpolate


def interpolate_uv(fragments: Fragments, uv: Tensor, faces_uv: Tensor) -> Tensor:
    """Texture coordinates at every pixel.

    uv: [VT, 2], 0..1, v up.   faces_uv: [F, 3] int64, for the faces that were rasterised.
    Returns [B, H, W, 2]; zero where nothing is drawn.
    """
    return interpolate(fragments, uv[faces_uv])


def sample_texture(texels: Tensor, uv: Tensor, covered: Tensor) -> Tensor:
    """texels: [C, S, S].   uv: [B, H, W, 2].   covered: [B, H, W] bool.   Returns [B, C, H, W], zero where not covered.

    Only covered pixels are looked up; beyond the edge of the texture its border repeats.
    """
    batch, height, width, _ = uv.shape
    pixel = torch.nonzero(covered.flatten()).squeeze(-1)  # [N]
    points = uv.reshape(-1, 2)[pixel]  # [N, 2]
    grid = torch.stack([2.0 * points[:, 0] - 1.0, 1.0 - 2.0 * points[:, 1]], dim=-1)  # [N, 2]
    texture = texels[None].contiguous(memory_format=torch.channels_last)
    values = grid_sample(texture, grid[None, None], padding_mode="border", align_corners=False)  # [1, C, 1, N]
    picture = texels.new_zeros((batch * height * width, texels.shape[0]))
    picture = picture.index_copy(0, pixel, values[0, :, 0].T)
    return picture.view(batch, height, width, -1).permute(0, 3, 1, 2)
