# SPDX-License-Identifier: Apache-2.0
"""Trilinear texture look-up.  Texel centres at +0.5, v up: row 0 of a texture is v = 1.

A pixel's footprint says which texels of the mip levels it reads and with which weights; it depends on the texture
coordinates alone.  The level follows from how far the coordinates step from pixel to pixel, seen only between pixels of
one UV chart: a border of charts is no step of the surface.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dubplate_backend.raster.fragments import Fragments, interpolate
from dubplate_backend.texture.mipmaps import CELLS_PER_TEXEL, LEVELS, MipLayout

FARTHEST = 1e6
"""Stands for the squared step to a pixel that is not of the same chart, in uv."""


@dataclass(frozen=True)
class Footprints:
    """What each of P pixels reads: a square of four texels on a level and one on the next coarser.

    first: [P, 2] int64, place of the upper left texel of each square.   stride: [P, 2] int64, places between rows.
    weight: [P, 2, 4], upper left, upper right, lower left, lower right; all zero where nothing is seen.
    """

    first: Tensor
    stride: Tensor
    weight: Tensor

    def places(self) -> Tensor:
        """[P, 2, 4] int64, as `weight`."""
        return torch.stack([self.first, self.first + 1, self.first + self.stride, self.first + self.stride + 1], dim=-1)


def interpolate_uv(fragments: Fragments, uv: Tensor, faces_uv: Tensor) -> Tensor:
    """Texture coordinates at every pixel.

    uv: [VT, 2], 0..1, v up.   faces_uv: [F, 3] int64, for the faces that were rasterised.
    Returns [B, H, W, 2]; zero where nothing is drawn.
    """
    return interpolate(fragments, uv[faces_uv])


def mip_levels(texels: Tensor, layout: MipLayout) -> Tensor:
    """All levels of a texture in one list.  texels: [C, S, S].   Returns [N, C].  Differentiable."""
    by_texel = texels.permute(1, 2, 0).reshape(-1, texels.shape[0]).contiguous()  # [S * S, C], a view where stored so
    if texels.device.type == "cpu":
        from dubplate_backend.texture.numba_sampling import SparseProduct  # numba takes half a second to import

        return SparseProduct.apply(by_texel, layout.matrix, layout.transposed)
    matrix = layout.matrix
    on_device = torch.sparse_csr_tensor(matrix.indptr, matrix.indices, matrix.data, matrix.shape, device=texels.device)
    return torch.sparse.mm(on_device, by_texel)


def sample_texture(texels: Tensor, uv: Tensor, covered: Tensor, layout: MipLayout) -> Tensor:
    """Features at every pixel.

    texels: [C, S, S].   uv: [B, H, W, 2], 0..1, v up.   covered: [B, H, W] bool, where the head is seen.
    Returns [B, C, H, W] in channels_last memory, zero where not covered.  Differentiable to the texels.
    """
    return sample_levels(mip_levels(texels, layout), uv, covered, layout)


def sample_levels(levels: Tensor, uv: Tensor, covered: Tensor, layout: MipLayout) -> Tensor:
    """The same from levels that were made once.  levels: [N, C] of `mip_levels`."""
    if levels.device.type == "cpu":
        from dubplate_backend.texture import numba_sampling

        seen = numba_sampling.footprints(uv, covered, layout)
        values = numba_sampling.LookUp.apply(levels, seen)  # [P, C]
    else:
        seen = footprints(uv, covered, layout)
        values = look_up(levels, seen)
    return values.view(*covered.shape, -1).permute(0, 3, 1, 2)


def look_up(levels: Tensor, seen: Footprints) -> Tensor:
    """[P, C], by torch alone, on any device: the reference.  levels: [N, C]."""
    return (levels[seen.places()] * seen.weight[..., None]).sum(dim=(1, 2))


def footprints(uv: Tensor, covered: Tensor, layout: MipLayout) -> Footprints:
    """By torch alone, on any device: the reference.  uv: [B, H, W, 2].   covered: [B, H, W] bool."""
    device = uv.device
    place = torch.nan_to_num(uv.double()) * uv.new_tensor([1.0, -1.0]).double() + uv.new_tensor([0.0, 1.0]).double()
    cells = CELLS_PER_TEXEL * layout.size
    cell = (place * cells).floor().clamp(0, cells - 1).long()  # [B, H, W, 2] column, row
    chart = torch.from_numpy(layout.labels).to(device)[cell[..., 1], cell[..., 0]].long()  # [B, H, W]
    chart = torch.where(covered, chart, -1)
    level = (0.5 * (_squared_step(place, chart) * layout.size**2).log2()).clamp(0, LEVELS - 1)  # [B, H, W]
    fine = level.floor().clamp(max=LEVELS - 2)
    coarse_share = (level - fine)[..., None]
    blocks = torch.from_numpy(layout.blocks).to(device)[chart.clamp(min=0)]  # [B, H, W, LEVELS, 5]
    first, stride, weight = [], [], []
    for step, share in ((0, 1.0 - coarse_share), (1, coarse_share)):
        at = fine.long() + step
        block = blocks.gather(3, at[..., None, None].expand(*at.shape, 1, 5)).squeeze(3)
        start, left, top, width, height = block.unbind(-1)
        texel = place * (layout.size / 2.0**at)[..., None] - 0.5  # [B, H, W, 2] on this level
        x = (texel[..., 0] - left).clamp(min=0.0).minimum(width - 1.0)
        y = (texel[..., 1] - top).clamp(min=0.0).minimum(height - 1.0)
        column, row = x.floor().minimum(width - 2.0), y.floor().minimum(height - 2.0)
        first.append(start + (row * width + column).long())
        stride.append(width)
        x, y = (x - column)[..., None], (y - row)[..., None]
        corners = torch.cat([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], dim=-1)
        weight.append(corners * share * covered[..., None])
    joined = torch.stack(weight, dim=-2).reshape(-1, 2, 4).to(uv.dtype)
    return Footprints(torch.stack(first, -1).reshape(-1, 2), torch.stack(stride, -1).reshape(-1, 2), joined)


def _squared_step(place: Tensor, chart: Tensor) -> Tensor:
    """[B, H, W]: mean over both axes of the squared way from a pixel to the nearer of its neighbours there, in uv.

    An axis without a neighbour of the same chart takes the other's; a pixel alone reads the finest level.
    place: [B, H, W, 2].   chart: [B, H, W], -1 where nothing is seen.
    """
    steps = []
    for axis in (1, 2):
        way = place.diff(dim=axis).square().sum(-1)  # one shorter along `axis`
        before, after = chart.narrow(axis, 0, chart.shape[axis] - 1), chart.narrow(axis, 1, chart.shape[axis] - 1)
        way = torch.where((before == after) & (before >= 0), way, FARTHEST)
        end = torch.full_like(way.narrow(axis, 0, 1), FARTHEST)
        steps.append(torch.minimum(torch.cat([way, end], axis), torch.cat([end, way], axis)))
    down, across = steps
    down, across = torch.where(down >= FARTHEST, across, down), torch.where(across >= FARTHEST, down, across)
    mean = 0.5 * (down + across)
    return torch.where(mean >= FARTHEST, 0.0, mean)
