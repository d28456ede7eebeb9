# SPDX-License-Identifier: Apache-2.0
"""The tracker finds again what a clip was drawn from, nobody telling it the lens, the person or the light.

A short clip at a small size: its bounds are wider than those of `scripts/bench tracking`.
"""

from __future__ import annotations

import numpy as np
import pytest

from dubplate_backend.bench.standin_clip import Known, StandinClip, standin_clip
from dubplate_backend.bench.tracking_scores import lip_gap_mm, truth_scores
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.footage import Footage
from dubplate_backend.synthetic.shot import project_landmarks
from dubplate_backend.tracking import fit
from dubplate_backend.tracking.settings import TrackSettings
from dubplate_backend.tracking.track import track
from dubplate_shared.landmarks import LIPS, landmark_error
from dubplate_shared.track import Track

CLIP = StandinClip(seed=3, frames=12, size=320, texture_px=384)
LIPS_MM, SKULL_MM, JAW_DEG, ROTATION_DEG = 6.0, 3.0, 4.0, 4.0


@pytest.fixture(scope="module")
def known(head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Known:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DUBPLATE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return standin_clip(CLIP, head)


@pytest.fixture(scope="module")
def tracked(known: Known, head: HeadModel) -> Track:
    return track(Footage.open(known.video), head=head, settings=TrackSettings()).track


def test_the_lips_the_jaw_and_the_skull_lie_near_the_truth(known: Known, tracked: Track, head: HeadModel) -> None:
    score = truth_scores(head, tracked, known.track)
    assert score.lips_mm < LIPS_MM
    assert score.lips_skull_mm < SKULL_MM
    assert score.jaw_deg < JAW_DEG
    assert score.rotation_deg < ROTATION_DEG


def test_a_head_that_is_taken_to_keep_still_keeps_the_shape_that_its_landmarks_tell(
    known: Known, tracked: Track, head: HeadModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shape(settings: TrackSettings) -> np.ndarray:
        return track(Footage.open(known.video), head=head, settings=settings).track.shape

    by_landmarks = shape(TrackSettings(photometric=False))
    monkeypatch.setattr(fit, "turn_spread", lambda motion: 0.0)
    still = shape(TrackSettings())
    assert np.linalg.norm(still - by_landmarks) < 0.3 * np.linalg.norm(tracked.shape - by_landmarks)


def test_the_lips_part_when_the_true_lips_part(known: Known, tracked: Track, head: HeadModel) -> None:
    true, found = lip_gap_mm(head, known.track), lip_gap_mm(head, tracked)
    assert np.corrcoef(true, found)[0, 1] > 0.9


def test_the_projected_head_lies_on_the_true_one(known: Known, tracked: Track, head: HeadModel) -> None:
    true = project_landmarks(head, known.track)
    assert landmark_error(tracked.projected_px, true).mean() < 0.03
    assert landmark_error(tracked.projected_px, true, LIPS).mean() < 0.03
