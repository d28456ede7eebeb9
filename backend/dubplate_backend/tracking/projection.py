# SPDX-License-Identifier: Apache-2.0
"""From unknowns to the ideal picture, with derivatives: what landmarks and colours have in common."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dubplate_backend.head.skinning import axis_angle_to_matrix
from dubplate_backend.tracking.surface_head import Posed, SurfaceHead, rotation_derivative, turned
from dubplate_backend.tracking.unknowns import (
    CAMERA_UNKNOWNS,
    EXPRESSION,
    EYELIDS,
    FACING,
    JAW,
    NECK,
    SHIFT,
    TURN,
    Shared,
)


@dataclass(frozen=True)
class View:
    """centre: [T, 2] px, zoom: [T], of each frame; see `Lens`."""

    centre: Tensor
    zoom: Tensor

    def at(self, frames: slice | Tensor) -> View:
        return View(self.centre[frames], self.zoom[frames])


@dataclass(frozen=True)
class Seen:
    """Surface points in camera space [T, N, 3] and in the ideal picture [T, N, 2] px, and what they came from."""

    in_camera: Tensor
    projected: Tensor
    posed: Posed
    focal: Tensor  # [T] px


def see(head: SurfaceHead, view: View, x: Tensor, shared: Shared) -> Seen:
    """x: [T, 114].  Computed in the head's float type."""
    dtype = head.still_base.dtype
    x, shape = x.to(dtype), shared.shape.to(dtype)
    posed = head.posed(shape, x[:, EXPRESSION], x[:, EYELIDS], x[:, JAW], x[:, NECK])
    rotation = axis_angle_to_matrix(x[:, TURN]) * FACING.to(dtype)
    in_camera = posed.points @ rotation.mT + x[:, None, SHIFT]
    focal = (shared.focal * view.zoom).to(dtype)
    centre = (view.centre + shared.offset).to(dtype)
    depth = in_camera[..., 2:].clamp(min=1e-3)
    projected = in_camera[..., :2] / depth * focal[:, None, None] + centre[:, None]
    return Seen(in_camera, projected, posed, focal)


def picture_slopes(seen: Seen) -> Tensor:
    """d projected / d camera point, [T, N, 2, 3]."""
    return along_picture(seen, torch.eye(2, dtype=seen.projected.dtype).expand(*seen.projected.shape[:2], 2, 2))


def along_picture(seen: Seen, left: Tensor) -> Tensor:
    """left @ d projected / d camera point.   left: [T, N, R, 2].   Returns [T, N, R, 3]."""
    depth = seen.in_camera[..., 2].clamp(min=1e-3)
    slope = seen.focal[:, None] / depth
    unit = seen.in_camera[..., None, :2] / depth[..., None, None]  # [T, N, 1, 2]
    ahead = -(left * unit).sum(-1, keepdim=True)
    return torch.cat((left, ahead), -1) * slope[..., None, None]


def motion_rows(head: SurfaceHead, x: Tensor, seen: Seen, left: Tensor, *, with_shape: bool) -> Tensor:
    """left @ d camera point / d (114 unknowns, shape).   left: [T, N, R, 3].   Returns [T, N, R, 114 (+ S)]."""
    dtype = left.dtype
    turn = axis_angle_to_matrix(x[:, TURN].to(dtype))
    facing = FACING.to(dtype)
    rows = head.rows(seen.posed, turned(left, turn * facing), with_shape=with_shape, first=JAW.start)
    by_turn = rotation_derivative(x[:, TURN].to(dtype), turn) * facing  # [T, 3 (component), 3, 3]
    for component in range(3):
        moved = seen.posed.points @ by_turn[:, component].mT  # [T, N, 3]
        rows[..., component] = (left * moved[:, :, None]).sum(-1)
    rows[..., SHIFT] = left
    return rows


def camera_rows(seen: Seen, view: View, shared: Shared) -> Tensor:
    """d projected / d (log focal, offset): [T, N, 2, 3]."""
    centre = (view.centre + shared.offset).to(seen.projected.dtype)
    rows = seen.projected.new_zeros(*seen.projected.shape, CAMERA_UNKNOWNS)
    rows[..., 0] = seen.projected - centre[:, None]
    rows[..., 0, 1] = rows[..., 1, 2] = 1
    return rows
