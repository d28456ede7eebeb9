# SPDX-License-Identifier: Apache-2.0
"""Colours steady the head: frames warped to one another through it agree better than with landmarks alone. Where two
frames see a point, its detail is what they agree on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dubplate_backend.bench.lip_warp import sample_lips, warp_difference
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.footage import Footage
from dubplate_backend.tracking.detail import detail
from dubplate_backend.tracking.face_crops import FaceCrops
from dubplate_backend.tracking.normal import Normal
from dubplate_backend.tracking.projection import View
from dubplate_backend.tracking.settings import TrackSettings
from dubplate_backend.tracking.surface_head import SurfaceHead
from dubplate_backend.tracking.surface_points import surface_points
from dubplate_backend.tracking.track import track
from dubplate_backend.tracking.unknown_detail import UnknownDetail
from dubplate_backend.tracking.unknowns import SHIFT, UNKNOWNS, Shared
from dubplate_backend.tracking.weights import Weights
from dubplate_shared.shot import Shot

LAGS = (1, 5)


def test_lips_warped_through_the_head_agree_better_than_by_landmarks_alone(
    speaker: Path, speaker_shot: Shot, head: HeadModel
) -> None:
    footage = Footage.open(speaker)
    alone = track(footage, head=head, settings=TrackSettings(photometric=False)).track
    by_colours, by_landmarks = (
        warp_difference(head, sample_lips(head, found, footage.iter()), LAGS) for found in (speaker_shot.track, alone)
    )
    assert by_colours < 0.95 * by_landmarks


def test_what_two_frames_agree_on_is_a_points_own_whatever_was_expected(head: HeadModel) -> None:
    shown, size = 170, 64
    points = surface_points(head, 50)
    reduced = SurfaceHead.of(head, points.faces, points.barycentrics).single()
    motion = torch.zeros(2, UNKNOWNS, dtype=torch.float64)
    motion[:, SHIFT] = torch.tensor([0.0, 0.0, 0.6])
    sought = UnknownDetail(
        reduced,
        View(torch.full((2, 2), size / 2).double(), torch.ones(2).double()),
        torch.full((2, size, size, 3), shown, dtype=torch.uint8),
        torch.zeros(2, 2),
        torch.ones(2),
        torch.full((2, 50, 3), 0.6),
        torch.ones(2, 50),
        Weights(colour=0.1),
    )
    shared = Shared.of(torch.zeros(reduced.shape_components, dtype=torch.float64), 90.0).vector
    for _ in range(5):
        normal = Normal.empty(2, 0)
        sought.add_to(normal, slice(0, 2), motion, shared, solve_shared=False)
        tied = normal.tied[0]
        sought = sought.stepped(-tied.gradient / tied.curvature[:, 0])
    assert sought.expected.numpy() == pytest.approx(np.full((2, 50, 3), shown / 255), abs=1e-3)


def test_detail_is_the_skins_whatever_light_falls_on_it() -> None:
    random, size = np.random.default_rng(4), 96
    skin = cv2.GaussianBlur(random.uniform(90, 200, (size, size, 3)), (0, 0), 0.8)
    fall_off = np.linspace(1.0, 0.45, size)[None, :, None]  # of a lamp at the side
    even, shaded = (squares(skin * light) for light in (1.0, fall_off))
    inside = (slice(None), slice(6, -6), slice(6, -6))
    colours = np.abs(even.levels[0].numpy()[inside] / 255.0 - shaded.levels[0].numpy()[inside] / 255.0)
    first, second = (detail(crops).levels[0].numpy()[inside] / 255.0 for crops in (even, shaded))
    assert first.std() > 0.02, "what is fine is kept"
    assert np.abs(first - second).mean() < 0.15 * first.std() < colours.mean()
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.98


def squares(picture: np.ndarray) -> FaceCrops:
    return FaceCrops((torch.from_numpy(np.round(picture).astype(np.uint8)[None]),), torch.zeros(1, 2), torch.ones(1))
