# SPDX-License-Identifier: Apache-2.0
"""From head space to the raster image: rigid motion, pinhole projection, crop.

Camera axes are OpenCV's (x right, y down, z forward, metres).  Pixel centres lie at +0.5: pixel i covers [i, i+1).
"""

import torch
from torch import Tensor

from dubplate_backend.head.skinning import axis_angle_to_matrix

Z_NEAR = 1e-3
"""Metres.  Nothing nearer to the camera's plane than this is drawn; see `rasterise`."""


def to_camera(vertices: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
    """X_cam = R(rotation) X_head + translation.

    vertices: [B, V, 3] metres, head space.   rotation: [B, 3] axis-angle, radians.   translation: [B, 3] metres.
    Returns [B, V, 3] metres, camera space.
    """
    matrix = axis_angle_to_matrix(rotation)  # [B, 3, 3]
    return vertices @ matrix.transpose(-1, -2) + translation[..., None, :]


def project(points_cam: Tensor, intrinsics: Tensor) -> Tensor:
    """u = fx X/Z + cx, v = fy Y/Z + cy.

    points_cam: [B, V, 3] metres.   intrinsics: [B, 4] = fx fy cx cy, px.   Returns [B, V, 2] px.
    Points at or behind `Z_NEAR` give finite but meaningless positions; `rasterise` does not draw them.
    """
    focal, centre = intrinsics[..., None, :2], intrinsics[..., None, 2:]  # [B, 1, 2]
    return _normalised(points_cam) * focal + centre


def crop_intrinsics(intrinsics: Tensor, crop: Tensor, size: int) -> Tensor:
    """The affine map from normalised camera coordinates (X/Z, Y/Z) to the pixels of a crop.

    intrinsics: [B, 4] = fx fy cx cy, plate px.   crop: [B, 2, 3] plate px -> the unit square.   size: crop px.
    Returns [B, 2, 3].  An affine map and not four numbers, because a crop may be rotated.
    """
    focal, centre = intrinsics[..., :2], intrinsics[..., 2:]  # [B, 2]
    linear = crop[..., :2] * focal[..., None, :]  # [B, 2, 2]
    offset = crop[..., :2] @ centre[..., None] + crop[..., 2:]  # [B, 2, 1]
    return torch.cat([linear, offset], dim=-1) * size


def vertices_to_screen(vertices_cam: Tensor, intrinsics: Tensor, crop: Tensor | None, size: int | None) -> Tensor:
    """What `rasterise` takes: pixels of the raster image and depth.

    vertices_cam: [B, V, 3] metres.   intrinsics: [B, 4] plate px.
    crop: [B, 2, 3] plate px -> the unit square, drawn `size` px wide; None: the raster image is the plate itself.
    Returns [B, V, 3] = x px, y px, z metres.
    """
    if crop is None:
        pixels = project(vertices_cam, intrinsics)  # [B, V, 2]
    else:
        if size is None:
            raise ValueError("a crop needs the size in pixels at which it is drawn")
        affine = crop_intrinsics(intrinsics, crop, size)  # [B, 2, 3]
        pixels = _normalised(vertices_cam) @ affine[..., :2].transpose(-1, -2) + affine[..., None, :, 2]
    return torch.cat([pixels, vertices_cam[..., 2:].expand(*pixels.shape[:-1], 1)], dim=-1)


def _normalised(points_cam: Tensor) -> Tensor:
    """X/Z, Y/Z: [..., 2], with Z held in front of the camera so that no infinity reaches a gradient."""
    return points_cam[..., :2] / points_cam[..., 2:].clamp(min=Z_NEAR)
