# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch
from torch import Tensor

from dubplate_backend.raster.camera import to_camera, vertices_to_screen


def bumpy_ball(rings: int = 40, sectors: int = 60) -> tuple[Tensor, Tensor]:
    """A closed head-sized surface with hollows and noses: [V, 3] metres, [F, 3]."""
    polar = torch.linspace(0.02, math.pi - 0.02, rings)
    around = torch.linspace(0, 2 * math.pi, sectors + 1)[:-1]
    p, a = torch.meshgrid(polar, around, indexing="ij")
    radius = (
        0.1 + 0.012 * torch.sin(5 * a) * torch.sin(4 * p) + 0.02 * torch.exp(-8 * ((p - 1.6) ** 2 + (a - 1.5) ** 2))
    )
    vertices = torch.stack([radius * p.sin() * a.cos(), radius * p.cos(), radius * p.sin() * a.sin()], -1).reshape(
        -1, 3
    )
    ring = torch.arange(rings - 1)[:, None] * sectors
    here, following = torch.arange(sectors)[None], (torch.arange(sectors)[None] + 1) % sectors
    first = torch.stack([ring + here, ring + following, ring + sectors + here], -1).reshape(-1, 3)
    second = torch.stack([ring + following, ring + sectors + following, ring + sectors + here], -1).reshape(-1, 3)
    return vertices, torch.cat([first, second])


@pytest.fixture(scope="session")
def ball() -> tuple[Tensor, Tensor]:
    return bumpy_ball()


@pytest.fixture(scope="session")
def ball_on_screen(ball: tuple[Tensor, Tensor]) -> Tensor:
    """Three views of the ball on a picture of 160 x 120: [3, V, 3]."""
    generator = torch.Generator().manual_seed(3)
    rotation = torch.randn((3, 3), generator=generator)
    translation = torch.tensor([[0.0, 0.0, 0.5], [0.03, -0.02, 0.45], [0.06, 0.05, 0.4]])
    intrinsics = torch.tensor([[220.0, 220.0, 80.0, 60.0]]).expand(3, 4)
    return vertices_to_screen(to_camera(ball[0].expand(3, -1, -1), rotation, translation), intrinsics, None, None)
