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
    """Features at every pixel, bilinear between texels; beyond the texture its border repeats.

    texels: [C, S, S].   uv: [B, H, W, 2].   covered: [B, H, W] bool.
    Returns [B, C, H, W] in channels_last memory, zero where not covered.  Differentiable to texels and uv.
    """
    batch, height, width, _ = uv.shape
    if texels.device.type == "cpu" and texels.dtype in (torch.float32, torch.float64):
        from dubplate_backend.texture.numba_sampling import NumbaSampling  # numba takes half a second to import

        by_texel = texels.permute(1, 2, 0).contiguous()  # [S, S, C]; a view where stored so
        flat = uv.to(texels.dtype).reshape(-1, 2).contiguous(), covered.reshape(-1).contiguous()
        values = NumbaSampling.apply(by_texel, *flat)  # [P, C]
    else:
        values = sample_covered(texels, uv.to(texels.dtype).reshape(-1, 2), covered.reshape(-1))
    return values.view(batch, height, width, -1).permute(0, 3, 1, 2)


def sample_covered(texels: Tensor, uv: Tensor, covered: Tensor) -> Tensor:
    """The same by torch's own sampler, on any device: the reference.

    texels: [C, S, S].   uv: [P, 2].   covered: [P] bool.   Returns [P, C].
    """
    pixel = torch.nonzero(covered).squeeze(-1)  # [N]
    grid = uv[pixel] * uv.new_tensor([2.0, -2.0]) + uv.new_tensor([-1.0, 1.0])  # [N, 2]
    values = grid_sample(texels[None], grid[None, None], padding_mode="border", align_corners=False)  # [1, C, 1, N]
    return texels.new_zeros((len(uv), texels.shape[0])).index_copy(0, pixel, values[0, :, 0].T)
