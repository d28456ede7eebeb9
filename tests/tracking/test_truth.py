# SPDX-License-Identifier: Apache-2.0
"""The tracker finds again what a clip was drawn from, nobody telling it the lens, the person or the light.

A short clip at a small size: its bounds are wider than those of `scripts/bench tracking`.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dubplate_backend.bench.standin_clip import Known, StandinClip, standin_clip
from dubplate_backend.bench.tracking_scores import lip_gap_mm, truth_scores
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.footage import Footage
from dubplate_backend.synthetic.shot import project_landmarks
from dubplate_backend.tracking import fit
from dubplate_backend.tracking.albedo import gaussian_process_albedo
from dubplate_backend.tracking.faces import find_faces
from dubplate_backend.tracking.lens import Lens
from dubplate_backend.tracking.settings import TrackSettings
from dubplate_backend.tracking.track import track
from dubplate_backend.tracking.unknowns import TURN, head_rotation
from dubplate_backend.tracking.weights import Weights
from dubplate_shared.landmarks import LIPS, landmark_error
from dubplate_shared.progress import never, silent
from dubplate_shared.rotations import axis_angle_from_matrix
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


class Lamp:
    """Footage under a lamp that goes around it: one side half as bright as the other."""

    def __init__(self, footage: Footage) -> None:
        self._footage = footage
        self.times, self.count = footage.times, footage.count

    def frame(self, index: int) -> np.ndarray:
        picture = self._footage.frame(index)
        height, width = picture.shape[:2]
        down, across = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1) - 0.5
        angle = 6 * np.pi * index / self.count
        falling = 0.8 * np.exp(1.2 * (across * np.cos(angle) + down * np.sin(angle)))
        return np.clip(picture * falling[..., None], 0, 255).astype(np.uint8)


def test_a_lamp_that_goes_around_turns_no_head(known: Known, head: HeadModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture believed far above the landmarks, so that it is the picture that tells."""
    monkeypatch.setattr(fit, "KEY_FRAMES", 6)
    footage = Footage.open(known.video)
    faces = find_faces(footage.iter(), footage.count, progress=silent, stop=never)
    lens = Lens.unknown(footage.width, footage.height, footage.count)
    settings = TrackSettings(shape=known.track.shape, weights=Weights(identity_turn_rad=0.05))
    turns = []
    for lit in (footage, Lamp(footage)):
        fitter = fit.Fitter(head, faces, lit, lens, settings, silent, never)
        found = fitter._identity_of_colours(gaussian_process_albedo(head), fitter._identity_of_landmarks())
        turns.append(head_rotation(torch.from_numpy(found["key_motion"][:, TURN])).numpy())
    between = axis_angle_from_matrix(np.swapaxes(turns[0], -1, -2) @ turns[1])
    assert np.degrees(np.linalg.norm(between, axis=-1)).mean() < 1.2


def test_the_lips_part_when_the_true_lips_part(known: Known, tracked: Track, head: HeadModel) -> None:
    true, found = lip_gap_mm(head, known.track), lip_gap_mm(head, tracked)
    assert np.corrcoef(true, found)[0, 1] > 0.9


def test_the_projected_head_lies_on_the_true_one(known: Known, tracked: Track, head: HeadModel) -> None:
    true = project_landmarks(head, known.track)
    assert landmark_error(tracked.projected_px, true).mean() < 0.03
    assert landmark_error(tracked.projected_px, true, LIPS).mean() < 0.03
