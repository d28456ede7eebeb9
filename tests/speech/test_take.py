# SPDX-License-Identifier: Apache-2.0
"""A spoken take on a shot: lips that meet, a mouth that rests, an upper face that goes on as filmed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from dubplate_backend.cli.main import application
from dubplate_backend.head.load import load_head
from dubplate_backend.head.model import HeadModel
from dubplate_backend.speech.mouth import LipGauge, lips_apart, mouth_on_head
from dubplate_backend.speech.sound import write_wav
from dubplate_backend.speech.speak import speak
from dubplate_backend.synthetic.shot import RATE, stage
from dubplate_backend.synthetic.utterance import babble
from dubplate_backend.synthetic.voice import VOICE_RATE, synthesise
from dubplate_backend.tracking.crop import crop_matrices
from dubplate_shared.errors import HeadModelMismatch, InvalidInput
from dubplate_shared.landmarks import INNER_LIP_PAIRS, LEFT_BROW, RIGHT_BROW
from dubplate_shared.shot import HeadIdentity, PlateSource, Shot, ShotInfo, write_shot

SECONDS = 3.0


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="module")
def shot(head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Shot:
    """A performed shot without pictures: speaking needs none."""
    scene = stage(seconds=SECONDS, size=128, seed=2, head=head)
    info = ShotInfo(
        name="silent",
        frame_count=len(scene.track),
        rate=RATE,
        width=128,
        height=128,
        plate=PlateSource("video", "plate.mp4", "g24_rec709_display"),
        head=HeadIdentity(head.kind, head.sha256),
    )
    path = tmp_path_factory.mktemp("speak") / "silent.dubshot"
    return write_shot(path, info, scene.track, crop_matrices(scene.head, scene.track), None)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("voice") / "line.wav"
    write_wav(path, synthesise(babble(SECONDS, seed=9), seed=9), VOICE_RATE)
    return path


def test_the_take_is_as_long_as_the_shot_and_says_where_it_came_from(head, shot, line) -> None:
    take = speak(line, shot, "french", head=head)
    shot.save_take(take)
    again = shot.take("french")
    assert len(again) == shot.info.frame_count
    assert again.origin["kind"] == "speech" and again.origin["audio"] == str(line)
    assert len(again.origin["sha256"]) == 64
    jaw_deg = np.degrees(take.jaw[:, 0])
    assert jaw_deg.max() > 5.0 and jaw_deg.std() > 1.5
    assert np.array_equal(speak(line, shot, "french", head=head).jaw, take.jaw)


def test_lips_meet_in_silence_and_part_in_speech(head, shot, line) -> None:
    take = speak(line, shot, "french", head=head)
    silent = babble(SECONDS, seed=9).silent(np.arange(len(take)) / 25 + 0.02)
    settled = np.convolve(silent, np.ones(9), mode="same") > 8.5
    gap_mm = 1e3 * LipGauge(head, shot.track.shape).gap_m(take.expression, take.jaw)
    assert settled.any()
    assert np.abs(gap_mm[settled]).max() < 0.8
    assert np.degrees(take.jaw[settled, 0]).max() < 0.5
    assert gap_mm.max() > 4.0


def test_lips_close_fully_over_an_open_jaw_where_they_are_told_to(head) -> None:
    shape, jaw_deg = np.zeros(300, np.float32), np.array([2.0, 6.0, 10.0])
    still = np.zeros((3, 100), np.float32)
    opened = mouth_on_head(head, shape, still, jaw_deg, {})
    closed = mouth_on_head(head, shape, still, jaw_deg, {"lips_close": np.ones(3)})
    before, after = (1e3 * LipGauge(head, shape).gap_m(*codes) for codes in (opened, closed))
    assert (before > [0.5, 2.0, 4.0]).all()
    assert np.abs(after).max() < 0.8


def test_the_gauge_measures_what_the_whole_head_shows(head, shot) -> None:
    track, some = shot.track, slice(0, 40, 8)
    arrays = (torch.from_numpy(array[some]) for array in (track.expression, track.jaw))
    points = head.landmarks(head.vertices(torch.from_numpy(track.shape), *arrays)).numpy()
    whole = np.mean([points[:, a, 1] - points[:, b, 1] for a, b in INNER_LIP_PAIRS[2:-2]], axis=0)
    gauge = LipGauge(head, track.shape).gap_m(track.expression[some], track.jaw[some])
    assert np.abs(gauge - whole).max() < 1e-6


def test_the_brows_go_on_as_filmed(head, shot, line) -> None:
    take = speak(line, shot, "french", head=head)
    points = [
        head.landmarks(
            head.vertices(torch.from_numpy(shot.track.shape), torch.from_numpy(expression), torch.zeros(len(take), 3))
        )[:, list(LEFT_BROW + RIGHT_BROW)]
        for expression in (take.expression, shot.track.expression)
    ]
    moved = points[1].std(dim=0).norm(dim=-1).mean()
    assert moved > 2e-4
    assert (points[0] - points[1]).norm(dim=-1).mean() < 0.35 * moved


def test_offset_moves_the_words_and_gain_the_opening(head, shot, line) -> None:
    plain = speak(line, shot, "a", head=head).jaw[:, 0]
    late = speak(line, shot, "b", head=head, offset_s=0.2).jaw[:, 0]
    small = speak(line, shot, "c", head=head, gain=0.5).jaw[:, 0]
    assert np.abs(late[5:] - plain[:-5]).max() < 1e-6
    assert np.allclose(small, 0.5 * plain, atol=1e-6)


def test_sound_longer_than_the_shot_is_cut_with_a_warning_and_shorter_sound_ends_closed(head, shot, tmp_path) -> None:
    long, short = tmp_path / "long.wav", tmp_path / "short.wav"
    write_wav(long, synthesise(babble(5.0, seed=3), seed=3), VOICE_RATE)
    write_wav(short, synthesise(babble(1.5, seed=3), seed=3), VOICE_RATE)
    with pytest.warns(UserWarning, match="not spoken"):
        speak(long, shot, "long", head=head)
    assert np.degrees(speak(short, shot, "short", head=head).jaw[45:, 0]).max() < 0.1


def test_another_head_and_a_senseless_gain_are_refused(head, shot, line) -> None:
    with pytest.raises(HeadModelMismatch):
        speak(line, shot, "x", head=replace(head, sha256="0" * 64))
    with pytest.raises(InvalidInput, match="gain"):
        speak(line, shot, "x", head=head, gain=-1.0)


def test_the_command_stores_the_take_and_reports_as_json(shot, line) -> None:
    done = CliRunner().invoke(application(), ["speak", str(line), str(shot.path), "--take", "typed", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout[done.stdout.index("{") :])
    assert report["frames"] == shot.info.frame_count and report["jaw_deg"]["max"] > 5.0
    assert "typed" in Shot.load(shot.path).take_names()


def test_lips_that_overlap_are_brought_to_where_they_meet_and_others_stay() -> None:
    head = load_head("standin")
    shape = np.zeros(300, np.float32)
    closing = head.controls["lips_close"][0].numpy()
    expression = np.stack([0.4 * closing, np.zeros(100, np.float32), 0.4 * closing]).astype(np.float32)
    jaw = np.radians([[0.0, 0, 0], [8.0, 0, 0], [20.0, 0, 0]]).astype(np.float32)
    gauge = LipGauge(head, shape)
    before = gauge.gap_m(expression, jaw)
    assert before[0] < -0.001 < 0.001 < before[1]
    apart, turned = lips_apart(head, shape, expression, jaw)
    after = gauge.gap_m(apart, turned)
    assert abs(after[0]) < 2e-4
    np.testing.assert_allclose(after[1:], before[1:], atol=1e-7)
