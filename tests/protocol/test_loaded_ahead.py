# SPDX-License-Identifier: Apache-2.0
"""What is loaded before the first preview: all that it needs, for nobody's loss, and without a word."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from small_backend import Backend, running

from blender_addon.connection.client import Client
from dubplate_backend.server import models as models_module
from dubplate_backend.server import preview_work
from dubplate_backend.server.models import SHOTS_SHARE, Models
from dubplate_shared.errors import ConsentMissing, InvalidInput
from dubplate_shared.messages import Outcome, PreviewOver, Stage
from dubplate_shared.shot import Shot
from dubplate_shared.tiles import Pixels

WORK = {"shot": "small.dubshot", "actor": "small.dubactor", "frame": 1005}
READY = "ready for previews"


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What the backend has said of warming so far."""
    caplog.set_level(logging.INFO, "dubplate.server")
    return lambda: [record.getMessage() for record in caplog.records if "previews" in record.getMessage()]


@pytest.fixture
def backend(tmp_path: Path, studio: Path) -> Iterator[Backend]:
    """One that has loaded nothing."""
    with running(tmp_path, Models(None), studio) as backend:
        yield backend


@pytest.fixture
def client(backend: Backend) -> Iterator[Client]:
    with backend.connect() as client:
        yield client


def polled_until(client: Client, done: Callable[[], bool]) -> list[object]:
    events: list[object] = []
    deadline_s = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline_s
        events += client.poll(20)
    return events


def previewed(client: Client, **changes: object) -> tuple[list[Pixels], PreviewOver]:
    client.preview(**WORK | changes)
    events = client.poll(20)
    while not any(isinstance(event, PreviewOver) for event in events):
        events += client.poll(20)
    return [event for event in events if isinstance(event, Pixels)], events[-1]


def test_after_the_warming_a_preview_loads_nothing(client, log, monkeypatch):
    loads: Counter[str] = Counter()

    def counted(name: str, load: Callable) -> Callable:
        def counting(*arguments: object, **named: object) -> object:
            loads[name] += 1
            return load(*arguments, **named)

        return counting

    for module, name in (
        (models_module, "load_renderer"), (preview_work, "ShotPlates"), (preview_work, "load_segmenter")
    ):  # fmt: skip
        monkeypatch.setattr(module, name, counted(name, getattr(module, name)))
    monkeypatch.setattr(Shot, "load", counted("shot", Shot.load))
    client.warm(**WORK)
    events = polled_until(client, log)
    assert log() == [READY] and not events, "nobody is shown anything"
    assert loads == {"shot": 1, "load_renderer": 1, "ShotPlates": 1, "load_segmenter": 1}
    assert client._line.pictures is not None, "and pictures may come"
    pictures, over = previewed(client, upto=Stage.COMPOSITE, filmed=True)
    assert over.outcome == Outcome.DRAWN and len(pictures) == 3
    client.warm(**WORK)
    polled_until(client, lambda: len(log()) == 2)
    assert set(loads.values()) == {1}


def test_a_preview_is_drawn_before_the_rest_of_the_warming(client, backend, log, monkeypatch):
    layer, calls = torch.nn.functional.conv2d, []

    def slow(*arguments: object, **named: object) -> object:
        calls.append(time.monotonic())
        time.sleep(0.05)  # dozens of them make a picture
        return layer(*arguments, **named)

    previewed(client)
    monkeypatch.setattr(torch.nn.functional, "conv2d", slow)
    client.warm(**WORK | {"frame": 1009})
    polled_until(client, lambda: len(calls) >= 3)
    assert not backend.server.previews.busy, "a render does not give way to it"
    _, over = previewed(client)
    assert over.outcome == Outcome.DRAWN and not log(), "it has ended, unsaid"


@pytest.mark.parametrize(
    "changes,reason",
    [
        ({"actor": "none.dubactor"}, "none.dubactor"),
        ({"actor": "../small.dubactor"}, "no actor id"),
        ({"shot": "none.dubshot"}, "none.dubshot"),
        ({"frame": 5000}, "5000"),
    ],
)
def test_what_cannot_be_warmed_is_for_the_preview_to_say(client, log, changes, reason):
    client.warm(**WORK | changes)
    assert not polled_until(client, log)
    assert reason in log()[0]
    _, over = previewed(client, **changes)
    assert over.error is not None and reason in over.error.detail
    assert previewed(client)[1].outcome == Outcome.DRAWN


def test_an_actor_whose_person_does_not_agree_is_not_loaded(client, backend, studio, log, monkeypatch):
    gone = studio / "gone.dubactor"
    shutil.copytree(studio / "small.dubactor", gone)
    card = json.loads((gone / "actor.json").read_text())
    (gone / "actor.json").write_text(json.dumps(card | {"consent": {"status": "withdrawn"}}))
    monkeypatch.setattr(models_module, "load_renderer", lambda *_: pytest.fail("it was loaded"))
    client.warm(**WORK | {"actor": "gone.dubactor"})
    assert not polled_until(client, log) and "consent" in log()[0]
    assert previewed(client, actor="gone.dubactor")[1].error.code == ConsentMissing.code
    shutil.rmtree(gone)


def test_nothing_that_is_loaded_makes_room_for_it(studio, tmp_path):
    others = [Path(shutil.copytree(studio / "small.dubactor", tmp_path / f"{name}.dubactor")) for name in "abc"]
    shot, one = studio / "small.dubshot", Models(None).renderer(others[0]).memory_bytes
    models = Models(None, budget_bytes=int(2.5 * one / (1 - SHOTS_SHARE)))
    first = models.renderer(others[0])
    assert models.warm(shot, others[1]) and models.warm(shot, others[0])
    second = models.renderer(others[1])
    assert not models.warm(shot, others[2]), "there is room for two"
    assert models.renderer(others[0]) is first and models.renderer(others[1]) is second
    alone = Models(None, budget_bytes=1)
    assert alone.warm(shot, others[0]), "one may always stay"
    assert not alone.warm(shot, others[1])


def test_a_want_of_memory_while_warming_lets_nothing_go(studio, tmp_path, monkeypatch):
    other = Path(shutil.copytree(studio / "small.dubactor", tmp_path / "other.dubactor"))
    models = Models(None)
    kept = models.renderer(studio / "small.dubactor")

    def short_of_memory(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(models_module, "load_renderer", short_of_memory)
    with pytest.raises(torch.OutOfMemoryError):
        models.warm(studio / "small.dubshot", other)
    assert models.renderer(studio / "small.dubactor") is kept
    with pytest.raises(InvalidInput):
        models.warm(studio / "none.dubshot", other)
