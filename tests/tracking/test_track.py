# SPDX-License-Identifier: Apache-2.0
"""Tracking real footage into a package, and footage that cannot be tracked."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.footage import Footage
from dubplate_backend.plates.movie import write_movie
from dubplate_backend.raster.camera import project, to_camera
from dubplate_backend.tracking.figures import figures
from dubplate_backend.tracking.track import unbroken
from dubplate_backend.tracking.track_shot import track_shot
from dubplate_shared.errors import Cancelled, ExitCode, FootageError, InvalidInput
from dubplate_shared.rotations import matrix_from_axis_angle
from dubplate_shared.shot import Rate, Shot
from footage import clip


def test_the_head_sits_on_the_face_and_its_lips_on_the_lips(speaker_shot: Shot) -> None:
    measured = figures(speaker_shot.track)
    assert measured.frames_with_face == measured.frames == 16
    assert measured.face_error_percent <= 2.0
    assert measured.lips_error_percent <= 2.0
    assert measured.lip_gap_error_percent <= 1.0
    assert -3 < measured.jaw_least_deg < measured.jaw_most_deg < 30


def test_the_package_says_what_was_filmed(speaker_shot: Shot, head: HeadModel) -> None:
    info = speaker_shot.info
    assert (info.name, info.first_frame, info.frame_count, info.rate) == ("speaker", 1009, 16, Rate(25))
    assert (info.width, info.height, info.head.sha256) == (360, 288, head.sha256)
    assert info.plate.colour_space == "g24_rec709_display"
    assert Footage.open(speaker_shot.plate_path()).count == 16
    assert speaker_shot.rig is not None and speaker_shot.rig.sha256 == head.sha256
    assert info.extra["tracking"]["warnings"] == []
    assert speaker_shot.track.landmark_index.tolist() == list(range(468))


def test_the_sound_is_in_the_package_and_as_long_as_the_pictures(speaker_shot: Shot) -> None:
    sound = soundfile.info(speaker_shot.audio_path())
    assert sound.duration == pytest.approx(16 / 25, abs=0.06)


def test_the_preview_shows_every_frame(speaker_shot: Shot) -> None:
    preview = Footage.open(speaker_shot.path / "preview.mp4")
    assert preview.count == 16 and preview.height == 960
    plate = Footage.open(speaker_shot.plate_path()).frame(12).mean(axis=(0, 1))
    shown = preview.frame(12)[:, : 960 * 360 // 288].mean(axis=(0, 1))
    assert np.abs(shown - plate).max() < 12  # it is the plate that lies under the lines


def test_what_is_stored_projects_to_what_is_stored(speaker_shot: Shot, head: HeadModel) -> None:
    stored = speaker_shot.track
    motion = {
        name: torch.from_numpy(getattr(stored, name))
        for name in ("shape", "expression", "jaw", "neck", "eyes", "eyelids")
    }
    assert motion["neck"].any()
    vertices = head.vertices(*motion.values())
    camera = to_camera(
        head.landmarks(vertices), torch.from_numpy(stored.rotation), torch.from_numpy(stored.translation)
    )
    pixels = project(camera, torch.from_numpy(stored.intrinsics)).numpy()
    assert np.abs(pixels - stored.projected_px).max() < 0.02


def test_the_eyes_of_someone_who_looks_into_the_camera_are_nearly_straight(speaker_shot: Shot) -> None:
    eyes = np.rad2deg(speaker_shot.track.eyes)
    assert np.array_equal(eyes[:, :3], eyes[:, 3:])
    assert np.abs(np.median(eyes, axis=0)).max() < 15


def test_tracking_the_same_footage_again_gives_the_same_track(moment: Path, head: HeadModel, tmp_path: Path) -> None:
    first, second = (track_shot(moment, tmp_path / f"{name}.dubshot", head=head, preview=False) for name in ("a", "b"))
    for name in ("landmarks_px", "jaw", "expression", "rotation", "projected_px"):
        assert np.array_equal(getattr(first.track, name), getattr(second.track, name)), name
    assert np.array_equal(first.crop, second.crop)


def test_a_piece_of_the_man_meets_the_bounds(head: HeadModel, tmp_path: Path) -> None:
    source = Footage.open(clip("kitchen_man_25fps.mp4"))
    write_movie(tmp_path / "man.mp4", islice(source.iter(100), 12), source.rate, speed="veryfast")
    shot = track_shot(tmp_path / "man.mp4", tmp_path / "man.dubshot", head=head, preview=False)
    measured = figures(shot.track)
    assert measured.frames_with_face == 12
    assert measured.face_error_percent <= 2.0
    assert measured.lips_error_percent <= 2.0
    assert measured.lip_gap_error_percent <= 1.0
    assert shot.audio_path() is None
    assert any("holds no sound" in warning for warning in shot.info.extra["tracking"]["warnings"])


def grey(count: int) -> list[np.ndarray]:
    return [np.full((240, 320, 3), 90 + frame, np.uint8) for frame in range(count)]


def test_frames_without_a_face_have_no_confidence_and_are_named(speaker: Path, head: HeadModel, tmp_path: Path) -> None:
    frames = list(Footage.open(speaker))[:8]
    frames[3:5] = [np.full_like(frames[0], 80)] * 2
    write_movie(tmp_path / "hidden.mp4", frames, Rate(25), quality=10)
    shot = track_shot(tmp_path / "hidden.mp4", tmp_path / "hidden.dubshot", head=head, preview=False)
    assert (shot.track.confidence > 0).tolist() == [True] * 3 + [False] * 2 + [True] * 3
    assert any("1004-1005" in warning for warning in shot.info.extra["tracking"]["warnings"])
    assert np.isfinite(shot.track.translation).all() and np.isfinite(shot.crop).all()


def test_the_bigger_of_two_faces_is_tracked_with_a_warning(speaker: Path, head: HeadModel, tmp_path: Path) -> None:
    import cv2

    frames = []
    for frame in islice(Footage.open(speaker), 3):
        wide = np.full((288, 720, 3), 60, np.uint8)
        wide[:, :360] = frame
        wide[60:276, 430:700] = cv2.resize(frame, (270, 216))
        frames.append(wide)
    write_movie(tmp_path / "two.mp4", frames, Rate(25), quality=10)
    shot = track_shot(tmp_path / "two.mp4", tmp_path / "two.dubshot", head=head, preview=False)
    assert shot.track.landmarks_px[..., 0].max() < 360
    assert any("2 faces" in warning for warning in shot.info.extra["tracking"]["warnings"])


def test_footage_that_cannot_be_tracked_is_refused_and_leaves_nothing(head: HeadModel, tmp_path: Path) -> None:
    write_movie(tmp_path / "wall.mp4", grey(6), Rate(25))
    (tmp_path / "notes.mp4").write_text("not a video")
    whole = (tmp_path / "wall.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    for name, says in (("wall.mp4", "no face"), ("notes.mp4", "not a video"), ("cut.mp4", "truncated")):
        with pytest.raises(FootageError, match=says) as caught:
            track_shot(tmp_path / name, tmp_path / "out.dubshot", head=head)
        assert caught.value.exit_code == ExitCode.INVALID_INPUT and caught.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.mp4", "notes.mp4", "wall.mp4"]


def test_sound_that_is_asked_for_has_to_be_there_and_replaces_the_videos(
    moment: Path, head: HeadModel, tmp_path: Path
) -> None:
    with pytest.raises(FootageError, match=r"voice\.wav"):
        track_shot(moment, tmp_path / "a.dubshot", head=head, audio=tmp_path / "voice.wav")
    soundfile.write(tmp_path / "voice.wav", np.full(4000, 0.25, np.float32), 8000)
    shot = track_shot(moment, tmp_path / "a.dubshot", head=head, audio=tmp_path / "voice.wav", preview=False)
    stored, rate = soundfile.read(shot.audio_path())
    assert rate == 8000 and np.allclose(stored, 0.25, atol=1e-4)


def test_a_track_that_is_stopped_leaves_no_package(speaker: Path, head: HeadModel, tmp_path: Path) -> None:
    seen = []
    with pytest.raises(Cancelled):
        track_shot(speaker, tmp_path / "a.dubshot", head=head, progress=seen.append, stop=lambda: len(seen) > 3)
    assert [file.name for file in tmp_path.iterdir()] == ["a.dubshot.resume"]  # what the next try goes on from
    assert [progress.done for progress in seen] == [1, 2, 3, 4]


def test_a_package_that_is_there_is_kept_unless_told(speaker_shot: Shot, speaker: Path, head: HeadModel) -> None:
    before = (speaker_shot.path / "shot.json").read_bytes()
    with pytest.raises(InvalidInput, match="exists already"):
        track_shot(speaker, speaker_shot.path, head=head)
    assert (speaker_shot.path / "shot.json").read_bytes() == before


def test_a_rotation_that_passes_half_a_turn_has_no_jump() -> None:
    turn = np.stack([np.pi + 0.02 * np.sin(np.arange(40)), 0.1 * np.ones(40), np.zeros(40)], 1)
    from dubplate_shared.rotations import axis_angle_from_matrix

    broken = axis_angle_from_matrix(matrix_from_axis_angle(turn))
    mended = unbroken(broken)
    assert np.abs(np.diff(broken, axis=0)).max() > 1
    assert np.abs(np.diff(mended, axis=0)).max() < 0.1
    assert np.allclose(matrix_from_axis_angle(mended), matrix_from_axis_angle(turn), atol=1e-9)


def test_the_command_prints_its_figures_as_json(
    moment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dubplate_backend.cli.track import command

    command(moment, tmp_path / "cli.dubshot", name="sh010", preview=False, as_json=True)
    printed = capsys.readouterr().out
    summary = json.loads(printed[printed.index("{") :])
    assert summary["figures"]["face_error_percent"] <= 2.0
    assert Shot.load(tmp_path / "cli.dubshot").info.name == "sh010"
