# SPDX-License-Identifier: Apache-2.0
"""Previews over real sockets and real shared memory: the crop first, the newest wins, and a cancel is heeded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from small_backend import Backend, RawSocket, running

from blender_addon.connection.client import Client
from blender_addon.connection.line import Line
from dubplate_backend.plates.source import ShotPlates
from dubplate_backend.server import stream
from dubplate_backend.server.models import Models
from dubplate_shared.connection import Connection
from dubplate_shared.errors import InvalidInput, OutOfMemory
from dubplate_shared.messages import JobProgress, Outcome, PreviewOver, Stage
from dubplate_shared.protocol import Envelope, pack
from dubplate_shared.ring import MEMORY_FOLDER, PREFIX
from dubplate_shared.shot import Shot
from dubplate_shared.tiles import Pixels

WORK = {"shot": "small.dubshot", "actor": "small.dubactor"}
PLAIN = {"background_test": False}


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, models: Models, studio: Path) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("previews"), models, studio) as backend:
        yield backend


@pytest.fixture
def client(request: pytest.FixtureRequest, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Pictures come through shared memory, or as from another machine in tiles over the socket."""
    if getattr(request, "param", "memory") == "socket":
        monkeypatch.setattr("dubplate_shared.ring.Ring.attach", no_such_memory)
    with backend.connect() as client:
        yield client


def no_such_memory(path: object, size: int) -> None:
    """What attaching says on any other machine."""
    raise InvalidInput(f"The ring {path} cannot be reached.", hint="Tiles come over the socket then.")


both_ways = pytest.mark.parametrize("client", ["memory", "socket"], indirect=True)


def until_over(client: Client, generation: int, timeout_s: float = 60.0) -> tuple[list[Pixels], list[PreviewOver]]:
    """All pictures and endings up to the end of `generation`."""
    pictures: list[Pixels] = []
    endings: list[PreviewOver] = []
    deadline_s = time.monotonic() + timeout_s
    while not any(over.generation == generation for over in endings):
        assert time.monotonic() < deadline_s, f"preview {generation} has no end"
        for event in client.poll(50):
            if isinstance(event, Pixels):
                pictures.append(event)
            elif isinstance(event, PreviewOver):
                endings.append(event)
    return pictures, endings


@both_ways
def test_the_crop_comes_first_and_the_composite_is_the_plate_with_the_crop_in_it(client, studio, backend):
    shot = Shot.load(studio / "small.dubshot")
    generation = client.preview(**WORK, frame=1005, upto=Stage.PLATE, settings=PLAIN)
    (crop, plate), (over,) = until_over(client, generation)
    assert (over.generation, over.outcome) == (generation, Outcome.DRAWN)
    assert (crop.header.stage, plate.header.stage) == (Stage.CROP, Stage.PLATE)
    assert crop.array.shape[2] == 4 and crop.array.dtype == np.float16
    assert plate.array.shape == (shot.info.height, shot.info.width, 3)
    assert np.allclose(crop.header.matrix, shot.crop[4].reshape(-1))
    around, _ = until_over(client, client.preview(**WORK, frame=1005, upto=Stage.COMPOSITE, settings=PLAIN))
    header, box = around[1].header, around[1].array
    whole = plate.array[header.y : header.y + box.shape[0], header.x : header.x + box.shape[1]]
    assert np.abs(whole.astype(float) - box.astype(float)).max() < 0.02
    with ShotPlates(shot) as plates:
        filmed = plates.net(1005)
    changed = np.abs(plate.array.astype(float) - filmed).max(axis=-1) > 0.05
    assert changed.any() and not changed.all(), "the face was redrawn, and nothing else"


def test_what_was_filmed_comes_beside_what_is_drawn_where_it_is_asked_for(client, studio):
    with ShotPlates(Shot.load(studio / "small.dubshot")) as plates:
        plate = plates.net(1005)
    for upto in (Stage.CROP, Stage.COMPOSITE):
        pictures, _ = until_over(client, client.preview(**WORK, frame=1005, upto=upto, filmed=True, settings=PLAIN))
        stages = [picture.header.stage for picture in pictures]
        assert stages == [Stage.CROP, Stage.FILMED, Stage.COMPOSITE][: len(pictures)] and len(pictures) >= 2
        header, filmed = pictures[1].header, pictures[1].array
        there = plate[header.y : header.y + filmed.shape[0], header.x : header.x + filmed.shape[1]]
        assert np.abs(filmed.astype(float) - there).max() < 1e-3
        seconds = [picture.header.seconds for picture in pictures]
        assert seconds == sorted(seconds) and 0 < seconds[0] < 60


def test_curves_that_are_sent_are_what_is_drawn(client, studio):
    shot = Shot.load(studio / "small.dubshot")
    wide = shot.track.jaw + np.float32([0.3, 0, 0])
    first, _ = until_over(client, client.preview(**WORK, frame=1005))
    edit, _ = until_over(
        client, client.preview(**WORK, frame=1005, take="edit", expression=shot.track.expression, jaw=wide)
    )
    again, _ = until_over(client, client.preview(**WORK, frame=1005))
    assert not np.array_equal(first[0].array, edit[0].array) and np.array_equal(first[0].array, again[0].array)
    assert not first[0].array.flags.writeable


@both_ways
def test_the_newest_edit_wins_and_generations_never_go_backwards(client):
    asked = [client.preview(**WORK, frame=1001 + index % 10) for index in range(60)]
    pictures, endings = until_over(client, asked[-1])
    shown = [picture.header.generation for picture in pictures]
    assert shown == sorted(shown) and shown[-1] == asked[-1]
    assert len(shown) < 30, "most were superseded before they began"
    assert sorted(over.generation for over in endings) == asked, "each ends once"
    assert {over.outcome for over in endings} == {Outcome.DRAWN, Outcome.SUPERSEDED}
    assert endings[-1].outcome == Outcome.DRAWN


def test_a_cancel_is_heeded_within_250_ms_wherever_the_preview_is(client, backend, studio):
    until_over(client, client.preview(**WORK, frame=1005, upto=Stage.COMPOSITE, settings=PLAIN))
    for delay_s in (0.0, 0.01, 0.02, 0.04, 0.08):
        generation = client.preview(**WORK, frame=1006, upto=Stage.PLATE, settings=PLAIN)
        deadline_s = time.monotonic() + delay_s
        while time.monotonic() < deadline_s:
            time.sleep(0.001)
        client.cancel_preview()
        started_s = time.monotonic()
        _, endings = until_over(client, generation)
        assert time.monotonic() - started_s < 0.25
        assert endings[-1].outcome in (Outcome.CANCELLED, Outcome.DRAWN)
        while backend.server.previews.busy:
            assert time.monotonic() - started_s < 0.25, "the drawing itself has stopped, too"
            time.sleep(0.001)


def test_a_cancel_is_heeded_in_the_middle_of_a_stage_that_takes_seconds(client, backend, monkeypatch):
    layer, calls = torch.nn.functional.conv2d, []

    def slow(*arguments, **named):
        calls.append(time.monotonic())
        time.sleep(0.1)  # a network of the hero size on a CPU
        return layer(*arguments, **named)

    until_over(client, client.preview(**WORK, frame=1005))
    monkeypatch.setattr(torch.nn.functional, "conv2d", slow)
    generation = client.preview(**WORK, frame=1006)
    while len(calls) < 3:
        time.sleep(0.001)
    client.cancel_preview()
    started_s = time.monotonic()
    _, endings = until_over(client, generation)
    while backend.server.previews.busy:
        time.sleep(0.001)
    assert endings[-1].outcome == Outcome.CANCELLED and time.monotonic() - started_s < 0.25


def test_memory_that_does_not_suffice_is_freed_and_the_preview_drawn_then_or_refused_by_name(client, models, studio):
    renderer = models.renderer(studio / "small.dubactor")
    draw, faults = type(renderer)._draw, iter([True, False, True, True, False])
    with pytest.MonkeyPatch.context() as patch:

        def short(self, batch):
            if next(faults):
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return draw(self, batch)

        patch.setattr(type(renderer), "_draw", short)
        outcomes = [until_over(client, client.preview(**WORK, frame=1005)) for _ in range(3)]
    assert [endings[-1].outcome for _, endings in outcomes] == [Outcome.DRAWN, Outcome.FAILED, Outcome.DRAWN]
    assert [len(pictures) for pictures, _ in outcomes] == [1, 0, 1]
    assert outcomes[1][1][-1].error.code == OutOfMemory.code


def test_what_cannot_be_drawn_says_why_and_the_next_one_is_drawn(client):
    for changes, words in (
        ({"frame": 5000}, "5000"),
        ({"shot": "none.dubshot"}, "none.dubshot"),
        ({"actor": "../small.dubactor"}, "no actor id"),
        ({"settings": {"mood": True}}, "mood"),
    ):
        _, endings = until_over(client, client.preview(**{**WORK, "frame": 1001} | changes))
        assert endings[-1].outcome == Outcome.FAILED and words in endings[-1].error.detail and endings[-1].error.hint
    pictures, endings = until_over(client, client.preview(**WORK, frame=1001))
    assert len(pictures) == 1 and endings[-1].outcome == Outcome.DRAWN


def test_a_frame_without_a_face_is_the_plate_as_it_is(client, studio):
    pictures, endings = until_over(client, client.preview(**WORK, frame=1012, upto=Stage.PLATE))
    assert [picture.header.stage for picture in pictures] == [Stage.PLATE]
    assert endings[-1].outcome == Outcome.DRAWN


def test_news_of_jobs_comes_while_previews_do(client):
    job = client.submit(**WORK, frames="1001-1003", output="beside", settings={"preview": False})
    shown, steps = 0, 0
    done = False
    while not done:
        until_over_generation = client.preview(**WORK, frame=1004)
        deadline_s = time.monotonic() + 60
        over = False
        while not over and time.monotonic() < deadline_s:
            for event in client.poll(20):
                over |= isinstance(event, PreviewOver) and event.generation == until_over_generation
                shown += isinstance(event, Pixels)
                steps += isinstance(event, JobProgress) and event.job == job
        done = client.show(job).state == "finished"
    assert shown and steps


def test_a_client_that_asks_and_takes_nothing_loses_its_stream(backend, monkeypatch):
    monkeypatch.setattr(stream, "MOST_WAITING", 100)
    raw = RawSocket(Connection.read(backend.connection_file), "bulk")
    raw.ask("bulk.open", body={"credit": 1})
    answer = raw.ask("preview.draw", body={"generation": 1, **WORK, "frame": 1001})
    while answer.type != "picture.tile":  # of one byte, after which it has no credit
        answer = raw.answer(60_000)
    for generation in range(2, 1000):
        body = {"generation": generation, **WORK, "frame": 5000}
        raw.send([bytes(part) for part in pack(Envelope("preview.draw", "7", raw.connection.session, body=body))])
        if raw.socket.poll(5) and (answer := raw.answer()).type == "error":
            break
    assert "bulk.open" in answer.body["error"]["hint"]
    raw.close()


def test_no_memory_stays_when_clients_and_backend_are_gone(tmp_path, models, studio):
    if not MEMORY_FOLDER.is_dir():
        pytest.skip("this system has no folder in memory")
    before = set(MEMORY_FOLDER.glob(f"{PREFIX}*"))
    with running(tmp_path, models, studio) as backend, backend.connect() as client:
        until_over(client, client.preview(**WORK, frame=1001))
        assert isinstance(client._line, Line) and client._line.pictures.through_memory
        assert set(MEMORY_FOLDER.glob(f"{PREFIX}*")) == before, "its name goes as soon as both sides have it"
