# SPDX-License-Identifier: Apache-2.0
"""What a person pins holds, the stretch around it follows, and nothing else changes by a bit."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dubplate_backend.cli.main import application
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.source import shot_video
from dubplate_backend.tracking.quality import Quality, Seen, measure
from dubplate_backend.tracking.repair import AROUND, repair, stretch
from dubplate_backend.tracking.repair_shot import repair_shot, undo_repair
from dubplate_backend.tracking.settings import TrackSettings
from dubplate_backend.tracking.track_shot import track_shot
from dubplate_shared.errors import Cancelled, HeadModelMismatch, InvalidInput
from dubplate_shared.files import load_npz
from dubplate_shared.landmarks import LIPS, landmark_error
from dubplate_shared.pins import LandmarkPin, Pins, PosePin
from dubplate_shared.rotations import matrix_from_axis_angle
from dubplate_shared.shot import HeadIdentity, Shot
from dubplate_shared.track import Track

WRONG = slice(6, 10)  # frames in which the detector takes something else for the lips
SLIPPED_PX = (6.0, 4.0)
MARKS = (61, 291, 0, 17, 13, 14)  # what a person places: corners, and the middle of both lips inside and out
OF_THE_SHOT = ("shape", "distortion", "texture", "landmark_index")


@pytest.fixture(scope="module")
def landmark_shot(speaker: Path, head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Shot:
    """The speaker tracked by landmarks alone."""
    out = tmp_path_factory.mktemp("landmarks") / "speaker.dubshot"
    settings = TrackSettings(photometric=False)
    return track_shot(speaker, out, head=head, preview=False, report=False, settings=settings)


def slipped(track: Track) -> Track:
    """The track with the lips' landmarks in the wrong place, and a jaw that follows them."""
    landmarks, jaw = track.landmarks_px.copy(), track.jaw.copy()
    landmarks[WRONG, np.array(LIPS)[:, None]] += np.array(SLIPPED_PX, np.float32)
    jaw[WRONG, 0] += 0.15
    return replace(track, landmarks_px=landmarks, jaw=jaw)


def pins_at(track: Track, indices: tuple[int, ...]) -> Pins:
    """Pins where `track` has its lips."""
    places = track.projected_px
    return Pins(
        tuple(LandmarkPin(int(track.frame[i]), mark, *map(float, places[i, mark])) for i in indices for mark in MARKS)
    )


def lips_error_percent(track: Track, truth: Track, frames: slice) -> float:
    return float(100 * landmark_error(track.projected_px[frames], truth.projected_px[frames], LIPS).mean())


def pinned_px(track: Track, pins: Pins) -> np.ndarray:
    """How far each pinned point of the head lies from its pin."""
    first = int(track.frame[0])
    return np.array(
        [np.hypot(*(track.projected_px[pin.frame - first, pin.landmark] - (pin.x, pin.y))) for pin in pins.landmarks]
    )


def equal_outside(before: Track, after: Track, frames: slice) -> bool:
    """Whether all that the tracks hold is the same, bit for bit, but for some frames."""
    inside = np.zeros(len(before), bool)
    inside[frames] = True
    for name, old in vars(before).items():
        new = getattr(after, name)
        rows = slice(None) if name in OF_THE_SHOT else ~inside
        if not np.array_equal(old[rows], new[rows]):
            return False
    return True


@pytest.mark.parametrize("which", ["speaker_shot", "landmark_shot"])
def test_pins_bring_slipped_lips_back_and_the_rest_stays_bit_for_bit(
    which: str, head: HeadModel, request: pytest.FixtureRequest
) -> None:
    shot: Shot = request.getfixturevalue(which)
    truth, wrong = shot.track, slipped(shot.track)
    albedo = load_npz(shot.path / "albedo.npz")["vertices"] if which == "speaker_shot" else None
    seen = Quality.load(shot.path / "quality.npz").seen
    numbers = truth.frame[WRONG].tolist()

    def repaired(pins: Pins) -> Track:
        footage = shot_video(shot)
        done = repair(wrong, shot.crop, pins, footage, head=head, seen=seen, albedo=albedo, frames=numbers)
        assert done.frames == tuple(numbers)
        assert np.array_equal(done.crop, shot.crop) and not done.cropped  # the head has not moved
        return done.track

    pins = pins_at(truth, (WRONG.start, WRONG.stop - 1))
    after = repaired(pins)
    assert equal_outside(wrong, after, WRONG)
    assert pinned_px(after, pins).max() < 1.0
    assert lips_error_percent(after, truth, WRONG) < 1.2
    # A pin that says nothing leaves the lips nearer to where the detector has them, as far as colours let it.
    nothing = repaired(Pins((LandmarkPin(numbers[0], 10, *map(float, truth.projected_px[WRONG.start, 10])),)))
    assert lips_error_percent(nothing, truth, WRONG) > 2.0


def test_a_keyed_pose_holds_and_the_frames_around_lead_to_it(landmark_shot: Shot, head: HeadModel) -> None:
    track, at = landmark_shot.track, 8
    rotation = (track.rotation[at] + 0.03).tolist()
    translation = (track.translation[at] + (0.003, 0.0, 0.010)).tolist()
    pins = Pins(poses=(PosePin(int(track.frame[at]), tuple(rotation), tuple(translation)),))
    numbers = track.frame[4:13].tolist()
    seen = Quality.load(landmark_shot.path / "quality.npz").seen
    done = repair(
        track, landmark_shot.crop, pins, shot_video(landmark_shot), head=head, seen=seen, albedo=None, frames=numbers
    )
    turned = matrix_from_axis_angle(done.track.rotation[at]) - matrix_from_axis_angle(np.array(rotation))
    assert np.abs(turned).max() < 1e-5
    assert np.abs(done.track.translation[at] - translation).max() < 1e-5
    assert equal_outside(track, done.track, slice(4, 13))
    moved = np.linalg.norm(done.track.translation - track.translation, axis=1)
    assert moved[6] > 0.2 * moved[at] and moved[10] > 0.2 * moved[at]


def test_a_head_keyed_far_off_in_a_frame_without_a_face_is_believed_there_and_its_crop_follows(
    landmark_shot: Shot, head: HeadModel
) -> None:
    track, at = landmark_shot.track, 8
    landmarks, confidence = track.landmarks_px.copy(), track.confidence.copy()
    landmarks[at], confidence[at] = 0, 0
    blind = replace(track, landmarks_px=landmarks, confidence=confidence)
    translation = (track.translation[at] + (0.030, 0.0, 0.0)).tolist()
    pin = PosePin(int(track.frame[at]), tuple(track.rotation[at].tolist()), tuple(translation))
    done = repair(
        blind, landmark_shot.crop, Pins(poses=(pin,)), shot_video(landmark_shot), head=head, seen=Seen.in_track(blind),
        albedo=None, frames=track.frame[4:13].tolist(),
    )  # fmt: skip
    assert done.track.confidence[at] == 0.5 and done.cropped
    quality = measure(head, done.track, done.seen)
    assert quality.face_error_percent[at] < 2.0  # where the head is is where its face is said to be
    assert equal_outside(blind, done.track, slice(4, 13))
    assert np.array_equal(done.crop[:4], landmark_shot.crop[:4])
    assert np.array_equal(done.crop[13:], landmark_shot.crop[13:])
    lips = done.track.projected_px[4:13, list(LIPS)]
    for place, matrix in zip(lips, done.crop[4:13], strict=True):
        inside = place @ matrix[:, :2].T + matrix[:, 2]
        assert inside.min() > 0.05 and inside.max() < 0.95


@pytest.fixture
def package(speaker_shot: Shot, tmp_path: Path) -> Shot:
    """A copy of the tracked speaker with a stretch gone wrong, and a take of somebody's."""
    path = tmp_path / "speaker.dubshot"
    shutil.copytree(speaker_shot.path, path)
    shot = Shot.load(path)
    slipped(shot.track).save(path / "track.npz")
    shot.save_take(replace(shot.tracked_take(), name="louder"))
    return Shot.load(path)


def files_of(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def test_a_package_is_repaired_by_command_and_the_repair_is_undone(
    package: Shot, speaker_shot: Shot, head: HeadModel, tmp_path: Path
) -> None:
    pins = pins_at(speaker_shot.track, (WRONG.start, WRONG.stop - 1))
    pins.save(tmp_path / "pins.json")
    before = files_of(package.path)
    first, last = package.track.frame[WRONG][[0, -1]]
    asked = ["repair", str(package.path), "--pins", str(tmp_path / "pins.json"), "--frames", f"{first}-{last}"]

    tried = CliRunner().invoke(application(), [*asked, "--dry-run", "--json"])
    assert tried.exit_code == 0, tried.output
    assert files_of(package.path) == before

    done = CliRunner().invoke(application(), [*asked, "--no-preview", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout[done.stdout.index("{") :])
    assert (said["written"], said["repaired"], said["crop_changed"]) == (True, f"{first}-{last}", False)
    shot = Shot.load(package.path)
    assert pinned_px(shot.track, pins).max() < 1.0 and equal_outside(package.track, shot.track, WRONG)
    assert shot.info.extra["tracking"]["repairs"][0]["frames"] == f"{first}-{last}"
    assert Pins.load(package.path / "pins.json") == pins
    after = files_of(package.path)
    for kept in ("crop.npz", "head.npz", "albedo.npz", "audio.wav", "takes/louder.npz"):
        assert after[kept] == before[kept], kept
    assert "preview.mp4" not in after and after["report.html"] != before["report.html"]

    undo_repair(package.path)
    assert files_of(package.path) == before
    with pytest.raises(InvalidInput, match="no repair"):
        undo_repair(package.path)


def test_a_second_repair_keeps_the_pins_of_the_first(landmark_shot: Shot, head: HeadModel, tmp_path: Path) -> None:
    path = tmp_path / "speaker.dubshot"
    shutil.copytree(landmark_shot.path, path)
    track = landmark_shot.track
    numbers = track.frame[4:12].tolist()
    moved = [LandmarkPin(numbers[2], 61, *map(float, track.projected_px[6, 61] + (0, 3.0)))]
    moved.append(LandmarkPin(numbers[5], 291, *map(float, track.projected_px[9, 291] - (0, 3.0))))
    for pin in moved:
        repair_shot(Shot.load(path), Pins((pin,)), head=head, frames=numbers, report=False)
    assert pinned_px(Shot.load(path).track, Pins(tuple(moved))).max() < 1.0


def test_a_repair_that_is_stopped_or_refused_leaves_the_package_as_it_was(
    landmark_shot: Shot, head: HeadModel, tmp_path: Path
) -> None:
    before = files_of(landmark_shot.path)
    pins = pins_at(landmark_shot.track, (5,))
    asked: list[int] = []
    with pytest.raises(Cancelled):
        repair_shot(landmark_shot, pins, head=head, stop=lambda: asked.append(1) or len(asked) > 2)
    other = replace(landmark_shot, info=replace(landmark_shot.info, head=HeadIdentity("flame", "0" * 64)))
    with pytest.raises(HeadModelMismatch):
        repair_shot(other, pins, head=head)
    for frames, says in (([1001, 1003], "holes"), ([1001, 1002], "outside")):
        with pytest.raises(InvalidInput, match=says):
            repair_shot(landmark_shot, pins, head=head, frames=frames)
    with pytest.raises(InvalidInput, match="no pin"):
        repair_shot(landmark_shot, Pins(), head=head)
    assert files_of(landmark_shot.path) == before
    assert [file.name for file in landmark_shot.path.parent.iterdir()] == [landmark_shot.path.name]


def test_a_repair_reaches_to_the_nearest_frames_that_are_not_flagged(landmark_shot: Shot) -> None:
    track = replace(landmark_shot.track, frame=landmark_shot.track.frame - 1001)
    long = Track(
        **{name: array if name in OF_THE_SHOT else np.concatenate([array] * 4) for name, array in vars(track).items()}
    )
    long = replace(long, frame=np.arange(64), time=np.arange(64) / 25)
    pins = Pins((LandmarkPin(30, 13, 10.0, 10.0), LandmarkPin(33, 13, 10.0, 10.0)))
    assert stretch(long, pins, None, frozenset(range(28, 36))) == (28, 36)
    assert stretch(long, pins, None, frozenset()) == (30 - AROUND, 33 + AROUND + 1)
    assert stretch(long, pins, range(29, 40), frozenset()) == (29, 40)


def test_pins_come_back_from_their_file_and_broken_ones_are_refused(tmp_path: Path) -> None:
    pins = Pins((LandmarkPin(1043, 13, 912.5, 604.0),), (PosePin(1050, (3.1, 0.0, 0.1), (0.0, 0.01, 0.8)),))
    pins.save(tmp_path / "pins.json")
    assert Pins.load(tmp_path / "pins.json") == pins
    newer = Pins((LandmarkPin(1043, 13, 1.0, 2.0), LandmarkPin(1044, 13, 3.0, 4.0)))
    assert newer.over(pins).landmarks == newer.landmarks and newer.over(pins).poses == pins.poses
    for landmarks in ([{"frame": 1, "landmark": 468, "x": 0, "y": 0}], [{"frame": 1}], [{"frame": 1, "landmark": 0,
                      "x": "nan", "y": 0}], 7):  # fmt: skip
        (tmp_path / "bad.json").write_text(json.dumps({"schema": "dubplate.pins/1", "landmarks": landmarks}))
        with pytest.raises(InvalidInput):
            Pins.load(tmp_path / "bad.json")
