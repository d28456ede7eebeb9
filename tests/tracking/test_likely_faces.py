# SPDX-License-Identifier: Apache-2.0
"""What is likely of a talking face, and of landmarks that FaceMesh misplaces."""

from __future__ import annotations

import pytest
import torch

from dubplate_backend.head.load import load_standin
from dubplate_backend.head.model import HeadModel
from dubplate_backend.tracking.landmark_term import LandmarkTerm, landmark_shares
from dubplate_backend.tracking.misplaced_landmarks import MisplacedLandmarks
from dubplate_backend.tracking.priors import likely_faces
from dubplate_backend.tracking.projection import View
from dubplate_backend.tracking.surface_head import SurfaceHead
from dubplate_backend.tracking.weights import Weights
from dubplate_shared.landmarks import CHIN, LIPS, UPPER_INNER_LIP

NOSE = 4


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_standin()


def test_a_face_goes_the_controls_ways_more_readily_than_any_other(head: HeadModel) -> None:
    weights = Weights()
    precision = likely_faces(head, weights)
    ways = torch.stack([expression for expression, _ in head.controls.values()]).double()
    alone = weights.expression**-2
    for name in ("pucker", "wide", "smile_L", "funnel"):
        way = head.controls[name][0].double()
        way = way / way.norm()
        assert float(way @ precision @ way) < 0.6 * alone, name
    basis = torch.linalg.svd(ways).Vh[torch.linalg.matrix_rank(ways) :]  # ways that no control goes
    other = basis[0]
    assert float(other @ precision @ other) == pytest.approx(alone)


def test_landmarks_tilted_together_cost_nothing_and_one_alone_does(head: HeadModel) -> None:
    term = LandmarkTerm(
        SurfaceHead.of(head),
        View(torch.zeros(1, 2).double(), torch.ones(1).double()),
        torch.zeros(1, 468, 2).double(),
        torch.zeros(1, 468).double(),
        torch.ones(1).double(),
        torch.ones(1).double(),
        Weights(),
    )
    points = term.head.rest()
    middle = points - points.mean(0)
    tilted = torch.linalg.cross(torch.tensor([0.05, 0.02, 0.0]).double().expand_as(middle), middle)
    assert float(MisplacedLandmarks.of(term, tilted).apart().abs().max()) < 1e-6
    shifted = torch.full_like(points, 0.003)
    assert float(MisplacedLandmarks.of(term, shifted).apart().abs().max()) > 0.5
    lone = torch.zeros_like(points)
    lone[NOSE, 2] = Weights().misplaced_m
    assert float(MisplacedLandmarks.of(term, lone).apart().square().sum()) == pytest.approx(1, abs=0.05)


def test_beside_colours_the_chin_s_landmark_is_believed_less_and_the_lips_as_ever(head: HeadModel) -> None:
    jaw_weight = SurfaceHead.of(head).jaw_weight[:, 0]
    beside = landmark_shares(Weights(), jaw_weight)
    alone = landmark_shares(Weights().for_landmarks_alone(), jaw_weight)
    assert torch.equal(beside[list(LIPS)], alone[list(LIPS)])
    assert float(beside[CHIN] / alone[CHIN]) == pytest.approx(Weights().carried_by_jaw) != 1
    assert beside[NOSE] == alone[NOSE]
    assert beside[UPPER_INNER_LIP] < beside[NOSE] < beside[CHIN]
