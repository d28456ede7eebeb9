# SPDX-License-Identifier: Apache-2.0
"""Several who want previews at once: they take turns, and the one who floods gains nothing by it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from dubplate_backend.server.answering import Caller
from dubplate_backend.server.previews import Previews
from dubplate_shared.messages import Outcome, Picture, PreviewDraw, PreviewOver, Stage
from dubplate_shared.progress import Stop, check
from dubplate_shared.protocol import Array

FLOODER, OTHER = Caller(b"flooder"), Caller(b"other")


class Drawing:
    """Drawing in steps that the test lets happen one by one: no clock decides what comes first."""

    def __init__(self) -> None:
        self.log: list[tuple[str, int]] = []
        self._steps = threading.Semaphore(0)
        self._waiting = threading.Semaphore(0)

    def stages(self, request: PreviewDraw, caller: Caller, stop: Stop) -> Iterator[tuple[Picture, Array]]:
        self.log.append((caller.route.decode(), request.generation))
        for _ in range(2):
            self._waiting.release()
            self._steps.acquire()
            check(stop)
        yield Picture(0, request.generation, request.frame, Stage.CROP, "", ()), np.zeros(4, np.uint8)

    def until_waiting(self) -> None:
        assert self._waiting.acquire(timeout=5)

    def step(self) -> None:
        self._steps.release()

    def close(self) -> None:
        for _ in range(100):
            self._steps.release()


@pytest.fixture
def drawing() -> Drawing:
    return Drawing()


@pytest.fixture
def delivered() -> list[tuple[str, object]]:
    return []


@pytest.fixture
def previews(drawing: Drawing, delivered: list[tuple[str, object]]) -> Iterator[Previews]:
    previews = Previews(drawing)  # type: ignore[arg-type]
    previews.deliver = lambda route, item, array: delivered.append((route.decode(), item))
    previews.start()
    yield previews
    drawing.close()
    assert previews.stop(5)


def ask(previews: Previews, caller: Caller, generation: int) -> None:
    previews.draw(caller, PreviewDraw(generation, "s.dubshot", "a.dubactor", 1001))


def test_the_one_who_floods_gives_way_at_once_and_gets_the_next_turn_whole(previews, drawing, delivered):
    ask(previews, FLOODER, 1)
    drawing.until_waiting()
    for generation in range(2, 200):
        ask(previews, FLOODER, generation)
    ask(previews, OTHER, 1)
    drawing.step()  # in the middle of a stage
    drawing.until_waiting()
    assert drawing.log == [("flooder", 1), ("other", 1)]
    drawing.step()
    drawing.until_waiting()
    drawing.step()
    drawing.until_waiting()
    assert drawing.log[2:] == [("flooder", 199)]
    ask(previews, OTHER, 2)
    ask(previews, FLOODER, 200)
    drawing.step()
    drawing.until_waiting()
    assert len(drawing.log) == 3, "dropped once, it is not dropped again"


def test_nobody_starves_where_all_flood(previews, drawing, delivered):
    generations = {FLOODER.route: 0, OTHER.route: 0}

    def flood() -> None:
        for caller in (FLOODER, OTHER):
            generations[caller.route] += 1
            ask(previews, caller, generations[caller.route])

    flood()
    for _ in range(60):
        drawing.until_waiting()
        flood()
        drawing.step()
    shown = [who for who, item in delivered if isinstance(item, Picture)]
    assert shown.count("flooder") >= 5 and shown.count("other") >= 5


def test_alone_one_that_has_begun_is_shown_and_what_waits_is_superseded(previews, drawing, delivered):
    ask(previews, OTHER, 1)
    drawing.until_waiting()
    for generation in (2, 3):
        ask(previews, OTHER, generation)
    ask(previews, OTHER, 2)  # late: older than what is known
    for _ in range(3):
        drawing.step()
        drawing.until_waiting()
    drawing.step()
    for _ in range(500):
        if any(isinstance(item, PreviewOver) and item.generation == 3 for _, item in delivered):
            break
        threading.Event().wait(0.01)
    shown = [item.generation for _, item in delivered if isinstance(item, Picture)]
    over = {item.generation: item.outcome for _, item in delivered if isinstance(item, PreviewOver)}
    assert shown == [1, 3]
    assert over[2] == Outcome.SUPERSEDED and over[3] == Outcome.DRAWN
    assert drawing.log == [("other", 1), ("other", 3)]


def test_a_cancel_is_told_at_once_and_nothing_follows_even_where_the_drawing_does_not_look(
    previews, drawing, delivered
):
    ask(previews, OTHER, 1)
    drawing.until_waiting()
    ask(previews, OTHER, 2)
    previews.cancel(OTHER.route, 2)
    told = [(item.generation, item.outcome) for _, item in delivered if isinstance(item, PreviewOver)]
    assert told == [(1, Outcome.CANCELLED), (2, Outcome.CANCELLED)], "before the drawing has looked"
    ask(previews, OTHER, 3)
    drawing.step()
    drawing.until_waiting()
    assert drawing.log == [("other", 1), ("other", 3)]
    assert not any(isinstance(item, Picture) for _, item in delivered)
    assert len([1 for _, item in delivered if isinstance(item, PreviewOver)]) == 2


def test_who_is_gone_is_drawn_for_no_more(previews, drawing, delivered):
    ask(previews, OTHER, 1)
    drawing.until_waiting()
    ask(previews, FLOODER, 1)
    previews.forget(OTHER.route)
    drawing.step()
    drawing.until_waiting()
    assert drawing.log == [("other", 1), ("flooder", 1)]
    assert not any(isinstance(item, Picture) for _, item in delivered)
