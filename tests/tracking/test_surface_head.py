# SPDX-License-Identifier: Apache-2.0
"""The head cut down to points of its surface is the head: same points, true derivatives."""

from __future__ import annotations

import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.tracking.surface_head import SurfaceHead
from dubplate_backend.tracking.surface_points import surface_points


def codes(*sizes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(*size, generator=generator, dtype=torch.float64) for size in sizes]


def test_its_points_are_the_head_models_landmarks(head: HeadModel) -> None:
    shape, expression, eyelids, jaw, neck = codes((300,), (4, 100), (4, 2), (4, 3), (4, 3))
    jaw, neck = jaw * 0.3, neck * 0.3
    precise = head.double()
    true = precise.landmarks(precise.vertices(shape, expression, jaw, neck, eyelids=eyelids))
    reduced = SurfaceHead.of(head)
    assert (reduced.points(shape, expression, eyelids, jaw, neck) - true).abs().max() < 1e-7
    shaped = reduced.shaped(shape)
    assert (shaped.points(shape[:0], expression, eyelids, jaw, neck) - true).abs().max() < 1e-7


def test_points_anywhere_on_the_skin_are_the_head_models(head: HeadModel) -> None:
    points = surface_points(head, 300)
    shape, expression, eyelids, jaw, neck = codes((300,), (2, 100), (2, 2), (2, 3), (2, 3))
    precise = head.double()
    vertices = precise.vertices(shape, expression, jaw * 0.3, neck * 0.3, eyelids=eyelids)
    reduced = SurfaceHead.of(head, points.faces, points.barycentrics)
    found = reduced.points(shape, expression, eyelids, jaw * 0.3, neck * 0.3)
    assert (found - points.of_vertices(precise, vertices)).abs().max() < 1e-7


def test_skin_is_compared_most_closely_around_the_mouth(head: HeadModel) -> None:
    points = surface_points(head)
    assert 0.25 < points.mouth.double().mean() < 0.6
    assert 0 < points.neck.double().mean() < 0.25
    inside = head.masks["mouth"] | head.masks["eyes"]
    assert not inside[head.faces[points.faces]].any()


def test_its_derivatives_are_those_of_its_points(head: HeadModel) -> None:
    shape, expression, eyelids, jaw, neck = codes((300,), (2, 100), (2, 2), (2, 3), (2, 3))
    reduced = SurfaceHead.of(head)
    left = codes((2, 468, 2, 3))[0]
    rows = reduced.rows(reduced.posed(shape, expression, eyelids, jaw, neck), left, with_shape=True)  # [2, 468, 2, 408]
    step = 1e-6
    for direction in codes((5, 408))[0]:
        ends = [
            reduced.points(
                shape + sign * step * direction[108:],
                expression + sign * step * direction[3:103],
                eyelids + sign * step * direction[103:105],
                jaw + sign * step * direction[:3],
                neck + sign * step * direction[105:108],
            )
            for sign in (1, -1)
        ]
        slope = (left @ ((ends[0] - ends[1]) / (2 * step))[..., None])[..., 0]
        assert (slope - rows @ direction).abs().max() < 1e-6


def test_a_landmark_that_is_moved_goes_with_what_carries_it(head: HeadModel) -> None:
    reduced = SurfaceHead.of(head)
    shape, expression, eyelids, jaw, neck = codes((300,), (2, 100), (2, 2), (2, 3), (2, 3))
    at = (shape, expression, eyelids, jaw * 0.3, neck * 0.3)
    offset = torch.zeros(468, 3, dtype=torch.float64)
    offset[152, 1] = 0.01
    moved = reduced.moved_by(offset).points(*at) - reduced.points(*at)
    assert torch.allclose(torch.linalg.norm(moved[:, 152], dim=-1), torch.tensor(0.01, dtype=torch.float64), atol=2e-4)
    assert not moved[:, :152].any()
