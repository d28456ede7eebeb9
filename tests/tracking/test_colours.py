# SPDX-License-Identifier: Apache-2.0
"""Colours steady the head: frames warped to one another through it agree better than with landmarks alone. Where two
frames see a point, its colour is what they agree on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dubplate_backend.bench.lip_warp import sample_lips, warp_difference
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.footage import Footage
from dubplate_backend.raster.shading import srgb_to_linear
from dubplate_backend.tracking.normal import Normal
from dubplate_backend.tracking.photometric_term import PhotometricTerm
from dubplate_backend.tracking.projection import View
from dubplate_backend.tracking.settings import TrackSettings
from dubplate_backend.tracking.surface_head import SurfaceHead
from dubplate_backend.tracking.surface_points import surface_points
from dubplate_backend.tracking.track import track
from dubplate_backend.tracking.unknown_albedo import UnknownAlbedo
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


def test_what_two_frames_agree_on_is_a_points_colour_whatever_is_likely(head: HeadModel) -> None:
    """Held to what is likely, skin has less detail than it shows, and frames that lie wrong average to just that."""
    shown, size = 170, 64
    own = float(srgb_to_linear(torch.tensor(shown / 255)))
    likely = 1.05 * own
    points = surface_points(head, 50)
    reduced = SurfaceHead.of(head, points.faces, points.barycentrics).single()
    motion = torch.zeros(2, UNKNOWNS, dtype=torch.float64)
    motion[:, SHIFT] = torch.tensor([0.0, 0.0, 0.6])
    term = PhotometricTerm(
        reduced,
        View(torch.full((2, 2), size / 2).double(), torch.ones(2).double()),
        torch.full((2, size, size, 3), shown, dtype=torch.uint8),
        torch.zeros(2, 2),
        torch.ones(2),
        torch.zeros(2, 50, 3),
        torch.ones(2, 50),
        Weights(colour=0.1),
    )
    colours = torch.full((50, 3), likely)
    sought = UnknownAlbedo.of(term, torch.ones(2, 50, 3), colours, colours).stepped(torch.zeros(150, 1))
    shared = Shared.of(torch.zeros(reduced.shape_components, dtype=torch.float64), 90.0).vector
    for _ in range(5):
        normal = Normal.empty(2, 0)
        sought.add_to(normal, slice(0, 2), motion, shared, solve_shared=False)
        tied = normal.tied[0]
        sought = sought.stepped(-tied.gradient / tied.curvature[:, 0])
    assert sought.albedo.numpy() == pytest.approx(np.full((50, 3), own), abs=0.1 * (likely - own))
