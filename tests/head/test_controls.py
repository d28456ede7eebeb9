# SPDX-License-Identifier: Apache-2.0
"""Controls do what their names say, on the stand-in and as solved for any head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dubplate_backend.head.controls import solve_controls
from dubplate_backend.head.model import HeadModel
from dubplate_shared.controls import CONTROL_NAMES
from dubplate_shared.landmarks import inter_ocular

Controls = dict[str, tuple[Tensor, Tensor]]


@pytest.fixture(scope="module", params=["own", "solved"])
def controls(request: pytest.FixtureRequest, standin: HeadModel) -> Controls:
    """The stand-in's own controls, and what solving finds for it as for any other head."""
    return standin.controls if request.param == "own" else solve_controls(standin)


def landmarks(head: HeadModel, controls: Controls, jaw_deg: float = 0.0, **values: float) -> np.ndarray:
    """[468, 3] over the inter-ocular distance at rest."""
    expression, jaw = torch.zeros(100), torch.tensor([np.radians(jaw_deg), 0, 0], dtype=torch.float32)
    for name, value in values.items():
        expression, jaw = expression + value * controls[name][0], jaw + value * controls[name][1]
    points = head.landmarks(head.vertices(torch.zeros(300), expression[None], jaw[None]))[0].numpy()
    return points / inter_ocular(head.landmarks(head.template[None])[0].numpy())


def mouth_gap(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[13] - points[14]))


def mouth_width(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[61] - points[291]))


def test_every_control_of_the_contract_is_there(controls: Controls):
    assert tuple(controls) == CONTROL_NAMES


def test_jaw_open_is_twenty_degrees_of_jaw(controls: Controls):
    expression, jaw = controls["jaw_open"]
    assert torch.count_nonzero(expression) == 0
    assert jaw.tolist() == pytest.approx([np.radians(20), 0, 0])


def test_lips_close_seals_a_mouth_that_the_jaw_has_opened(standin: HeadModel, controls: Controls):
    opened = mouth_gap(landmarks(standin, controls, jaw_deg=10))
    half = mouth_gap(landmarks(standin, controls, jaw_deg=10, lips_close=0.5))
    sealed = landmarks(standin, controls, jaw_deg=10, lips_close=1)
    assert opened > 0.12
    assert mouth_gap(sealed) < 0.02 < half < 0.65 * opened
    for upper, lower in ((81, 178), (80, 88), (311, 402), (310, 318)):
        assert np.linalg.norm(sealed[upper] - sealed[lower]) < 0.03


def test_pucker_narrows_and_wide_widens_the_mouth(standin: HeadModel, controls: Controls):
    rest = landmarks(standin, controls)
    pucker, wide = landmarks(standin, controls, pucker=1), landmarks(standin, controls, wide=1)
    assert mouth_width(pucker) < 0.75 * mouth_width(rest)
    assert pucker[0, 2] > rest[0, 2] + 0.05  # and the lips come forward
    assert mouth_width(wide) > 1.2 * mouth_width(rest)


def test_funnel_rounds_and_parts_the_lips(standin: HeadModel, controls: Controls):
    rest, funnel = landmarks(standin, controls), landmarks(standin, controls, funnel=1)
    assert mouth_width(funnel) < 0.85 * mouth_width(rest)
    assert mouth_gap(funnel) > 0.04
    assert funnel[17, 2] > rest[17, 2] + 0.04


@pytest.mark.parametrize(("side", "here", "there"), [("L", 291, 61), ("R", 61, 291)])
def test_a_smile_lifts_its_own_corner_alone(standin: HeadModel, controls: Controls, side: str, here: int, there: int):
    moved = landmarks(standin, controls, **{f"smile_{side}": 1}) - landmarks(standin, controls)
    assert moved[here, 1] > 0.04
    assert abs(moved[here, 0]) > 0.04
    assert np.linalg.norm(moved[there]) < 0.02


@pytest.mark.parametrize(("side", "here", "there"), [("L", 278, 48), ("R", 48, 278)])
def test_a_sneer_lifts_its_own_side_of_the_nose(
    standin: HeadModel, controls: Controls, side: str, here: int, there: int
):
    moved = landmarks(standin, controls, **{f"sneer_{side}": 1}) - landmarks(standin, controls)
    assert moved[here, 1] > 0.02
    assert np.linalg.norm(moved[there]) < 0.5 * np.linalg.norm(moved[here])


def test_each_lip_moves_by_itself(standin: HeadModel, controls: Controls):
    rest = landmarks(standin, controls)
    up, down = landmarks(standin, controls, upper_lip_raise=1), landmarks(standin, controls, lower_lip_drop=1)
    assert up[13, 1] - rest[13, 1] > 0.04
    assert np.linalg.norm(up[14] - rest[14]) < 0.015
    assert rest[14, 1] - down[14, 1] > 0.05
    assert np.linalg.norm(down[13] - rest[13]) < 0.015


def test_press_thins_the_lips_without_opening_them(standin: HeadModel, controls: Controls):
    rest, press = landmarks(standin, controls), landmarks(standin, controls, press=1)
    assert press[0, 1] - press[17, 1] < 0.8 * (rest[0, 1] - rest[17, 1])
    assert mouth_gap(press) < 0.03


@pytest.mark.parametrize(("side", "here", "there"), [("L", (386, 374), (159, 145)), ("R", (159, 145), (386, 374))])
def test_a_blink_closes_its_own_eye(standin: HeadModel, controls: Controls, side: str, here: tuple, there: tuple):
    points = landmarks(standin, controls, **{f"blink_{side}": 1})
    assert np.linalg.norm(points[here[0]] - points[here[1]]) < 0.03
    assert np.linalg.norm(points[there[0]] - points[there[1]]) > 0.08


@pytest.mark.parametrize(("side", "here", "there"), [("L", 334, 105), ("R", 105, 334)])
def test_a_brow_rises_on_its_own_side(standin: HeadModel, controls: Controls, side: str, here: int, there: int):
    moved = landmarks(standin, controls, **{f"brow_raise_{side}": 1}) - landmarks(standin, controls)
    assert moved[here, 1] > 0.05
    assert np.linalg.norm(moved[there]) < 0.02


def test_solving_finds_the_directions_that_the_stand_in_was_built_with(standin: HeadModel):
    solved = solve_controls(standin)
    for name, (expression, jaw) in standin.controls.items():
        if name == "jaw_open":
            continue
        found = solved[name][0]
        if not name.startswith("blink"):  # many solutions: two components close one lid
            assert torch.cosine_similarity(found, expression, dim=0) > 0.9, name
        assert torch.equal(solved[name][1], jaw)


def test_solved_controls_need_no_heroic_effort(standin: HeadModel):
    for name, (expression, _) in solve_controls(standin).items():
        assert expression.norm() < 4, name  # standard deviations
