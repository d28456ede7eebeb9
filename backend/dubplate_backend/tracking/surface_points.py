# SPDX-License-Identifier: Apache-2.0
"""Which points of the skin are compared with the picture: spread evenly over the face, densest around the mouth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dubplate_backend.head.model import HeadModel
from dubplate_shared.landmarks import INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE

COUNT = 2400
NEAR_M = 0.012  # around lips and eyes
INNER_M = 0.004  # of the line at which lips meet
MOUTH_DENSITY, EYES_DENSITY, FACE_DENSITY, NECK_DENSITY = 9.0, 2.0, 1.0, 0.4
# Plastic number's powers: a sequence that fills a square evenly (Roberts 2018, R2 sequence).
R2 = (0.7548776662466927, 0.5698402909980532)


@dataclass(frozen=True)
class SurfacePoints:
    """faces: [N] int64.  barycentrics: [N, 3].  mouth, inner_lips, neck: [N] bool, whether a point lies near the lips,
    where they meet, on the neck."""

    faces: Tensor
    barycentrics: Tensor
    mouth: Tensor
    inner_lips: Tensor
    neck: Tensor

    def of_vertices(self, head: HeadModel, values: Tensor) -> Tensor:
        """Values of vertices [..., V, C] at the points, [..., N, C]."""
        corners = values[..., head.faces[self.faces], :]  # [..., N, 3, C]
        return (corners * self.barycentrics[..., None].to(values.dtype)).sum(-2)


def surface_points(head: HeadModel, count: int = COUNT) -> SurfacePoints:
    """`count` points on the skin of face and neck. The same for the same head."""
    points = head.template.double()
    corners = points[head.faces]  # [F, 3, 3]
    area = torch.linalg.norm(torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), dim=-1)
    centre = corners.mean(1)
    landmarks = head.landmarks(head.template[None])[0].double()
    covered = skin(head)[head.faces].all(1)
    mouth = near(centre, landmarks[[*OUTER_LIPS, *INNER_LIPS]], NEAR_M)
    inner_lips = near(centre, landmarks[[*INNER_LIPS]], INNER_M)
    eyes = near(centre, landmarks[[*LEFT_EYE, *RIGHT_EYE]], NEAR_M)
    neck = head.masks["neck"][head.faces].any(1) & ~head.masks["face"][head.faces].all(1)
    density = torch.full_like(area, FACE_DENSITY)
    density[neck] = NECK_DENSITY
    density[eyes] = EYES_DENSITY
    density[mouth] = MOUTH_DENSITY
    reached = torch.cumsum(area * density * covered, 0)
    places = (torch.arange(count, dtype=torch.float64) + 0.5) / count * reached[-1]
    chosen = torch.searchsorted(reached, places).clamp(max=len(area) - 1)
    index = torch.arange(1, count + 1, dtype=torch.float64)
    u, v = (index * R2[0]) % 1, (index * R2[1]) % 1
    flip = u + v > 1
    u, v = torch.where(flip, 1 - u, u), torch.where(flip, 1 - v, v)
    return SurfacePoints(chosen, torch.stack((1 - u - v, u, v), 1), mouth[chosen], inner_lips[chosen], neck[chosen])


def skin(head: HeadModel) -> Tensor:
    """[V] bool: vertices whose colour is skin's or the lips' own; no eyes, nothing of the mouth's inside, no hair."""
    wanted = head.masks["face"] | head.masks["neck"]
    for name in ("eyes", "mouth", "socket", "scalp", "ears"):
        if name in head.masks:
            wanted = wanted & ~head.masks[name]
    return wanted


def near(points: Tensor, others: Tensor, reach_m: float) -> Tensor:
    """[F] bool: points [F, 3] within reach_m of any of others [M, 3]."""
    return torch.cdist(points, others).min(1).values < reach_m
