# SPDX-License-Identifier: Apache-2.0
"""Which of a head's vertices a camera sees, and how they face it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, normalize

from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.rasterise import rasterise
from dubplate_backend.raster.shading import vertex_normals
from dubplate_backend.tracking.projection import View
from dubplate_backend.tracking.unknowns import EXPRESSION, EYELIDS, JAW, NECK, SHIFT, TURN, Shared, head_rotation

DEPTH_PX = 128  # side of the depth picture
HIDDEN_BEHIND_M = 0.004  # more than a pixel's slope at the cheek, less than a lip's thickness
LEAST_FACING = 0.15  # cosine; surfaces seen flatter than this say little


@dataclass(frozen=True)
class Surface:
    """projected: [T, V, 2] px of the ideal picture.  normals: [T, V, 3] camera space.  facing: [T, V], the cosine at
    which a vertex is seen, 0 where it is hidden."""

    projected: Tensor
    normals: Tensor
    facing: Tensor


@torch.no_grad()
def surface(head: HeadModel, view: View, x: Tensor, shared: Shared, corner: Tensor, side: Tensor) -> Surface:
    """The whole head of some frames.   x: [T, 114].   corner: [T, 2] and side: [T] of the square looked at, px."""
    x = x.float()
    vertices = head.vertices(
        shared.shape.float(), x[:, EXPRESSION], x[:, JAW], x[:, NECK], eyelids=x[:, EYELIDS]
    )  # [T, V, 3]
    vertices = vertices @ head_rotation(x[:, TURN]).mT + x[:, None, SHIFT]
    focal = (shared.focal * view.zoom).float()[:, None, None]
    centre = (view.centre + shared.offset).float()[:, None]
    projected = vertices[..., :2] / vertices[..., 2:].clamp(min=1e-3) * focal + centre
    in_square = (projected - corner.float()[:, None]) * (DEPTH_PX / side.float())[:, None, None]
    screen = torch.cat((in_square, vertices[..., 2:]), -1)
    depth = rasterise(screen, head.faces, DEPTH_PX, DEPTH_PX).zbuf  # [T, D, D], -1 where nothing is
    # The farthest of the pixels around: a vertex at a slope is not hidden by its own surface.
    farthest = max_pool2d(depth[:, None], 3, 1, 1)[:, 0]
    column, row = in_square.floor().long().unbind(-1)
    inside = (column >= 0) & (row >= 0) & (column < DEPTH_PX) & (row < DEPTH_PX)
    flat = row.clamp(0, DEPTH_PX - 1) * DEPTH_PX + column.clamp(0, DEPTH_PX - 1)
    in_front = vertices[..., 2] <= farthest.flatten(1).gather(1, flat) + HIDDEN_BEHIND_M
    normals = vertex_normals(vertices, head.faces)
    facing = -(normals * normalize(vertices, dim=-1)).sum(-1)
    facing = torch.where(inside & in_front & (facing > LEAST_FACING), facing, 0.0)
    return Surface(projected, normals, facing)
