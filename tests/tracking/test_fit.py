# SPDX-License-Identifier: Apache-2.0
"""The fit: a head whose motion is known is found again from its landmarks alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.tracking.checkpoint import Checkpoint
from dubplate_backend.tracking.faces import Faces
from dubplate_backend.tracking.fit import Fit, blended, fit_head, in_between, key_frames, turn_spread, windows_of
from dubplate_backend.tracking.landmark_term import LandmarkTerm
from dubplate_backend.tracking.lens import Lens
from dubplate_backend.tracking.normal import Normal
from dubplate_backend.tracking.priors import Priors, likely_faces
from dubplate_backend.tracking.problem import Problem
from dubplate_backend.tracking.projection import View
from dubplate_backend.tracking.settings import TrackSettings
from dubplate_backend.tracking.solver import Search, descend
from dubplate_backend.tracking.surface_head import SurfaceHead
from dubplate_backend.tracking.unknowns import TURN, UNKNOWNS
from dubplate_backend.tracking.weights import Weights
from dubplate_shared.errors import Cancelled
from dubplate_shared.landmarks import landmark_error, lip_gap
from dubplate_shared.progress import Stop, never, silent
from dubplate_shared.rotations import matrix_from_axis_angle

WIDTH, HEIGHT = 640, 480
FRAMES = 12
TIMES = np.arange(FRAMES) / 25
JAW_DEG = 7 + 6 * np.sin(np.arange(FRAMES))
HOLE = 5


def filmed(head: HeadModel, focal: float) -> Faces:
    """Landmarks of a head that turns, comes nearer and opens its jaw, every frame seen."""
    generator = torch.Generator().manual_seed(1)
    shape = torch.randn(300, generator=generator) * 0.5
    jaw = torch.zeros(FRAMES, 3)
    jaw[:, 0] = torch.from_numpy(np.deg2rad(JAW_DEG)).float()
    points = head.landmarks(head.vertices(shape, torch.zeros(1, 100), jaw)).double().numpy()
    turns = np.stack([0.1 * np.cos(np.arange(FRAMES) / 3), np.linspace(-0.3, 0.3, FRAMES), np.zeros(FRAMES)], 1)
    rotation = matrix_from_axis_angle(turns) @ np.diag([1.0, -1.0, -1.0])
    shift = np.stack([np.linspace(-0.05, 0.05, FRAMES), np.zeros(FRAMES), np.linspace(0.9, 0.8, FRAMES)], 1)
    camera = np.einsum("tij,tnj->tni", rotation, points) + shift[:, None]
    landmarks = np.zeros((FRAMES, 478, 2), np.float32)
    landmarks[:, :468] = camera[..., :2] / camera[..., 2:] * focal + (WIDTH / 2, HEIGHT / 2)
    depth = np.zeros((FRAMES, 478), np.float32)
    depth[:, :468] = camera[..., 2] / shift[:, None, 2] * focal
    return Faces(landmarks, depth, np.ones(FRAMES, np.float32), 1)


class Black:
    """Footage that is never looked at."""

    width, height, times, pixel_aspect, fields, count, variable_rate = WIDTH, HEIGHT, TIMES, 1.0, False, FRAMES, False


def fitted(head: HeadModel, faces: Faces, focal: float | None, stop: Stop = never) -> Fit:
    lens = replace(Lens.unknown(WIDTH, HEIGHT, FRAMES), focal_px=focal)
    settings = TrackSettings(photometric=False)
    return fit_head(head, faces, Black(), lens, settings=settings, checkpoint=Checkpoint(), progress=silent, stop=stop)


@pytest.fixture(scope="module")
def known_focal() -> float:
    return 900.0


@pytest.fixture(scope="module")
def found(head: HeadModel, known_focal: float) -> Fit:
    """The fit of those landmarks, frame HOLE showing no face."""
    faces = filmed(head, known_focal)
    for array in (faces.landmarks_px, faces.depth_px, faces.confidence):
        array[HOLE] = 0
    return fitted(head, faces, known_focal)


def projected(head: HeadModel, fit: Fit) -> np.ndarray:
    codes = [torch.from_numpy(array).float() for array in (fit.shape, fit.expression, fit.jaw)]
    points = head.landmarks(head.vertices(*codes, eyelids=torch.from_numpy(fit.eyelids).float())).double().numpy()
    camera = np.einsum("tij,tnj->tni", fit.rotation, points) + fit.translation[:, None]
    return camera[..., :2] / camera[..., 2:] * fit.intrinsics[:, None, :2] + (WIDTH / 2, HEIGHT / 2)


def test_the_found_head_lies_on_the_landmarks(head: HeadModel, found: Fit, known_focal: float) -> None:
    true = filmed(head, known_focal).landmarks_px[:, :468].astype(np.float64)
    seen = np.arange(FRAMES) != HOLE
    assert found.intrinsics[0, 0] == pytest.approx(known_focal, rel=0.01)
    assert landmark_error(projected(head, found), true)[seen].max() < 0.01
    assert np.abs(lip_gap(projected(head, found)) - lip_gap(true))[seen].max() < 0.005


def test_the_jaw_carries_the_opening_of_the_mouth(found: Fit) -> None:
    jaw_deg = np.rad2deg(found.jaw[:, 0])
    assert np.corrcoef(jaw_deg, JAW_DEG)[0, 1] > 0.97
    assert np.ptp(jaw_deg) > 0.6 * np.ptp(JAW_DEG)


def test_a_frame_without_a_face_lies_between_its_neighbours(found: Fit) -> None:
    middle = (found.translation[HOLE - 1] + found.translation[HOLE + 1]) / 2
    assert np.allclose(found.translation[HOLE], middle, atol=1e-9)


def test_a_fit_can_be_stopped(head: HeadModel, known_focal: float) -> None:
    faces = filmed(head, known_focal)
    with pytest.raises(Cancelled):
        fitted(head, faces, None, stop=lambda: True)


@pytest.mark.parametrize("count", [1, 2, 24, 25, 255, 256, 257, 488, 489, 1506])
def test_windows_cover_every_frame_and_fade_into_one_another(count: int) -> None:
    windows = windows_of(count)
    assert windows[0][0] == 0 and windows[-1][1] == count
    assert all(start < before_end for (_, before_end), (start, _) in pairwise(windows))
    assert max(end - start for start, end in windows) <= 256
    motion = torch.arange(count, dtype=torch.float64)[:, None].expand(count, 114)
    assert torch.allclose(blended([motion[start:end] for start, end in windows], windows), motion)


def test_key_frames_are_the_ones_that_differ() -> None:
    looks = np.random.default_rng(0).normal(size=(1, 468, 2)) * 50
    landmarks = np.repeat(looks, 20, axis=0)
    landmarks[7, :200] += 30
    landmarks[13, 200:] -= 40
    assert {7, 13} <= set(key_frames(landmarks, 3).tolist())
    assert key_frames(landmarks[6:8], 24).tolist() == [0, 1]


@pytest.mark.parametrize("degrees", [1.0, 6.0, 12.0])
@pytest.mark.parametrize("looking", [0.0, 20.0], ids=["ahead", "aside"])
def test_how_far_a_head_turns_is_counted_from_where_it_faces_on_average(degrees: float, looking: float) -> None:
    motion = torch.zeros(8, UNKNOWNS, dtype=torch.float64)
    motion[:, TURN.start + 1] = torch.deg2rad(looking + degrees * torch.tensor([-1.0, 1.0]).repeat(4))
    assert np.degrees(turn_spread(motion)) == pytest.approx(degrees, rel=1e-3)


def test_colours_shape_an_identity_the_more_the_farther_the_head_turns() -> None:
    weights = Weights()
    believed = [weights.for_identity(turn).colour_per_misfit for turn in (0.0, 0.05, 0.1, 0.18, 0.36)]
    assert believed == sorted(believed, reverse=True) and len(set(believed)) == len(believed)
    assert believed[3] == pytest.approx(weights.identity_colour_per_misfit)
    assert believed[3] / believed[4] == pytest.approx(8) and np.isfinite(believed[0])


def test_every_curvature_that_is_computed_is_stepped_with() -> None:
    """It is most of what a search costs."""
    counted: list[float] = []

    def curvature(place: float) -> Normal:
        counted.append(place)
        return Normal.empty(1, 0)

    def stepped(place: float, around: Normal, damping: float) -> float:
        return place / 2

    found = descend(8.0, lambda place: place**2, curvature, stepped, Search(3, never, lambda: None))
    assert found == 1.0 and counted == [8.0, 4.0, 2.0]


def test_gaps_are_bridged_and_ends_are_held() -> None:
    times = np.arange(6.0)
    bridged = in_between(np.array([[2.0], [8.0]]), np.array([1.0, 4.0]), times)
    assert bridged[:, 0].tolist() == [2, 2, 4, 6, 8, 8]


def test_the_terms_derivatives_are_those_of_their_values(head: HeadModel) -> None:
    """Cost and normal equations agree: a small step changes the cost by what the gradient says."""
    faces = filmed(head, 900.0)
    observed = torch.from_numpy(faces.landmarks_px[:3, :468]).double()
    depth = torch.from_numpy(faces.depth_px[:3, :468]).double()
    depth = depth - depth.mean(1, keepdim=True)
    view = View(torch.tensor([[WIDTH / 2, HEIGHT / 2]] * 3).double(), torch.tensor([1.0, 1.1, 0.9]).double())
    trust = torch.tensor([1.0, 0.5, 0.9], dtype=torch.float64)
    lips = torch.tensor([1.0, 0.2, 1.0], dtype=torch.float64)
    reduced, weights = SurfaceHead.of(head), Weights()
    term = LandmarkTerm(reduced, view, observed, depth, trust, lips, weights)
    problem = Problem(term, Priors(reduced, likely_faces(head, weights), 880.0, 800.0, weights))
    generator = torch.Generator().manual_seed(5)
    motion = torch.randn(3, UNKNOWNS, generator=generator, dtype=torch.float64) * 0.05
    motion[:, 5] += 0.9
    shared = torch.randn(303, generator=generator, dtype=torch.float64) * 0.1
    shared[300] = np.log(880.0)
    normal = problem.normal(motion, shared, solve_shared=True)
    assert normal.cost == pytest.approx(problem.cost(motion, shared))
    for _ in range(4):
        by_motion = torch.randn(3, UNKNOWNS, generator=generator, dtype=torch.float64)
        by_shared = torch.randn(303, generator=generator, dtype=torch.float64)
        step = 1e-6
        ends = [problem.cost(motion + sign * step * by_motion, shared + sign * step * by_shared) for sign in (1, -1)]
        slope = (ends[0] - ends[1]) / (2 * step)
        stated = 2 * float((normal.own_gradient * by_motion).sum() + normal.shared_gradient @ by_shared)
        assert slope == pytest.approx(stated, rel=1e-4)
