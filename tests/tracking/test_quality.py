# SPDX-License-Identifier: Apache-2.0
"""What is flagged deserves it, what is clean is not flagged, and the report says both."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.footage import Footage
from dubplate_backend.plates.movie import write_movie
from dubplate_backend.tracking.flags import Reason, find_flags, stretches
from dubplate_backend.tracking.quality import Quality, Seen, measure
from dubplate_backend.tracking.track_shot import track_shot
from dubplate_shared.landmarks import LIPS
from dubplate_shared.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from dubplate_shared.shot import Rate, Shot
from dubplate_shared.track import Track

BLURRED, COVERED, BLIND = range(3, 5), range(7, 9), 11


def flagged(track: Track, quality: Quality) -> dict[Reason, set[int]]:
    """Indices of the frames that each reason names."""
    found: dict[Reason, set[int]] = {}
    for flag in find_flags(quality, track.frame, track.time):
        found.setdefault(flag.reason, set()).update(frame - int(track.frame[0]) for frame in flag.frames)
    return found


def seen_in(shot: Shot) -> Seen:
    return Quality.load(shot.path / "quality.npz").seen


def test_a_clean_clip_has_no_flags_and_its_package_says_how_good_it_is(speaker_shot: Shot, head: HeadModel) -> None:
    said = speaker_shot.info.extra["tracking"]
    assert said["flags"] == [] and said["figures"]["flagged_frames"] == 0
    stored = Quality.load(speaker_shot.path / "quality.npz")
    measured = measure(head, speaker_shot.track, stored.seen)
    assert np.allclose(stored.face_error_percent, measured.face_error_percent)
    assert said["figures"]["turn_change_deg"] == pytest.approx(
        float(np.sqrt(np.mean(stored.turn_change_deg**2))), abs=1e-3
    )
    assert 0.005 < stored.colour_error.mean() < 0.09  # colours were compared, and agree
    assert stored.hidden.max() < 0.35


@pytest.fixture(scope="module")
def faulty(speaker: Path, speaker_shot: Shot, head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Shot:
    """The speaker with a smeared stretch, a dark bar across the mouth, and a frame that shows nothing."""
    folder = tmp_path_factory.mktemp("faulty")
    frames = [frame.copy() for frame in Footage.open(speaker)][:13]
    lips = speaker_shot.track.projected_px[:, list(LIPS)]
    (left, top), (right, bottom) = (lips.min((0, 1)) - 6).astype(int), (lips.max((0, 1)) + 8).astype(int)
    for index in range(BLURRED.start, BLURRED.stop):
        frames[index] = cv2.blur(frames[index], (25, 1))
    for index in range(COVERED.start, COVERED.stop):
        frames[index][top:bottom, left:right] = (30, 60, 40)
    frames[BLIND][:] = 90
    write_movie(folder / "faulty.mp4", frames, Rate(25), quality=12)
    return track_shot(folder / "faulty.mp4", folder / "<faulty>.dubshot", head=head, preview=False, name="faulty")


def test_what_is_wrong_with_the_picture_is_flagged_where_it_is(faulty: Shot) -> None:
    quality = Quality.load(faulty.path / "quality.npz")
    found = flagged(faulty.track, quality)
    assert found[Reason.LOW_CONFIDENCE] == set(BLURRED)
    assert found[Reason.MOUTH_HIDDEN] == set(COVERED)
    assert found[Reason.NO_FACE] == {BLIND}
    assert set().union(*found.values()) == {*BLURRED, *COVERED, BLIND}
    said = faulty.info.extra["tracking"]
    assert said["figures"]["flagged_frames"] == 5
    assert [flag["frames"] for flag in said["flags"] if flag["reason"] == "mouth_hidden"] == ["1008-1009"]
    # Eyes and nose are seen as well as ever, but a track is not to be believed whose mouth is hidden.
    assert quality.confidence[list(COVERED)].min() > 0.7
    assert 0 < faulty.track.confidence[list(COVERED)].max() < 0.7
    assert faulty.track.confidence[BLIND] == 0


def test_the_report_stands_alone_and_shows_what_is_flagged(faulty: Shot, speaker_shot: Shot) -> None:
    page = (faulty.path / "report.html").read_text(encoding="utf-8")
    for flag in faulty.info.extra["tracking"]["flags"]:
        assert flag["frames"] in page and flag["says"].split(" (")[0].replace("'", "&#x27;") in page
        assert f'alt="frame {flag["worst"]}"' in page
    assert not re.search(r"(src|href)=.(?!data:)|<script|url\(|@import", page)
    assert page.count("<svg") == 7 and page.count("<polyline") == 11
    clean = (speaker_shot.path / "report.html").read_text(encoding="utf-8")
    assert "Nothing is flagged" in clean and 'class="band"' not in clean


def test_what_is_wrong_with_the_motion_is_flagged_where_it_is(speaker_shot: Shot, head: HeadModel) -> None:
    track, seen = speaker_shot.track, seen_in(speaker_shot)
    place, turn, jaw = track.translation.copy(), track.rotation.copy(), track.jaw.copy()
    place[4:] += (0.03, 0.0, 0.0)  # 30 mm aside and there it stays
    turn[8] = axis_angle_from_matrix(rotation_about_y(np.deg2rad(7)) @ matrix_from_axis_angle(turn[8]))
    jaw[12:, 0] += np.deg2rad(14)  # within a 25th of a second: 350 degrees a second
    quality = measure(head, replace(track, translation=place, rotation=turn, jaw=jaw), seen)
    found = flagged(track, quality)
    assert found[Reason.JUMP] >= {3, 4, 8} and found[Reason.JUMP] <= {3, 4, 7, 8, 9}
    assert found[Reason.JAW_TOO_FAST] == {12}
    assert quality.turn_change_deg[8] == pytest.approx(14, abs=1.0)
    assert quality.shift_change_mm[4] == pytest.approx(30, abs=2.0)


def test_lips_that_are_seen_closed_and_tracked_open_are_flagged(speaker_shot: Shot, head: HeadModel) -> None:
    track = speaker_shot.track
    quality = measure(head, track, seen_in(speaker_shot))
    closed = np.flatnonzero(quality.seen_gap_percent < 1.0)
    assert len(closed) >= 2
    projected = track.projected_px.copy()
    projected[closed[0], 14, 1] += 6.0
    found = flagged(track, measure(head, replace(track, projected_px=projected), seen_in(speaker_shot)))
    assert found == {Reason.LIPS_OPEN: {int(closed[0])}}


def test_runs_are_joined_over_one_frame_and_no_further() -> None:
    wrong = np.array([1, 0, 1, 0, 0, 1, 1, 0], bool)
    assert stretches(wrong) == [(0, 3), (5, 7)]


def rotation_about_y(angle: float) -> np.ndarray:
    return matrix_from_axis_angle(np.array([0.0, angle, 0.0]))
