# SPDX-License-Identifier: Apache-2.0
"""The synthetic actor's shoulders: a knitted pullover lofted round the neck of any head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_shared.landmarks import CHIN

_AROUND = 64
_COLLAR_GAP_M = 0.004
_COLLAR_SHARE = 0.06  # of the way from the neck's end to the chin
_ROUNDNESS = 0.82  # superellipse: shoulders are squarer than an ellipse
_CHEST_DROP_M = 0.018
# Height over the neck's foot, half width, half depth, shift to the back [m]: collar, trapezius, shoulders, chest.
# Widths of a 50th-percentile man (Gordon et al. 1989, ANSUR: neck breadth 0.12 m, biacromial 0.40 m).
_RINGS = np.array([
    (0.030, 0.066, 0.066, 0.000),
    (0.036, 0.068, 0.068, 0.000),
    (0.030, 0.072, 0.072, 0.001),
    (0.012, 0.077, 0.076, 0.003),
    (0.002, 0.100, 0.086, 0.006),
    (-0.012, 0.140, 0.096, 0.010),
    (-0.030, 0.180, 0.104, 0.014),
    (-0.055, 0.206, 0.110, 0.016),
    (-0.095, 0.222, 0.116, 0.014),
    (-0.150, 0.230, 0.122, 0.010),
    (-0.300, 0.228, 0.128, 0.006),
    (-0.450, 0.220, 0.128, 0.006),
])  # fmt: skip
_FINE_ROWS = 72


@dataclass(frozen=True)
class Body:
    """vertices: (N, 3) head space at rest.  faces: (F, 3).  uv: (F, 3, 2) turns round the body and metres downwards.
    pivot: (3,), the neck's foot.
    """

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    pivot: np.ndarray


def dress(head: HeadModel, shape: torch.Tensor) -> Body:
    """The pullover that fits this person's neck.   shape: [300]."""
    rest = head.shaped(shape)[0]  # [1, V, 3]
    vertices = rest[0].double().numpy()
    faces = head.faces.numpy()
    foot = _neck_foot(vertices, faces, float(head.landmarks(rest)[0, CHIN, 1]))
    rings = _resample(_RINGS, _FINE_ROWS)
    neck = (
        np.array([_neck_extent(vertices, faces, foot, foot[1] + height) for height in rings[:, 0]]) + _COLLAR_GAP_M
    )  # (R, 2)
    # The collar hugs this neck; further down the cloth falls from a man's shoulders, but never into the neck.
    collar = np.clip(1.0 - (rings[:, 1] - _RINGS[0, 1]) / 0.04, 0.0, 1.0)[:, None]
    half = np.maximum(rings[:, 1:3] + collar * (neck + rings[:, 1:3] - _RINGS[0, 1:3] - rings[:, 1:3]), neck)
    half_x, half_z = half[:, :1], half[:, 1:]
    angle = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** _ROUNDNESS
    z = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** _ROUNDNESS
    y = rings[:, :1] - _CHEST_DROP_M * (half_x > 0.1) * np.maximum(z, 0) ** 2  # the neckline hangs lower in front
    points = np.stack([foot[0] + half_x * x, foot[1] + y, foot[2] + half_z * z - rings[:, 3:]], axis=-1)  # (R, A, 3)
    down = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=-1).mean(axis=1))])
    triangles, uv = _tube(down)
    return Body(points.reshape(-1, 3).astype(np.float32), triangles, uv.astype(np.float32), foot.astype(np.float32))


def _neck_foot(vertices: np.ndarray, faces: np.ndarray, chin: float) -> np.ndarray:
    """(3,) the neck's axis where the collar stands.  chin: its height."""
    bottom = vertices[:, 1].min()
    height = bottom + _COLLAR_SHARE * (chin - bottom)
    section = _section(vertices, faces, height)
    return np.array([0.5 * (section[:, 0].max() + section[:, 0].min()), height, section[:, 2].mean()])


def _neck_extent(vertices: np.ndarray, faces: np.ndarray, foot: np.ndarray, height: float) -> np.ndarray:
    """(2,) how far the neck reaches from its axis at a height, to the side and to front or back; 0 below its end."""
    section = _section(vertices, faces, height)
    return np.abs(section - foot)[:, [0, 2]].max(axis=0) if len(section) else np.zeros(2)


def _section(vertices: np.ndarray, faces: np.ndarray, height: float) -> np.ndarray:
    """(N, 3) where the mesh's edges cross a height."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    start, end = vertices[edges[:, 0]], vertices[edges[:, 1]]
    crossing = (start[:, 1] < height) & (end[:, 1] >= height)
    start, end = start[crossing], end[crossing]
    return start + (end - start) * ((height - start[:, 1]) / (end[:, 1] - start[:, 1]))[:, None]


def _resample(rings: np.ndarray, count: int) -> np.ndarray:
    """Rings joined by Catmull-Rom splines."""
    at = np.linspace(0, len(rings) - 1, count)
    low = np.clip(at.astype(int), 0, len(rings) - 2)
    t = (at - low)[:, None]
    p0, p1, p2, p3 = (rings[np.clip(low + step, 0, len(rings) - 1)] for step in (-1, 0, 1, 2))
    return 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)


def _tube(down: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(F, 3) triangles of the rings, counter-clockwise from outside, and their (F, 3, 2) turns and metres down."""
    row, column = (grid.ravel() for grid in np.meshgrid(np.arange(len(down) - 1), np.arange(_AROUND), indexing="ij"))
    corners = {"a": (row, column), "b": (row, column + 1), "c": (row + 1, column), "d": (row + 1, column + 1)}
    index = {name: r * _AROUND + k % _AROUND for name, (r, k) in corners.items()}
    place = {name: np.stack([k / _AROUND, down[r]], axis=-1) for name, (r, k) in corners.items()}
    triangles = ("acb", "bcd")
    faces = np.concatenate([np.stack([index[name] for name in names], axis=-1) for names in triangles])
    uv = np.concatenate([np.stack([place[name] for name in names], axis=1) for names in triangles])
    return faces.astype(np.int64), uv
