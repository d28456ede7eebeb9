# SPDX-License-Identifier: Apache-2.0
"""The light on the synthetic set: lamps as spherical harmonics, and what of them reaches a point.

Irradiance from spherical harmonics: Ramamoorthi & Hanrahan 2001, "An efficient representation for irradiance
environment maps", eq. 3-13.  All directions are in camera axes (x right, y down, z forward).
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import torch

from dubplate_backend.raster.camera import Z_NEAR
from dubplate_backend.raster.harmonics import harmonics
from dubplate_backend.raster.numba_kernel import rasterise_numba
from dubplate_backend.raster.rasterise import MIN_DOUBLE_AREA_PX

_COSINE_LOBE = np.array([np.pi] + [2 * np.pi / 3] * 3 + [np.pi / 4] * 5)  # A_l of the paper
_SHADOW_SIZE = 384  # px over the bust: 1.5 mm
_SHADOW_BIAS_M = 0.004
_SHADOW_SOFT_PX = 1.8
_OCCLUSION_DIRECTIONS = 48
_EMPTY = 1e3  # m, depth where nothing stands


@dataclass(frozen=True)
class Lamp:
    """A distant lamp.  direction: from the scene to it.  colour: irradiance it casts on a surface that faces it."""

    direction: tuple[float, float, float]
    colour: tuple[float, float, float]

    @property
    def unit(self) -> np.ndarray:
        """(3,) direction of length 1."""
        return np.array(self.direction) / np.linalg.norm(self.direction)


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


def lamp_irradiance(lamp: Lamp) -> np.ndarray:
    """(9, 3): E(n) = sum_i c_i Y_i(n) of one lamp."""
    return (_COSINE_LOBE * harmonics(lamp.unit))[:, None] * np.array(lamp.colour)


def soft_irradiance(light: Set) -> np.ndarray:
    """(9, 3) of what casts no shadow: the ambient, its up being -y, and the lamps beside the key."""
    sky, ground = np.array(light.sky), np.array(light.ground)
    coefficients = np.zeros((9, 3))
    coefficients[0] = 0.5 * (sky + ground) / 0.282095
    coefficients[1] = -0.5 * (sky - ground) / 0.488603
    return coefficients + sum(lamp_irradiance(lamp) for lamp in light.lamps)


def irradiance(light: Set) -> np.ndarray:
    """(9, 3) of the whole set, nothing in shadow: what a track's `lighting` holds."""
    return soft_irradiance(light) + lamp_irradiance(light.key)


@dataclass(frozen=True)
class ShadowMap:
    """What a distant lamp sees: `depth` [S, S] metres along its rays; `view` (3, 4) from camera space to its px."""

    depth: np.ndarray
    view: np.ndarray


def shadow_map(vertices: np.ndarray, faces: np.ndarray, direction: np.ndarray) -> ShadowMap:
    """vertices: (V, 3), faces: (F, 3).  Williams 1978, "Casting curved shadows on curved surfaces"."""
    frame = _frame(direction)
    seen = vertices @ frame.T  # (V, 3): right, down, away from the lamp
    low = seen.min(axis=0)
    scale = (_SHADOW_SIZE - 4) / float((seen.max(axis=0) - low)[:2].max())
    view = np.concatenate([frame, -low[:, None]], axis=1)  # (3, 4)
    view[:2] *= scale
    view[:2, 3] += 2.0
    view[2, 3] += 1.0
    screen = (vertices @ view[:, :3].T + view[:, 3]).astype(np.float32)
    ids = rasterise_numba(
        torch.from_numpy(screen[None]), torch.from_numpy(faces), _SHADOW_SIZE, _SHADOW_SIZE, Z_NEAR, MIN_DOUBLE_AREA_PX
    )
    depth = _depths(ids[0].numpy(), screen, faces)
    return ShadowMap(depth, view.astype(np.float32))


def lit(points: np.ndarray, shadow: ShadowMap) -> np.ndarray:
    """(N,) share of the lamp that reaches points (N, 3): 0 in shadow, 1 in light, soft between."""
    return _shares(np.ascontiguousarray(points, np.float32), shadow.depth, shadow.view)


def openness(vertices: np.ndarray, normals: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V,) share of the hemisphere over each vertex that is free: ambient occlusion, cosine-weighted."""
    index = np.arange(_OCCLUSION_DIRECTIONS) + 0.5
    height = 1 - 2 * index / _OCCLUSION_DIRECTIONS
    turn = index * (np.pi * (3 - np.sqrt(5)))  # Vogel's spiral
    radius = np.sqrt(1 - height**2)
    free, total = np.zeros(len(vertices)), np.zeros(len(vertices))
    for direction in np.stack([radius * np.cos(turn), height, radius * np.sin(turn)], axis=-1):
        cosine = np.maximum(normals @ direction, 0.0)
        free += cosine * lit(vertices, shadow_map(vertices, faces, direction))
        total += cosine
    return free / np.maximum(total, 1e-6)


def _frame(direction: np.ndarray) -> np.ndarray:
    """Rows: right, down, away, seen from the lamp."""
    away = -np.asarray(direction, float) / np.linalg.norm(direction)
    helper = np.array([0.0, 1.0, 0.0]) if abs(away[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    right = np.cross(helper, away)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(away, right), away])


@numba.njit(cache=True, nogil=True)
def _depths(ids: np.ndarray, screen: np.ndarray, faces: np.ndarray) -> np.ndarray:
    depth = np.full(ids.shape, _EMPTY, np.float32)
    for row in range(ids.shape[0]):
        for column in range(ids.shape[1]):
            face = ids[row, column]
            if face >= 0:
                a, b, c = screen[faces[face, 0]], screen[faces[face, 1]], screen[faces[face, 2]]
                x, y = column + 0.5, row + 0.5
                area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
                v = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
                w = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
                depth[row, column] = a[2] + v * (b[2] - a[2]) + w * (c[2] - a[2])
    return depth


@numba.njit(cache=True, nogil=True)
def share_at(x: float, y: float, z: float, depth: np.ndarray, view: np.ndarray) -> float:
    """Percentage-closer filtering with four bilinear taps (Reeves et al. 1987)."""
    u = view[0, 0] * x + view[0, 1] * y + view[0, 2] * z + view[0, 3] - 0.5
    v = view[1, 0] * x + view[1, 1] * y + view[1, 2] * z + view[1, 3] - 0.5
    own = view[2, 0] * x + view[2, 1] * y + view[2, 2] * z + view[2, 3] - _SHADOW_BIAS_M
    total, last = 0.0, depth.shape[0] - 1
    for tap in range(4):
        right = 0.75 if tap == 2 else (-0.75 if tap == 0 else (0.25 if tap == 1 else -0.25))
        down = 0.75 if tap == 3 else (-0.75 if tap == 1 else (0.25 if tap == 2 else -0.25))
        a, b = u + _SHADOW_SOFT_PX * right, v + _SHADOW_SOFT_PX * down
        column, row = int(np.floor(a)), int(np.floor(b))
        p, q = a - column, b - row
        c0, c1 = min(max(column, 0), last), min(max(column + 1, 0), last)
        r0, r1 = min(max(row, 0), last), min(max(row + 1, 0), last)
        total += (1 - p) * (1 - q) * (depth[r0, c0] > own) + p * (1 - q) * (depth[r0, c1] > own)
        total += (1 - p) * q * (depth[r1, c0] > own) + p * q * (depth[r1, c1] > own)
    return total / 4.0


@numba.njit(cache=True, nogil=True)
def _shares(points: np.ndarray, depth: np.ndarray, view: np.ndarray) -> np.ndarray:
    shares = np.empty(len(points), np.float32)
    for index in range(len(points)):
        shares[index] = share_at(points[index, 0], points[index, 1], points[index, 2], depth, view)
    return shares
