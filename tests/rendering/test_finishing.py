# SPDX-License-Identifier: Apache-2.0
"""Frames finished by several threads come out in order, few are in memory, and what goes wrong is told in its place."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dubplate_backend.plates.source import Plate, ShotPlates
from dubplate_backend.rendering import render
from dubplate_backend.rendering.finishing import finishing_threads, in_order
from dubplate_shared.errors import Cancelled, InvalidInput
from rendering.conftest import NO_FACE_FRAME


def test_a_drawn_frame_still_has_its_plate_though_drawing_runs_ahead(shot, actor, head, tmp_path, monkeypatch):
    """What is let go of too early is decoded again, which for video goes from its keyframe on."""
    read, written = [], []
    reading, writing = ShotPlates._read, render.write_exr

    def counted(self: ShotPlates, frame: int, index: int) -> Plate:
        read.append((threading.current_thread(), frame))
        return reading(self, frame, index)

    def slow(*given: Any) -> None:
        time.sleep(0.1)
        writing(*given)
        written.append(given[0])

    monkeypatch.setattr(ShotPlates, "_read", counted)
    monkeypatch.setattr(render, "write_exr", slow)
    frames = range(1001, 1021)
    render.render_shot(
        shot=shot, take=shot.take("tracked"), actor_path=actor, head=head, frames=frames, out=tmp_path,
        settings={"preview": False},
    )  # fmt: skip
    assert len(written) == len(frames) == len({frame for _, frame in read})
    assert [frame for thread, frame in read if thread is threading.current_thread()] == [NO_FACE_FRAME]


def test_results_keep_their_order_though_the_first_takes_longest():
    def work(item: int) -> int:
        time.sleep(0.05 if item % 3 == 0 else 0.0)
        return item

    assert list(in_order(work, range(12), threads=3, waiting=2)) == list(range(12))


def test_several_items_are_worked_on_at_once():
    together = threading.Barrier(2, timeout=5)
    assert list(in_order(lambda item: together.wait() >= 0, range(4), threads=2, waiting=0)) == [True] * 4


def test_no_more_are_taken_than_the_threads_and_those_that_may_wait():
    taken, given = [], []

    def items() -> Iterator[int]:
        for item in range(20):
            taken.append(item)
            assert len(taken) - len(given) <= 2 + 3 + 1
            yield item

    for result in in_order(lambda item: (time.sleep(0.002), item)[1], items(), threads=2, waiting=3):
        given.append(result)
    assert given == taken


def test_what_was_drawn_before_a_failure_is_finished_first():
    def items() -> Iterator[int]:
        yield from range(3)
        raise InvalidInput("gone", hint="")

    given = []
    with pytest.raises(InvalidInput, match="gone"):
        for result in in_order(lambda item: item, items(), threads=2, waiting=8):
            given.append(result)
    assert given == [0, 1, 2]


def test_after_a_stop_nothing_new_is_begun():
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        time.sleep(0.1)
        return item

    def items() -> Iterator[int]:
        yield from range(6)
        raise Cancelled("stopped", hint="")

    given = []
    with pytest.raises(Cancelled):
        for result in in_order(work, items(), threads=1, waiting=20):
            given.append(result)
    assert given == begun and len(begun) < 6


def test_a_failure_of_the_work_stops_the_rest():
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        list(in_order(work, range(50), threads=1, waiting=1))
    assert len(begun) < 6


def test_large_plates_are_finished_by_fewer_threads():
    assert finishing_threads(1080, 1920) >= finishing_threads(2160, 3840) == 1
    assert finishing_threads(17280, 30720) == 1
