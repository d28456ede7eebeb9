# SPDX-License-Identifier: Apache-2.0
"""A shadow is told from the skin's own detail: the one is smooth over the skin, the other is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dubplate_backend.tracking.local_shade import LocalShade

SKIN_M = 0.06  # side of a flat square of skin
POINTS = 1500


@pytest.fixture(scope="module")
def points() -> Tensor:
    places = np.random.default_rng(1).uniform(0, SKIN_M, (POINTS, 2))
    return torch.from_numpy(np.column_stack((places, np.zeros(POINTS)))).float()


@pytest.fixture(scope="module")
def shade(points: Tensor) -> LocalShade:
    return LocalShade.of(points)


def shadow_over(points: Tensor) -> Tensor:
    """[1, N, 1]: skin half as bright on one side, over 3 cm."""
    return (0.75 + 0.25 * torch.tanh((points[:, 0] - SKIN_M / 2) / 0.015))[None, :, None]


def test_a_shadow_is_found_where_it_lies(points: Tensor, shade: LocalShade) -> None:
    lit = torch.full((1, POINTS, 3), 0.3)
    shadow = shadow_over(points)
    nothing, whole = torch.zeros(1, POINTS), torch.ones(1, POINTS)
    factor = shade.factor(lit * shadow, lit, nothing, whole)
    inside = ((points[:, 0] > 0.01) & (points[:, 0] < SKIN_M - 0.01))[None]
    assert float((factor - shadow).abs()[inside].mean()) < 0.02
    assert float((1 - shadow).abs()[inside].mean()) > 0.2


def test_marks_of_the_skin_are_left_to_move_the_head(points: Tensor, shade: LocalShade) -> None:
    lit = torch.full((1, POINTS, 3), 0.3)
    marks = 1 + 0.2 * torch.from_numpy(np.random.default_rng(2).choice([-1.0, 1.0], (1, POINTS, 1))).float()
    nothing, whole = torch.zeros(1, POINTS), torch.ones(1, POINTS)
    factor = shade.factor(lit * marks * shadow_over(points), lit, nothing, whole)
    left = (lit * marks * shadow_over(points) / (lit * factor)).log()[0, :, 0]
    told = np.corrcoef(left.numpy(), marks[0, :, 0].log().numpy())[0, 1]
    assert told > 0.9


def test_what_is_no_skin_casts_no_shade(points: Tensor, shade: LocalShade) -> None:
    lit = torch.full((1, POINTS, 3), 0.3)
    hand = (points[:, 1] < 0.01)[None]
    shown = torch.where(hand[..., None], torch.tensor(0.02), lit)
    error = torch.where(hand, 0.4, 0.0)
    factor = shade.factor(shown, lit, error, torch.ones(1, POINTS))
    assert float((factor[~hand] - 1).abs().max()) < 0.05
    unseen = shade.factor(shown, lit, torch.zeros(1, POINTS), torch.zeros(1, POINTS))
    assert torch.equal(unseen, torch.ones_like(unseen))
