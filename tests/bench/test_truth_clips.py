# SPDX-License-Identifier: Apache-2.0
"""Clips whose truth is known show what they say they show."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from dubplate_backend.bench.ict_clip import IctClip, ict_clip
from dubplate_backend.bench.ict_head import MEDIAPIPE
from dubplate_backend.bench.kept_clips import kept_clip
from dubplate_backend.bench.material import lip_contact_labels
from dubplate_backend.bench.tracking import ICT_HEAD, MAN
from dubplate_backend.bench.truth_motion import LARGEST_TURN_DEG, LONGEST_MM, SHORTEST_MM, filmed, moving
from dubplate_backend.plates.footage import Footage
from dubplate_backend.synthetic.utterance import babble
from dubplate_backend.tracking.faces import FaceFinder
from dubplate_shared.landmarks import inter_ocular
from dubplate_shared.rotations import matrix_from_axis_angle

SIZE = 320


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn anew each time, and nothing left behind."""
    monkeypatch.setenv("DUBPLATE_CACHE", str(tmp_path / "cache"))


def ict_model() -> Path:
    """The ICT head; the running test is skipped where it is not there."""
    folder = Path(os.environ.get("DUBPLATE_HEADS", Path(__file__).parents[3] / "shared" / "heads"))
    if not (folder / ICT_HEAD).is_file():
        pytest.skip(f"{ICT_HEAD} is not in {folder} (set DUBPLATE_HEADS to the folder that holds it)")
    return folder / ICT_HEAD


def landmarks(rgb: np.ndarray) -> np.ndarray:
    with FaceFinder() as finder:
        found = finder.follow(rgb)
    assert found is not None
    return found[0][:, :2]


def test_facemesh_finds_the_ict_head_s_lips_where_they_are() -> None:
    known = ict_clip(IctClip(seed=8, frames=2, size=SIZE, face_px=384), ict_model())
    rgb = Footage.open(known.video).frame(1)
    seen = landmarks(rgb)
    error = np.linalg.norm(seen[list(MEDIAPIPE)] - known.mediapipe_px[1], axis=-1) / known.lips.inter_ocular_px[1]
    assert error.mean() < 0.03
    assert known.lips.inter_ocular_px[1] == pytest.approx(inter_ocular(seen), rel=0.05)


def test_a_clip_is_drawn_once_and_again_when_its_recipe_changes() -> None:
    drawn: list[str] = []

    def make(text: str):
        def write(folder: Path) -> None:
            drawn.append(text)
            (folder / "clip").write_text(text)

        return write

    first = kept_clip("test", "a", make("a"))
    assert kept_clip("test", "a", make("again")) == first
    second = kept_clip("test", "b", make("b"))
    assert drawn == ["a", "b"]
    assert (second / "clip").read_text() == "b"
    assert not first.exists()


def test_heads_turn_as_far_as_they_may_through_lenses_that_differ() -> None:
    times = np.arange(0, 5, 0.04)
    performance = moving(babble(5, seed=1), times, seed=1)
    np.testing.assert_allclose(np.abs(performance.head_deg).max(axis=0), LARGEST_TURN_DEG, rtol=0.02)
    resting = moving(babble(5, seed=1), times, seed=1, from_rest=True)
    assert not resting.head_deg[0].any()
    face = np.array([[-0.07, -0.08, 0.0], [0.07, 0.06, 0.1]])
    views = [filmed(face, performance, 640, seed=seed) for seed in range(12)]
    millimetres = np.array([view.intrinsics[0] for view in views]) * 36 / 640
    assert SHORTEST_MM <= millimetres.min() < 50 < 65 < millimetres.max() <= LONGEST_MM
    middle = matrix_from_axis_angle(views[0].rotation) @ face.mean(axis=0) + views[0].translation
    pixels = middle[:, :2] / middle[:, 2:] * views[0].intrinsics[:2] + views[0].intrinsics[2:]
    assert (np.abs(pixels - 320) < 130).all()


def test_the_labels_of_contact_hold_sixty_sure_frames_of_both_kinds() -> None:
    labels = lip_contact_labels(MAN)
    assert labels is not None
    frames, touching = labels
    assert len(frames) >= 60
    assert len(np.unique(frames)) == len(frames)
    assert 20 <= touching.sum() <= len(frames) - 20
    assert frames.min() >= 0
    assert frames.max() < 502
