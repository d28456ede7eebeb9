# SPDX-License-Identifier: Apache-2.0
"""The head cut down to landmarks is the head: same points, true derivatives."""

from __future__ import annotations

import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.tracking.landmark_head import LandmarkHead


def codes(*sizes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(*size, generator=generator, dtype=torch.float64) for size in sizes]


def test_its_points_are_the_head_models_landmarks(head: HeadModel) -> None:
    shape, expression, eyelids, jaw = codes((300,), (4, 100), (4, 2), (4, 3))
    jaw = jaw * 0.3
    precise = head.double()
    true = precise.landmarks(precise.vertices(shape, expression, jaw, eyelids=eyelids))
    reduced = LandmarkHead.of(head)
    assert (reduced.points(shape, expression, eyelids, jaw) - true).abs().max() < 1e-7
    shaped = reduced.shaped(shape)
    assert (shaped.points(shape[:0], expression, eyelids, jaw) - true).abs().max() < 1e-7


def test_its_derivatives_are_those_of_its_points(head: HeadModel) -> None:
    shape, expression, eyelids, jaw = codes((300,), (2, 100), (2, 2), (2, 3))
    reduced = LandmarkHead.of(head)
    _, jacobian = reduced.jacobian(shape, expression, eyelids, jaw)  # [2, 468, 3, 405]
    directions = codes((5, 405))[0]
    step = 1e-6
    for direction in directions:
        ends = [
            reduced.points(
                shape + sign * step * direction[105:],
                expression + sign * step * direction[3:103],
                eyelids + sign * step * direction[103:105],
                jaw + sign * step * direction[:3],
            )
            for sign in (1, -1)
        ]
        assert ((ends[0] - ends[1]) / (2 * step) - jacobian @ direction).abs().max() < 1e-7
