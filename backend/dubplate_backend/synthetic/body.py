# SPDX-License-Identifier: Apache-2.0
"""The synthetic actor's shoulders: a knitted pullover lofted round the neck of any head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.synthetic.noise import Noise

_AROUND = 64
_CLOTH = np.array([0.030, 0.052, 0.066])  # linear RGB, a dark teal wool
_STITCH_M = 0.0045
# Height over the neck's foot, half width, half depth, shift to the back [m]: collar, trapezius, shoulders, chest.
# Widths of a 50th-percentile man (Gordon et al. 1989, ANSUR: neck breadth 0.12 m, biacromial 0.40 m).
_RINGS = np.array([
    (0.030, 0.066, 0.066, 0.000),
    (0.036, 0.071, 0.071, 0.000),
    (0.030, 0.077, 0.076, 0.001),
    (0.012, 0.083, 0.080, 0.003),
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
    """vertices: [N, 3] head space at rest.  faces: [F, 3].  colours: [N, 3] linear.  pivot: [3], the neck's foot."""

    vertices: torch.Tensor
    faces: torch.Tensor
    colours: torch.Tensor
    pivot: torch.Tensor


def dress(head: HeadModel, shape: torch.Tensor, *, seed: int) -> Body:
    """The pullover that fits this person's neck.   shape: [300]."""
    vertices = head.shaped(shape)[0][0].double().numpy()
    foot, radius = _neck_foot(vertices, head.landmarks(head.shaped(shape)[0])[0].double().numpy())
    rings = _resample(_RINGS, _FINE_ROWS)
    widen = np.clip(1.0 - (rings[:, 1] - _RINGS[0, 1]) / 0.06, 0.0, 1.0)  # the collar follows this neck, the rest a man
    half_x = rings[:, 1] + widen * (radius[0] + 0.004 - _RINGS[0, 1])
    half_z = rings[:, 2] + widen * (radius[1] + 0.004 - _RINGS[0, 2])
    angle = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
    roundness = 0.82  # superellipse: shoulders are squarer than an ellipse
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** roundness
    z = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** roundness
    points = np.stack(
        [
            foot[0] + half_x[:, None] * x,
            np.broadcast_to(
                foot[1] + rings[:, :1] - 0.018 * (half_x[:, None] > 0.1) * np.maximum(z, 0) ** 2, (len(rings), _AROUND)
            ),
            foot[2] + half_z[:, None] * z - rings[:, 3:],
        ],
        axis=-1,
    )  # [R, A, 3]
    flat = points.reshape(-1, 3)
    colours = _knit(flat, seed)
    return Body(
        torch.from_numpy(flat.astype(np.float32)),
        torch.from_numpy(_quads(len(rings), _AROUND)),
        torch.from_numpy(colours.astype(np.float32)),
        torch.from_numpy(foot.astype(np.float32)),
    )


def knit_relief(points: np.ndarray, foot_y: float) -> np.ndarray:
    """(N,) height of the knit, -1..1: ribs on the collar, stockinette below."""
    ribs = np.sin(2 * np.pi * points[:, 0] / _STITCH_M)
    return np.where(
        points[:, 1] > foot_y - 0.002, ribs, 0.6 * ribs + 0.4 * np.sin(2 * np.pi * points[:, 1] / _STITCH_M)
    )


def _neck_foot(vertices: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre of the collar [3], and the neck's half width and half depth there."""
    bottom = vertices[:, 1].min()
    chin = landmarks[152, 1]
    height = bottom + 0.30 * (chin - bottom)
    slab = vertices[np.abs(vertices[:, 1] - height) < 0.010]
    centre = 0.5 * (slab.max(axis=0) + slab.min(axis=0))
    half = 0.5 * (slab.max(axis=0) - slab.min(axis=0))
    return np.array([centre[0], height - 0.02, centre[2]]), half[[0, 2]]


def _knit(points: np.ndarray, seed: int) -> np.ndarray:
    noise = Noise(seed + 1)
    return _CLOTH * (1 + 0.16 * noise(points, 0.05, octaves=3) + 0.10 * noise(points, 0.006))[:, None]


def _resample(rings: np.ndarray, count: int) -> np.ndarray:
    """Rings joined by Catmull-Rom splines."""
    at = np.linspace(0, len(rings) - 1, count)
    low = np.clip(at.astype(int), 0, len(rings) - 2)
    t = (at - low)[:, None]
    p0, p1, p2, p3 = (rings[np.clip(low + step, 0, len(rings) - 1)] for step in (-1, 0, 1, 2))
    return 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)


def _quads(rows: int, columns: int) -> np.ndarray:
    """[F, 3] triangles of a tube, counter-clockwise from outside; rows run downwards."""
    row, column = np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij")
    a = row * columns + column
    b = row * columns + (column + 1) % columns
    c, d = a + columns, b + columns
    return np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)]).astype(
        np.int64
    )
