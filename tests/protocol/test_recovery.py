# SPDX-License-Identifier: Apache-2.0
"""A job goes on when its conversation breaks: the network is cut, the backend is killed, or its work is stuck."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pulled_cable import Proxy
from small_backend import Backend, running

from blender_addon.connection.client import Client
from blender_addon.connection.session import Environment, RenderRequest, Session
from dubplate_backend.server.life import Life
from dubplate_backend.server.models import Models
from dubplate_shared.connection import Connection
from dubplate_shared.errors import BackendLost
from dubplate_shared.files import sha256_file
from dubplate_shared.messages import JobFrame, JobState
from dubplate_shared.shot import Shot

NOTICED_S = 3.0
WORK = {"shot": "small.dubshot", "actor": "small.dubactor", "settings": {"preview": False}}


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, models: Models, studio: Path) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("recovery"), models, studio) as backend:
        yield backend


def frames_of(events: list[object]) -> list[int]:
    return [event.frame for event in events if isinstance(event, JobFrame)]


def test_a_cut_network_is_noticed_and_one_resync_later_all_is_known_and_nothing_done_twice(backend, tmp_path):
    connection = Connection.read(backend.connection_file)
    with Proxy(connection.endpoints) as network:
        far = tmp_path / "far.json"
        dataclasses.replace(connection, endpoints=network.endpoints).write(far)
        events: list[object] = []
        with Client.connect(far) as client:
            job = client.submit(**WORK, frames="1001-1008", output="cut", key="cut")
            while not frames_of(events):
                events += client.poll(50)
            network.silent = True
            cut_s = time.monotonic()
            with pytest.raises(BackendLost):
                while True:
                    events += client.poll(50)
            assert time.monotonic() - cut_s < NOTICED_S
        network.silent = False
        with Client.connect(far) as client:
            again = client.submit(**WORK, frames="1001-1008", output="cut", key="cut")
            info = client.wait(again, events.append, timeout=120)
            assert again == job and [each.job for each in client.jobs()].count(job) == 1
        assert info.state == JobState.FINISHED
        told = frames_of(events)
        assert len(told) == len(set(told)) <= 8
        assert len(list((backend.output / "cut" / "v001").glob("*.exr"))) == 8


def request_of(studio: Path, output: Path, frames: str) -> RenderRequest:
    shot = Shot.load(studio / "small.dubshot")
    take = dataclasses.replace(shot.take("tracked"), name="edit")
    return RenderRequest(shot.path, shot.info.name, studio / "small.dubactor", frames, output, 1, take)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_backend_of_our_own_that_is_killed_in_a_job_is_started_again_and_finishes_it(tmp_path, studio):
    session = Session()
    session.start(Environment(Path(sys.executable), (studio,), tmp_path))
    session.wait_until_connected()
    first = session._backend.process.pid
    session.submit(request_of(studio, tmp_path, "1001-1003"))
    told: dict[int, str] = {}
    killed: list[int] = []

    def listen(event: object) -> None:
        if isinstance(event, JobFrame):
            told[event.frame] = event.sha256
            if not killed:
                killed.append(first)
                os.kill(first, signal.SIGKILL)

    try:
        info = session.wait(listen)
        assert info.state == JobState.FINISHED and killed and session._backend.process.pid != first
        plates = {int(path.suffixes[-2][1:]): sha256_file(path) for path in (tmp_path / "v001").glob("[!.]*.exr")}
        assert sorted(plates) == list(range(1001, 1004))
        assert {frame: plates[frame] for frame in told} == told, "what was told stands as it was told"
    finally:
        session.close()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_a_worker_that_is_stuck_is_noticed_within_3_s_and_a_working_one_is_not_called_so(tmp_path, models, studio):
    plate = studio / "small.1015.png"
    content = plate.read_bytes()
    with running(tmp_path, models, studio) as backend, backend.connect() as client:
        job = client.submit(**WORK, frames="1001-1004", output="working")
        while not JobState(client.show(job).state).final:
            client.poll(50)
            assert not client.stuck
        plate.unlink()
        os.mkfifo(plate)  # whoever reads it waits until somebody writes: a share that hangs
        try:
            job = client.submit(**WORK, frames="1015", output="stuck")
            while client.beat is None or client.beat.job != job:
                client.poll(20)
            stuck_s = time.monotonic()
            while not client.stuck:
                client.poll(50)
                assert time.monotonic() - stuck_s < NOTICED_S
            assert client.responsive, "it is the work that is stuck, not the backend"
        finally:
            client.cancel(job)
            with open(plate, "wb"):
                pass
            while not JobState(client.show(job).state).final:
                client.poll(50)
            plate.unlink()
            plate.write_bytes(content)


def test_work_that_uses_the_processor_lives_however_slow_its_steps_are():
    clock, used = iter(np.arange(0.0, 100.0, 0.5)), iter([*np.arange(0.0, 4.0, 0.4), *[3.6] * 100])
    life = Life(lambda: float(next(clock)), lambda: float(next(used)))
    assert life.still_s(None) is None
    still = [life.still_s(50.0) for _ in range(14)]
    assert max(still[:7]) < 0.1, "no step for 50 s, and at work all the while"
    assert still[-1] == pytest.approx(3.0, abs=0.6), "then it stands still"
    assert life.still_s(0.2) == pytest.approx(0.2), "until it goes forward"
