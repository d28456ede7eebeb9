# SPDX-License-Identifier: Apache-2.0
"""Live Link Face and Audio2Face as takes: shapes by name, on any head, at the shot's own frames."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from take_files import LIVE_LINK_HEADER, empty_shot, write_audio2face, write_live_link
from typer.testing import CliRunner

from dubplate_backend.cli.main import application
from dubplate_backend.head.model import HeadModel
from dubplate_backend.interchange.arkit import GAZE, NAMES, PARTS
from dubplate_backend.interchange.face_shapes import codes_of_shapes, directions
from dubplate_backend.interchange.import_take import TakeSettings, UpperFace, import_take
from dubplate_backend.interchange.live_link import read_live_link
from dubplate_backend.speech.mouth import LipGauge
from dubplate_shared.errors import FootageError, HeadModelMismatch, InvalidInput
from dubplate_shared.landmarks import LEFT_MOUTH_CORNER, RIGHT_MOUTH_CORNER
from dubplate_shared.rotations import matrix_from_axis_angle
from dubplate_shared.shot import Rate, Shot


@pytest.fixture(scope="module")
def head(standin) -> HeadModel:
    return standin


@pytest.fixture
def shot(head: HeadModel, tmp_path: Path) -> Shot:
    return empty_shot(tmp_path / "man.dubshot", head)


def opening(seconds: float, rate: float) -> np.ndarray:
    """A mouth that opens once a second, 0 to 0.6."""
    return 0.3 - 0.3 * np.cos(2 * np.pi * np.arange(round(seconds * rate)) / rate)


def landmarks(head: HeadModel, expression: np.ndarray, jaw: np.ndarray) -> np.ndarray:
    """(T, 468, 3) millimetres."""
    codes = (torch.from_numpy(np.asarray(code, np.float32)) for code in (expression, jaw))
    return 1e3 * head.landmarks(head.vertices(torch.zeros(300), *codes)).numpy()


def test_a_jaw_recorded_at_60_opens_at_the_same_seconds_in_a_shot_at_25(head, shot, tmp_path) -> None:
    file = write_live_link(tmp_path / "phone.csv", {"JawOpen": opening(1.2, 60)})
    made = import_take(file, shot, "phone", head=head)
    # The middle of each frame, on a recording whose samples stand for their own middles.
    at = (np.arange(30) + 0.5) / 25 - 0.5 / 60
    wanted = np.radians(25.3) * (0.3 - 0.3 * np.cos(2 * np.pi * at))
    assert np.abs(made.take.jaw[:, 0] - wanted).max() < np.radians(0.1)
    assert made.take.origin["format"] == "live_link_face" and len(made.take.origin["sha256"]) == 64


def test_columns_are_read_by_name_whatever_their_order_and_case(head, shot, tmp_path) -> None:
    curves = {"JawLeft": np.full(72, 0.5), "MouthSmileLeft": np.full(72, 0.8)}
    as_written = import_take(write_live_link(tmp_path / "a.csv", curves), shot, "a", head=head).take
    shuffled = ["Timecode", "BlendshapeCount", *reversed(LIVE_LINK_HEADER[2:])]
    again = import_take(write_live_link(tmp_path / "b.csv", curves, header=shuffled), shot, "b", head=head).take
    assert np.array_equal(as_written.expression, again.expression) and np.array_equal(as_written.jaw, again.jaw)
    points = landmarks(head, as_written.expression[10:11], as_written.jaw[10:11])[0]
    rest = landmarks(head, np.zeros((1, 100)), np.zeros((1, 3)))[0]
    moved = points - rest
    assert moved[LEFT_MOUTH_CORNER, 1] > 4 and abs(moved[RIGHT_MOUTH_CORNER, 1]) < 1  # the subject's left corner rises
    assert moved[152, 0] > 1.5  # and his chin goes to his left


def test_each_of_the_52_shapes_moves_the_face_or_is_named_as_lost(head, tmp_path) -> None:
    assert len(NAMES) == 52
    shot = empty_shot(tmp_path / "all.dubshot", head, frames=3 * len(NAMES))
    curves = {name[0].upper() + name[1:]: np.zeros(3 * len(NAMES)) for name in NAMES}
    for turn, values in enumerate(curves.values()):
        values[3 * turn : 3 * turn + 3] = 0.7
    curves["JawOpen"][3 * NAMES.index("mouthClose") :][:3] = 0.7  # over a closed jaw there is nothing to close
    made = import_take(write_live_link(tmp_path / "all.csv", curves, rate=25), shot, "all", head=head)
    take = made.take
    for turn, name in enumerate(NAMES):
        frame = 3 * turn + 1
        moved = np.abs(np.concatenate([take.expression[frame], take.jaw[frame], take.eyes[frame]])).max()
        assert (moved > 0.05) != any(name in warning for warning in made.warnings), name


def test_the_left_half_moves_the_left_and_both_halves_make_the_whole(head) -> None:
    rest = landmarks(head, np.zeros((1, 100)), np.zeros((1, 3)))
    x = rest[0, :, 0]
    goals = {part.goal for parts in PARTS.values() for part in parts if part.side != "both"}
    found = directions(head, [(goal, side) for goal in goals for side in ("left", "right")])
    whole = directions(head, [(goal, "both") for goal in goals - {"blink"}])
    for goal in goals:
        codes = np.stack([found[goal, "left"], found[goal, "right"]])
        moved = np.linalg.norm(landmarks(head, codes, np.zeros((2, 3))) - rest, axis=-1)
        ratio = 1.8  # the stand-in has some of its components on both sides only
        assert moved[0, x > 15].mean() > ratio * moved[0, x < -15].mean(), goal
        assert moved[1, x < -15].mean() > ratio * moved[1, x > 15].mean(), goal
        if goal != "blink":
            points = landmarks(head, np.stack([codes.sum(0), whole[goal, "both"]]), np.zeros((2, 3)))
            assert np.linalg.norm(points[0] - points[1], axis=-1).mean() < 0.05, goal


@pytest.mark.parametrize("opened", [0.2, 0.5])
def test_lips_meet_where_mouth_close_reaches_jaw_open(head, opened) -> None:
    shares = np.array([0.0, 0.5, 1.0])
    weights = {"jawOpen": np.full(3, opened), "mouthClose": opened * shares}
    expression, jaw = codes_of_shapes(head, np.zeros(300, np.float32), np.zeros((3, 100)), weights)
    gap = 1e3 * LipGauge(head, np.zeros(300, np.float32)).gap_m(expression, jaw)
    assert gap[0] > 3 and abs(gap[1] - gap[0] / 2) < 0.15 * gap[0] and abs(gap[2]) < 0.8


@pytest.mark.parametrize(("unit", "sign"), [(1.0, 1), (1.0, -1), (1 / np.pi, -1), (180 / np.pi, 1)])
def test_eye_angles_are_read_whatever_their_unit_and_sign(tmp_path, unit, sign) -> None:
    yaw = 0.45 * np.sin(np.linspace(0, 6, 120))  # towards the subject's left, radians
    pitch = 0.2 * np.sin(np.linspace(0, 9, 120))  # down
    full = np.radians(35)
    curves = {
        "EyeLookOutLeft": np.maximum(yaw, 0) / full * 0.9,
        "EyeLookInLeft": np.maximum(-yaw, 0) / full * 0.9,
        "EyeLookInRight": np.maximum(yaw, 0) / full * 0.9,
        "EyeLookOutRight": np.maximum(-yaw, 0) / full * 0.9,
        **{f"EyeLookDown{side}": np.maximum(pitch, 0) / full for side in ("Left", "Right")},
        **{f"EyeLookUp{side}": np.maximum(-pitch, 0) / full for side in ("Left", "Right")},
        **{f"{side}EyeYaw": sign * unit * yaw for side in ("Left", "Right")},
        **{f"{side}EyePitch": -sign * unit * pitch for side in ("Left", "Right")},
    }
    eyes = read_live_link(write_live_link(tmp_path / "eyes.csv", curves)).eyes
    gaze = matrix_from_axis_angle(eyes.reshape(-1, 2, 3))[..., 2]  # where straight ahead goes
    wanted = np.stack([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)], -1)
    assert np.abs(gaze - wanted[:, None]).max() < 1e-6


def test_eyes_follow_the_look_shapes_where_angles_are_absent(tmp_path) -> None:
    header = [name for name in LIVE_LINK_HEADER if "Yaw" not in name and "Pitch" not in name and "Roll" not in name]
    file = write_live_link(tmp_path / "old.csv", {"EyeLookOutRight": np.full(60, 1.0)}, header=header)
    eyes = read_live_link(file).eyes
    assert np.allclose(np.degrees(eyes[0]), (0, 0, 0, 0, -35, 0))  # the right eye outwards: to his right


def test_the_upper_face_stays_as_filmed_when_asked(head, shot, tmp_path) -> None:
    curves = {"EyeBlinkLeft": np.full(72, 1.0), "BrowInnerUp": np.full(72, 1.0), "JawOpen": opening(1.2, 60)}
    file = write_live_link(tmp_path / "phone.csv", curves)
    filmed = import_take(file, shot, "f", head=head, settings=TakeSettings(upper_face=UpperFace.FILMED)).take
    whole = import_take(file, shot, "w", head=head).take
    assert filmed.eyes is None and whole.eyes is not None
    assert np.abs(filmed.expression).max() < 1e-3 < np.abs(whole.expression).max()
    assert np.array_equal(filmed.jaw, whole.jaw)


def test_audio2face_opens_the_jaw_by_its_own_and_by_arkits_names(head, shot, tmp_path) -> None:
    curve = opening(1.2, 30)
    arkit = write_audio2face(tmp_path / "arkit.json", {"jawOpen": curve, "mouthClose": 0.2 * curve})
    facs = write_audio2face(tmp_path / "facs.json", {"jawDrop": curve, "jawDropLipTowards": 0.2 * curve})
    first, second = (import_take(file, shot, "x", head=head).take for file in (arkit, facs))
    assert np.degrees(first.jaw[:, 0]).max() > 12
    assert np.array_equal(first.jaw, second.jaw) and np.array_equal(first.expression, second.expression)
    assert first.eyes is None  # made from sound: eyes as filmed


def test_audio2face_turns_the_eyes_when_asked(head, shot, tmp_path) -> None:
    file = write_audio2face(tmp_path / "eyes.json", {"jawDrop": np.zeros(36), "eyesLookLeft": np.ones(36)})
    take = import_take(file, shot, "x", head=head, settings=TakeSettings(upper_face=UpperFace.IMPORTED)).take
    assert np.allclose(np.degrees(take.eyes[10]), (0, 35, 0, 0, 35, 0), atol=1e-4)


@pytest.mark.parametrize("order", ["xyzw", "wxyz"])
def test_a_jaw_that_moves_as_a_joint_is_read_from_its_rotations(head, shot, tmp_path, order) -> None:
    angle = 0.5 * np.radians(25.3) * opening(1.2, 30)
    quaternions = np.zeros((len(angle), 4))
    quaternions[:, 0 if order == "xyzw" else 1] = np.sin(angle)
    quaternions[:, 3 if order == "xyzw" else 0] = np.cos(angle)
    eye = np.tile((0, 0, 0, 1.0), (len(angle), 1))
    file = write_audio2face(
        tmp_path / "joint.json",
        {"mouthFunnel": np.zeros(len(angle))},
        joints=["eye_L", "jaw"],
        rotations=np.stack([eye, quaternions], axis=1).tolist(),
    )
    joint = import_take(file, shot, "x", head=head).take
    weights = write_audio2face(tmp_path / "w.json", {"jawOpen": opening(1.2, 30)})
    assert np.allclose(joint.jaw, import_take(weights, shot, "y", head=head).take.jaw, atol=1e-5)


def test_a_short_performance_ends_at_rest_and_a_long_one_is_cut_with_a_warning(head, shot, tmp_path) -> None:
    short = import_take(write_live_link(tmp_path / "s.csv", {"JawOpen": np.full(30, 0.5)}), shot, "s", head=head)
    assert short.take.jaw[5, 0] > 0.2 and np.abs(short.take.jaw[20:]).max() == 0 and not short.warnings
    long = import_take(write_live_link(tmp_path / "l.csv", {"JawOpen": np.full(120, 0.5)}), shot, "l", head=head)
    assert any("left out" in warning for warning in long.warnings)


def test_start_is_seconds_a_time_code_of_the_shot_or_the_files_own(head, tmp_path) -> None:
    shot = empty_shot(tmp_path / "tc.dubshot", head, frames=60, timecode="14:03:52:00")
    pulse = np.where(np.arange(30) < 20, 0.5, 0.0)
    file = write_live_link(tmp_path / "tc.csv", {"JawOpen": pulse}, at=(14, 3, 52, 30))

    def begins(start: str | float) -> int:
        jaw = import_take(file, shot, "x", head=head, settings=TakeSettings(start=start)).take.jaw[:, 0]
        return int(np.argmax(jaw > 0.21))

    assert begins(0.8) == begins("0.8") == begins("14:03:52:20") == 20
    assert begins("timecode") in (12, 13)  # half a second later: 12.5 frames
    with pytest.raises(InvalidInput, match="no start"):
        begins("soon")
    with pytest.raises(InvalidInput, match="outside the shot"):
        begins(90.0)


def test_a_film_rate_shot_meets_the_wall_clock_by_its_labels(head, tmp_path) -> None:
    shot = empty_shot(tmp_path / "film.dubshot", head, frames=48, rate=Rate(24000, 1001), timecode="14:03:52:00")
    file = write_live_link(tmp_path / "f.csv", {"JawOpen": np.full(60, 0.5)}, at=(14, 3, 53, 0))
    take = import_take(file, shot, "x", head=head, settings=TakeSettings(start="timecode")).take
    assert abs(take.origin["start_s"] - 1.001) < 0.01


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda text: text.replace("JawOpen", "J").split("\n")[0], "no rows"),
        (lambda text: text[: len(text) // 2], "cells under"),
        (lambda text: text.replace("14:03:52:40.207", "later"), "time codes"),
        (lambda text: text.replace("0.500000000", "nan", 1), "no number"),
        (lambda text: text.replace("0.500000000", "wide", 1), "wide"),
        (lambda text: "a,b\n1,2\n", "no columns"),
    ],
)
def test_a_broken_recording_is_refused_in_a_sentence(head, shot, tmp_path, spoil, words) -> None:
    file = write_live_link(tmp_path / "x.csv", {"JawOpen": np.full(60, 0.5)})
    file.write_text(spoil(file.read_text()))
    with pytest.raises(InvalidInput, match=words) as refused:
        import_take(file, shot, "x", head=head)
    assert refused.value.hint


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"facsNames": ["jawOpen"], "weightMat": [[1, 2]], "exportFps": 30}', '{"facsNames": ["blob"], '
     '"weightMat": [[1]], "exportFps": 30}', '{"facsNames": ["jawOpen"], "weightMat": [[0.1]]}',
     '{"facsNames": ["jawOpen"], "weightMat": [[NaN]], "exportFps": 30}', "[" * 100000],
)  # fmt: skip
def test_a_broken_export_is_refused_in_a_sentence(head, shot, tmp_path, content) -> None:
    file = tmp_path / "x.json"
    file.write_text(content)
    with pytest.raises(InvalidInput) as refused:
        import_take(file, shot, "x", head=head)
    assert refused.value.hint


def test_another_head_an_unknown_kind_and_a_silent_voice_are_refused(head, shot, tmp_path) -> None:
    file = write_live_link(tmp_path / "x.csv", {"JawOpen": np.full(60, 0.5)})
    with pytest.raises(HeadModelMismatch):
        import_take(file, shot, "x", head=replace(head, sha256="0" * 64))
    for name in ("tracked", "a/b"):
        with pytest.raises(InvalidInput):
            import_take(file, shot, name, head=head)
    with pytest.raises(InvalidInput, match="no known kind"):
        import_take(file.rename(tmp_path / "x.fbx"), shot, "x", head=head)
    with pytest.raises(FootageError):
        settings = TakeSettings(audio=shot.path / "shot.json")
        import_take(
            write_live_link(tmp_path / "y.csv", {"JawOpen": np.ones(60)}), shot, "x", head=head, settings=settings
        )


def test_gaze_shapes_are_among_the_names() -> None:
    assert len(GAZE) == 8 and set(GAZE) <= set(NAMES)


def test_the_command_stores_the_take_and_reports_as_json(head, shot, tmp_path) -> None:
    file = write_live_link(tmp_path / "phone.csv", {"JawOpen": opening(1.2, 60), "TongueOut": np.full(72, 0.5)})
    done = CliRunner().invoke(application(), ["import", "take", str(file), str(shot.path), "--take", "phone", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout[done.stdout.index("{") :])
    assert report["frames"] == 30 and report["jaw_deg"]["max"] > 10 and "tongueOut" in report["warnings"][0]
    assert "phone" in Shot.load(shot.path).take_names()
