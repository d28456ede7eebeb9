# SPDX-License-Identifier: Apache-2.0
"""Which plate frame a tool's picture shows is what FFmpeg's own fps filter shows in it."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dubplate_backend.interchange.picture_times import are_plate_frames, on_plate
from dubplate_shared.errors import InvalidInput
from footage import number_of, numbered

TICK = Fraction(1, 90_000)


def pictures_of_ffmpeg(times: np.ndarray, rate: int) -> list[int]:
    """The plate frame in each picture that the fps filter makes of frames at `times` s."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=96, height=64, format=av.VideoFormat("rgb24"), time_base=TICK)
    chain = [source, graph.add("fps", f"fps={rate}"), graph.add("buffersink")]
    graph.link_nodes(*chain).configure()
    shown = []

    def pull() -> None:
        while True:
            try:
                shown.append(number_of(graph.vpull().to_ndarray(format="rgb24")))
            except (BlockingIOError, av.error.EOFError):
                return

    for index, time in enumerate(times):
        frame = av.VideoFrame.from_ndarray(numbered(index % 64), format="rgb24")
        frame.pts, frame.time_base = round(time / TICK), TICK
        graph.vpush(frame)
        pull()
    graph.vpush(None)
    pull()
    return shown


@pytest.mark.parametrize("start_s", [0.0, 0.083])
@pytest.mark.parametrize("plate", [24000 / 1001, 25.0, 30000 / 1001, 50.0, 60.0])
@pytest.mark.parametrize("rate", [25, 30])
def test_a_picture_is_the_plate_frame_that_ffmpeg_puts_in_it(plate, rate, start_s):
    times = np.arange(60) / plate
    shown = pictures_of_ffmpeg(times + start_s, rate)
    placed = on_plate(np.arange(len(shown)), float(rate), times, start_s)
    for picture, frame in zip(placed.picture, placed.frame, strict=True):
        assert shown[picture] == frame
    assert set(shown) == set(placed.frame.tolist())
    first, last = placed.frame[0], placed.frame[-1]
    assert placed.confidence[first : last + 1].all(), "what lies between two pictures of a clock is tracked"


def test_a_variable_rate_is_followed_by_its_true_times():
    gaps = np.random.default_rng(3).uniform(0.02, 0.07, 59)
    times = np.round(np.concatenate([[0.0], np.cumsum(gaps)]) / float(TICK)) * float(TICK)
    shown = pictures_of_ffmpeg(times, 25)
    placed = on_plate(np.arange(len(shown)), 25.0, times)
    assert [shown[picture] for picture in placed.picture] == placed.frame.tolist()


def test_frames_between_pictures_that_are_missing_have_no_confidence_and_values_between():
    number = np.array([2, 3, 7, 8])
    placed = on_plate(number, None, np.arange(10) / 25)
    assert placed.confidence.tolist() == [0, 0, 1, 1, 0, 0, 0, 1, 1, 0]
    values = placed.values(number[:, None].astype(float))[:, 0]
    assert np.allclose(values, [2, 2, 2, 3, 4, 5, 6, 7, 8, 8])
    turns = Rotation.from_rotvec(np.outer(number * 0.3, [0.6, 0.8, 0])).as_matrix()
    angle = np.linalg.norm(Rotation.from_matrix(placed.rotations(turns)).as_rotvec(), axis=1)
    assert np.allclose(angle, values * 0.3)


def test_an_offset_moves_the_pictures_along_the_plate():
    placed = on_plate(np.array([0, 1]), None, np.arange(5) / 25, offset=2)
    assert placed.frame.tolist() == [2, 3]
    assert placed.confidence.tolist() == [0, 0, 1, 1, 0]


@pytest.mark.parametrize("number", [[0, 50], [-1, 3]])
def test_pictures_outside_the_plate_are_refused_with_the_fix(number):
    with pytest.raises(InvalidInput, match="the plate has 50 frames") as told:
        on_plate(np.array(number), None, np.arange(50) / 25)
    assert "--tool-fps" in told.value.hint


def test_as_many_pictures_as_frames_are_the_frames_themselves():
    times = np.arange(240) / 24
    assert are_plate_frames(np.arange(240), 25.0, times)
    assert not are_plate_frames(np.arange(250), 25.0, times), "what a clock of 25 makes of them"
    assert not are_plate_frames(np.arange(100), 25.0, times), "a part of them"
    assert not are_plate_frames(np.arange(240), 25.0, np.arange(240) / 25), "both clocks are one"


def test_a_rate_that_is_none_is_refused():
    with pytest.raises(InvalidInput, match="no rate"):
        on_plate(np.array([0, 1]), 0.0, np.arange(5) / 25)


def test_one_picture_holds_for_the_whole_plate():
    placed = on_plate(np.array([0]), 25.0, np.arange(3) / 25)
    assert np.allclose(placed.rotations(np.eye(3)[None]), np.eye(3))
    assert placed.confidence.tolist() == [1, 0, 0]
