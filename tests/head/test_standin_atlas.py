# SPDX-License-Identifier: Apache-2.0
"""The stand-in's atlas: everything once, nothing twice, and room for the mouth."""

from __future__ import annotations

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel

SIZE = 1024


def coverage(uv: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """How many triangles hold each texel's middle, borders left out.  [SIZE, SIZE] int."""
    counts = np.zeros((SIZE, SIZE), int)
    for corners in uv[triangles] * SIZE:
        low = np.floor(corners.min(0) - 0.5).astype(int)
        high = np.ceil(corners.max(0) + 0.5).astype(int)
        x, y = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
        inside = np.ones(x.shape, bool)
        for a, b in zip(corners, np.roll(corners, -1, 0), strict=True):
            inside &= (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]) > 1e-9
        counts[low[1] : high[1], low[0] : high[0]] += inside
    return counts


def test_no_two_triangles_share_a_texel(standin: HeadModel):
    uv, triangles = standin.uv.double().numpy(), standin.faces_uv.numpy()
    assert uv.min() >= 0
    assert uv.max() <= 1
    a, b, c = np.moveaxis(uv[triangles], 1, 0)
    turn = np.cross(b - a, c - a)
    assert (turn > 0).all()  # nothing mirrored or folded over: the coverage below would not see it
    counts = coverage(uv, triangles)
    assert counts.max() == 1
    assert (counts == 1).mean() > 0.5  # little of the atlas is wasted


def test_the_mouth_has_room(standin: HeadModel):
    lips = standin.masks["lips"][standin.faces].all(1)
    corners = standin.uv[standin.faces_uv[lips]]
    spread = corners.flatten(0, 1).amax(0) - corners.flatten(0, 1).amin(0)
    assert spread[0] > 0.2  # 51 texels of a 256 texture
    corners = standin.uv[standin.faces_uv]
    sides = corners[:, 1:] - corners[:, :1]
    area = (sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]).abs() / 2
    redraw = standin.masks["redraw"][standin.faces].all(1)
    assert area[redraw].sum() > 0.2


def test_every_vertex_of_a_face_and_its_picture_correspond(standin: HeadModel):
    """A picture's vertex belongs to one vertex of the head: seams may repeat vertices, never mix them."""
    owner = torch.full((len(standin.uv),), -1)
    owner[standin.faces_uv.flatten()] = standin.faces.flatten()
    assert torch.equal(owner[standin.faces_uv], standin.faces)
