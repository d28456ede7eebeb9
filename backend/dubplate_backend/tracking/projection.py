# SPDX-License-Identifier: Apache-2.0
"""From unknowns to the ideal picture, with derivatives: what landmarks and colours have in common."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dubplate_backend.head.skinning import axis_angle_to_matrix
from dubplate_backend.tracking.surface_head import LINEAR_COLUMNS, Posed, SurfaceHead, rotation_derivative
from dubplate_backend.tracking.unknowns import (
    CAMERA_UNKNOWNS,
    EXPRESSION,
    EYELIDS,
    FACING,
    JAW,
    NECK,
    SHIFT,
    TURN,
    UNKNOWNS,
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
    depth = seen.in_camera[..., 2].clamp(min=1e-3)
    slope = seen.focal[:, None] / depth
    unit = seen.in_camera[..., :2] / depth[..., None]
    zero = torch.zeros_like(slope)
    return torch.stack(
        (
            torch.stack((slope, zero, -slope * unit[..., 0]), -1),
            torch.stack((zero, slope, -slope * unit[..., 1]), -1),
        ),
        -2,
    )


def motion_rows(head: SurfaceHead, x: Tensor, seen: Seen, left: Tensor, *, with_shape: bool) -> Tensor:
    """left @ d camera point / d (114 unknowns, shape).   left: [T, N, R, 3].   Returns [T, N, R, 114 (+ S)]."""
    dtype = left.dtype
    turn = axis_angle_to_matrix(x[:, TURN].to(dtype))
    facing = FACING.to(dtype)
    by_turn = torch.einsum(
        "tcij,tnj->tnic", rotation_derivative(x[:, TURN].to(dtype), turn) * facing, seen.posed.points
    )
    inner = head.rows(seen.posed, left @ (turn * facing)[:, None], with_shape=with_shape)
    rows = left.new_empty(*left.shape[:-1], UNKNOWNS + inner.shape[-1] - 108)
    rows[..., TURN] = left @ by_turn
    rows[..., SHIFT] = left
    rows[..., JAW] = inner[..., :3]
    rows[..., 9:111] = inner[..., LINEAR_COLUMNS]
    rows[..., NECK] = inner[..., 105:108]
    rows[..., UNKNOWNS:] = inner[..., 108:]
    return rows


def camera_rows(seen: Seen, view: View, shared: Shared) -> Tensor:
    """d projected / d (log focal, offset): [T, N, 2, 3]."""
    centre = (view.centre + shared.offset).to(seen.projected.dtype)
    rows = seen.projected.new_zeros(*seen.projected.shape, CAMERA_UNKNOWNS)
    rows[..., 0] = seen.projected - centre[:, None]
    rows[..., 0, 1] = rows[..., 1, 2] = 1
    return rows
