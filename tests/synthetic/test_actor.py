# SPDX-License-Identifier: Apache-2.0
"""The synthetic actor is a face that trackers see, whose lips do what his true track says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dubplate_backend.head.load import load_head
from dubplate_backend.plates.footage import Footage
from dubplate_backend.speech.sound import audio
from dubplate_backend.synthetic.shot import make_synthetic_shot, stage
from dubplate_backend.tracking.faces import find_faces
from dubplate_shared.landmarks import FACE_OVAL, lip_gap
from dubplate_shared.progress import never, silent
from dubplate_shared.shot import Shot


@pytest.fixture(scope="module")
def shot(tmp_path_factory: pytest.TempPathFactory) -> Shot:
    return make_synthetic_shot(tmp_path_factory.mktemp("synthetic") / "actor.dubshot", seconds=1.2, size=256, seed=1)


@pytest.fixture(scope="module")
def seen(shot: Shot) -> np.ndarray:
    """(T, 478, 2) what FaceMesh sees of the actor, px."""
    with Footage.open(shot.plate_path()) as footage:
        faces = find_faces(footage, footage.count, progress=silent, stop=never)
    assert faces.seen.all()
    return faces.landmarks_px


def test_facemesh_finds_the_actor_where_his_true_track_is(shot: Shot, seen: np.ndarray) -> None:
    true = shot.track.projected_px
    eyes = np.linalg.norm(true[:, 33] - true[:, 263], axis=1)
    inner = [index for index in range(468) if index not in FACE_OVAL]
    error = np.linalg.norm(seen[:, inner] - true[:, inner], axis=2).mean(axis=1) / eyes
    assert error.mean() < 0.06


def test_the_lip_gap_that_facemesh_sees_follows_the_true_one(shot: Shot, seen: np.ndarray) -> None:
    true, measured = lip_gap(shot.track.projected_px), lip_gap(seen)
    assert true.max() > 0.06
    assert np.corrcoef(true, measured)[0, 1] > 0.9


def test_the_jaw_opens_wide_and_the_lips_close() -> None:
    scene = stage(seconds=7.0, size=256, seed=1, head=load_head())
    jaw_deg = np.degrees(scene.track.jaw[:, 0])
    gap = lip_gap(scene.track.projected_px)
    assert jaw_deg.max() > 11.0
    assert gap.max() > 0.10
    assert (gap < 0.02).mean() > 0.15


def test_the_same_seed_gives_the_same_scene_and_another_seed_another_person() -> None:
    head = load_head()
    one, again, other = (stage(seconds=1.0, size=128, seed=seed, head=head) for seed in (4, 4, 5))
    assert np.array_equal(one.voice, again.voice) and np.array_equal(one.track.jaw, again.track.jaw)
    assert not np.allclose(one.track.shape, other.track.shape)


def test_the_package_holds_plate_voice_and_rig_of_one_length(shot: Shot) -> None:
    assert shot.rig is not None and shot.rig.sha256 == shot.info.head.sha256
    samples, rate = audio(shot.audio_path())
    assert abs(len(samples) / rate - shot.info.frame_count / shot.info.rate.fps) < 0.05
    with Footage.open(shot.plate_path()) as footage:
        assert footage.count == shot.info.frame_count == len(shot.track)
        first = footage.frame(0)
    corners = np.array([[0, 0, 1], [256, 256, 1]]) @ shot.crop[0].T
    assert first.shape == (256, 256, 3)
    assert (corners[0] < 0).any() or (corners[1] > 1).any()  # the crop is a part of the plate
    assert Path(shot.path / "head.npz").exists()
