# SPDX-License-Identifier: Apache-2.0
"""The light on the synthetic set: lamps as spherical harmonics, and what of them reaches a point.

Irradiance from spherical harmonics: Ramamoorthi & Hanrahan 2001, "An efficient representation for irradiance
environment maps", eq. 3-13.  All directions are in camera axes (x right, y down, z forward).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

from dubplate_backend.raster.rasterise import rasterise

_COSINE_LOBE = np.array([np.pi] + [2 * np.pi / 3] * 3 + [np.pi / 4] * 5)  # A_l of the paper
_SHADOW_SIZE = 320  # px over the bust: 2 mm
_SHADOW_BIAS_M = 0.004
_SHADOW_SOFT_PX = 1.6
_OCCLUSION_DIRECTIONS = 40


@dataclass(frozen=True)
class Lamp:
    """A distant lamp.  direction: from the scene to it.  colour: irradiance it casts on a surface that faces it."""

    direction: tuple[float, float, float]
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class Set:
    """All the light there is: a key that casts shadows, softer lamps, and an ambient from above to below."""

    key: Lamp
    lamps: tuple[Lamp, ...]
    sky: tuple[float, float, float]
    ground: tuple[float, float, float]


WINDOW_LIGHT = Set(
    key=Lamp((-0.62, -0.48, -0.62), (0.98, 0.90, 0.80)),
    lamps=(
        Lamp((0.85, -0.15, -0.50), (0.15, 0.19, 0.25)),  # fill from the room
        Lamp((0.75, -0.45, 0.62), (0.38, 0.30, 0.22)),  # rim from a lamp behind
    ),
    sky=(0.24, 0.25, 0.27),
    ground=(0.15, 0.125, 0.105),
)


def harmonics(directions: Tensor) -> Tensor:
    """The nine real spherical harmonics Y_00 .. Y_22 at unit directions [..., 3].  Returns [..., 9]."""
    x, y, z = directions.unbind(-1)
    return torch.stack(
        [
            torch.full_like(x, 0.282095),
            0.488603 * y, 0.488603 * z, 0.488603 * x,
            1.092548 * x * y, 1.092548 * y * z, 0.315392 * (3 * z * z - 1),
            1.092548 * x * z, 0.546274 * (x * x - y * y),
        ],
        dim=-1,
    )  # fmt: skip


def lamp_irradiance(lamp: Lamp) -> np.ndarray:
    """(9, 3): E(n) = sum_i c_i Y_i(n) of one lamp."""
    direction = normalize(torch.tensor(lamp.direction, dtype=torch.float64), dim=0)
    return (_COSINE_LOBE * harmonics(direction).numpy())[:, None] * np.array(lamp.colour)


def ambient_irradiance(light: Set) -> np.ndarray:
    """(9, 3) of the blend from sky to ground; up is -y."""
    sky, ground = np.array(light.sky), np.array(light.ground)
    coefficients = np.zeros((9, 3))
    coefficients[0] = 0.5 * (sky + ground) / 0.282095
    coefficients[1] = -0.5 * (sky - ground) / 0.488603
    return coefficients


def irradiance(light: Set) -> np.ndarray:
    """(9, 3) of the whole set, nothing in shadow: what a track's `lighting` holds."""
    return ambient_irradiance(light) + sum(lamp_irradiance(lamp) for lamp in (light.key, *light.lamps))


def lit(points: Tensor, caster: Tensor, faces: Tensor, direction: tuple[float, float, float]) -> Tensor:
    """Share of a distant lamp that reaches `points`: 0 in shadow, 1 in light, soft between.

    points: [N, 3] and caster: [V, 3], camera space, metres.   Returns [N].  A shadow map with percentage-closer
    filtering (Reeves et al. 1987, "Rendering antialiased shadows with depth maps").
    """
    frame = _frame(direction).to(caster)  # [3, 3]
    seen = caster @ frame.T  # [V, 3]: right, down, away from the lamp
    low, high = seen[:, :2].amin(0), seen[:, :2].amax(0)
    scale = (_SHADOW_SIZE - 4) / float((high - low).max())
    screen = torch.cat([(seen[:, :2] - low) * scale + 2, seen[:, 2:] - seen[:, 2].min() + 1.0], dim=-1)
    depth = rasterise(screen[None], faces, _SHADOW_SIZE, _SHADOW_SIZE).zbuf[0]  # [S, S]
    depth = torch.where(depth < 0, torch.full_like(depth, 1e3), depth)
    own = points @ frame.T
    place = (own[:, :2] - low) * scale + 2
    height = own[:, 2] - seen[:, 2].min() + 1.0 - _SHADOW_BIAS_M
    light = torch.zeros(len(points))
    offsets = ((-0.75, -0.25), (0.25, -0.75), (0.75, 0.25), (-0.25, 0.75))
    for right, down in offsets:
        tap = place + _SHADOW_SOFT_PX * torch.tensor([right, down])
        light += _compare(depth, tap, height)
    return light / len(offsets)


def _compare(depth: Tensor, place: Tensor, height: Tensor) -> Tensor:
    """Bilinear share of the four nearest texels that lie behind `height`."""
    corner = (place - 0.5).floor()
    blend = place - 0.5 - corner
    column, row = corner.long().unbind(-1)
    total = torch.zeros_like(height)
    for right in (0, 1):
        for down in (0, 1):
            index = (row + down).clamp(0, depth.shape[0] - 1) * depth.shape[1] + (column + right).clamp(
                0, depth.shape[1] - 1
            )
            weight = (blend[:, 0] if right else 1 - blend[:, 0]) * (blend[:, 1] if down else 1 - blend[:, 1])
            total += weight * (depth.flatten()[index] > height)
    return total


def openness(vertices: Tensor, normals: Tensor, faces: Tensor) -> Tensor:
    """[V] share of the hemisphere over each vertex that is free: ambient occlusion, cosine-weighted.

    vertices, normals: [V, 3].
    """
    index = torch.arange(_OCCLUSION_DIRECTIONS, dtype=torch.float32) + 0.5
    height = 1 - 2 * index / _OCCLUSION_DIRECTIONS
    turn = index * (np.pi * (3 - np.sqrt(5)))  # Vogel's spiral
    radius = (1 - height**2).sqrt()
    directions = torch.stack([radius * turn.cos(), height, radius * turn.sin()], dim=-1)  # [D, 3]
    free, total = torch.zeros(len(vertices)), torch.zeros(len(vertices))
    for direction in directions:
        cosine = (normals @ direction).clamp(min=0)
        free += cosine * lit(vertices, vertices, faces, tuple(direction.tolist()))
        total += cosine
    return free / total.clamp(min=1e-6)


def sample(texture: Tensor, uv: Tensor) -> Tensor:
    """Bilinear texels.  texture: [1, C, H, W], row 0 at v = 1.   uv: [N, 2].   Returns [N, C]."""
    grid = torch.stack([uv[:, 0] * 2 - 1, 1 - uv[:, 1] * 2], dim=-1)[None, None]  # [1, 1, N, 2]
    return grid_sample(texture, grid, align_corners=False, padding_mode="border")[0, :, 0].T


def _frame(direction: tuple[float, float, float]) -> Tensor:
    """Rows: right, down, away, seen from the lamp."""
    away = -normalize(torch.tensor(direction, dtype=torch.float32), dim=0)
    helper = torch.tensor([0.0, 1.0, 0.0]) if abs(float(away[1])) < 0.9 else torch.tensor([1.0, 0.0, 0.0])
    right = normalize(torch.linalg.cross(helper, away), dim=0)
    return torch.stack([right, torch.linalg.cross(away, right), away])
