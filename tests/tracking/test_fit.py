# SPDX-License-Identifier: Apache-2.0
"""The fit: a head whose motion is known is found again from its landmarks alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.tracking.faces import Faces
from dubplate_backend.tracking.fit import Fit, FitSettings, blended, fit_head, in_between, key_frames, windows_of
from dubplate_shared.errors import Cancelled
from dubplate_shared.landmarks import landmark_error, lip_gap
from dubplate_shared.progress import never, silent
from dubplate_shared.rotations import matrix_from_axis_angle

WIDTH, HEIGHT = 640, 480
FRAMES = 12
TIMES = np.arange(FRAMES) / 25
JAW_DEG = 7 + 6 * np.sin(np.arange(FRAMES))
HOLE = 5


def filmed(head: HeadModel, focal: float) -> np.ndarray:
    """Landmarks (12, 468, 2) px of a head that turns, comes nearer and opens its jaw."""
    generator = torch.Generator().manual_seed(1)
    shape = torch.randn(300, generator=generator) * 0.5
    jaw = torch.zeros(FRAMES, 3)
    jaw[:, 0] = torch.from_numpy(np.deg2rad(JAW_DEG)).float()
    points = head.landmarks(head.vertices(shape, torch.zeros(1, 100), jaw)).double().numpy()
    turns = np.stack([0.1 * np.cos(np.arange(FRAMES) / 3), np.linspace(-0.3, 0.3, FRAMES), np.zeros(FRAMES)], 1)
    rotation = matrix_from_axis_angle(turns) @ np.diag([1.0, -1.0, -1.0])
    shift = np.stack([np.linspace(-0.05, 0.05, FRAMES), np.zeros(FRAMES), np.linspace(0.9, 0.8, FRAMES)], 1)
    camera = np.einsum("tij,tnj->tni", rotation, points) + shift[:, None]
    return camera[..., :2] / camera[..., 2:] * focal + (WIDTH / 2, HEIGHT / 2)


@pytest.fixture(scope="module")
def known_focal() -> float:
    return 900.0


@pytest.fixture(scope="module")
def found(head: HeadModel, known_focal: float) -> Fit:
    """The fit of those landmarks, frame HOLE showing no face."""
    landmarks = np.zeros((FRAMES, 478, 2), np.float32)
    landmarks[:, :468] = filmed(head, known_focal)
    confidence = np.ones(FRAMES, np.float32)
    confidence[HOLE] = landmarks[HOLE] = 0
    settings = FitSettings(focal_px=known_focal)
    return fit_head(
        head, Faces(landmarks, confidence, 1), TIMES, WIDTH, HEIGHT, settings=settings, progress=silent, stop=never
    )


def projected(head: HeadModel, fit: Fit) -> np.ndarray:
    codes = [torch.from_numpy(array).float() for array in (fit.shape, fit.expression, fit.jaw)]
    points = head.landmarks(head.vertices(*codes, eyelids=torch.from_numpy(fit.eyelids).float())).double().numpy()
    camera = np.einsum("tij,tnj->tni", fit.rotation, points) + fit.translation[:, None]
    return camera[..., :2] / camera[..., 2:] * fit.focal_px + (WIDTH / 2, HEIGHT / 2)


def test_the_found_head_lies_on_the_landmarks(head: HeadModel, found: Fit, known_focal: float) -> None:
    true = filmed(head, known_focal)
    seen = np.arange(FRAMES) != HOLE
    assert found.focal_px == pytest.approx(known_focal, rel=0.01)
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
    landmarks = np.zeros((FRAMES, 478, 2), np.float32)
    landmarks[:, :468] = filmed(head, known_focal)
    with pytest.raises(Cancelled):
        fit_head(
            head,
            Faces(landmarks, np.ones(FRAMES, np.float32), 1),
            TIMES,
            WIDTH,
            HEIGHT,
            settings=FitSettings(),
            progress=silent,
            stop=lambda: True,
        )


@pytest.mark.parametrize("count", [1, 2, 24, 25, 255, 256, 257, 488, 489, 1506])
def test_windows_cover_every_frame_and_fade_into_one_another(count: int) -> None:
    windows = windows_of(count)
    assert windows[0][0] == 0 and windows[-1][1] == count
    assert all(start < before_end for (_, before_end), (start, _) in pairwise(windows))
    assert max(end - start for start, end in windows) <= 256
    motion = torch.arange(count, dtype=torch.float64)[:, None].expand(count, 111)
    assert torch.allclose(blended([motion[start:end] for start, end in windows], windows), motion)


def test_key_frames_are_the_ones_that_differ() -> None:
    looks = np.random.default_rng(0).normal(size=(1, 468, 2)) * 50
    landmarks = np.repeat(looks, 20, axis=0)
    landmarks[7, :200] += 30
    landmarks[13, 200:] -= 40
    assert {7, 13} <= set(key_frames(landmarks, 3).tolist())
    assert key_frames(landmarks[6:8], 24).tolist() == [0, 1]


def test_gaps_are_bridged_and_ends_are_held() -> None:
    times = np.arange(6.0)
    bridged = in_between(np.array([[2.0], [8.0]]), np.array([1.0, 4.0]), times)
    assert bridged[:, 0].tolist() == [2, 2, 4, 6, 8, 8]
