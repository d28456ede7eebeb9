# SPDX-License-Identifier: Apache-2.0
"""Clients that vanish, networks that are cut, several at once: a job is done once, and everybody finds it again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import quantiles

import numpy as np
import pytest

from blender_addon.connection.client import Client
from dubplate_shared.errors import BackendLost, BackendUnreachable
from dubplate_shared.messages import JobFrame, JobState, Outcome, PreviewOver
from dubplate_shared.shot import Shot
from dubplate_shared.tiles import Pixels
from faults.history import History, plates
from faults.nursery import Nursery
from faults.proxy import Network

REPOSITORY = Path(__file__).parents[2]
NOTICED_S = 3.0
PREVIEWS, ROUNDS = 60, 6  # in each, alone and beside the flood
FLOOD_INTERVAL_MS = 5
WORK = {
    "shot": "small.dubshot", "actor": "small.dubactor", "frames": "1001-1012", "output": "a", "key": "once",
    "settings": {"preview": False, "background_test": False},
}  # fmt: skip


def test_a_network_that_is_cut_and_mended_costs_one_connection_and_nothing_is_done_twice(
    nursery: Nursery, studio: Path, tmp_path: Path
) -> None:
    backend = nursery.start(studio, tmp_path / "plates").wait()
    history = History(tmp_path / "plates")
    with Network(backend.connection_file, tmp_path) as network:
        with Client.connect(network.connection_file) as client:
            job = client.submit(**WORK)
            while not history.acknowledged:
                history.hear(client.poll(20))
            network.cut()
            cut_s = time.monotonic()
            with pytest.raises(BackendLost):
                while time.monotonic() - cut_s < 2 * NOTICED_S:
                    history.hear(client.poll(20))
            assert time.monotonic() - cut_s < NOTICED_S
        with pytest.raises(BackendUnreachable):
            Client.connect(network.connection_file, timeout=2)
        network.mend()
        with Client.connect(network.connection_file) as client:
            assert client.submit(**WORK) == job, "sent again, since nobody knows whether it had arrived"
            assert client.wait(job, lambda event: history.hear([event]), timeout=60).state == JobState.FINISHED
            assert [info.job for info in client.jobs()] == [job]
    assert history.lost() == [] and len(plates(tmp_path / "plates" / "a" / "v001")) == 12
    assert backend.log.read_text().count("finished job=") == 1
    backend.terminate()


CRASHING = """
import json, sys, time
from blender_addon.connection.client import Client, start_backend
root, output, work = json.loads(sys.argv[1])
backend = start_backend(sys.executable, roots=[root], output_root=output)
client = Client.connect(backend.connection_file)
client.submit(**work)
told = 0
while told < 1:
    told += sum(type(event).__name__ == "JobFrame" for event in client.poll(20))
print(backend.process.pid, flush=True)
time.sleep(60)
"""


def test_when_blender_crashes_its_backend_ends_and_the_job_is_offered_to_the_next(
    full: None, nursery: Nursery, studio: Path, tmp_path: Path
) -> None:
    output = tmp_path / "plates"
    arguments = json.dumps([str(studio), str(output), WORK | {"frames": "1001-1020"}])
    blender = subprocess.Popen(
        [sys.executable, "-c", CRASHING, arguments], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert blender.stdout is not None
    pid = int(blender.stdout.readline())
    blender.send_signal(signal.SIGKILL)
    blender.wait()
    blender.stdout.close()
    deadline_s = time.monotonic() + 15
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists(), "its backend has ended, too"
    stood = len(plates(output / "a" / "v001"))
    assert 1 <= stood < 20
    backend = nursery.start(studio, output, policy={"go_on": False}).wait()
    with Client.connect(backend.connection_file) as client:
        (offered,) = client.jobs()
        assert offered.state == JobState.PAUSED and offered.key == "once"
        assert client.resume(offered.job).state == JobState.QUEUED
        assert client.wait(offered.job, timeout=60).state == JobState.FINISHED
    backend.terminate()
    assert len(plates(output / "a" / "v001")) == 20


def test_a_client_that_floods_the_queue_does_not_keep_another_from_its_turn(
    full: None, nursery: Nursery, studio: Path, tmp_path: Path
) -> None:
    backend = nursery.start(studio, tmp_path / "plates", policy={"cache_bytes": 0}).wait()
    connect = lambda: Client.connect(backend.connection_file)  # noqa: E731
    with connect() as flooding, connect() as other:
        flood = [
            flooding.submit(**WORK | {"key": f"flood{number}", "output": f"flood{number}", "frames": "1001-1020"})
            for number in range(12)
        ]
        while not any(isinstance(event, JobFrame) for event in flooding.poll(50)):
            pass
        job = other.submit(**WORK | {"key": "other", "output": "other", "frames": "1001-1004"})
        assert other.wait(job, timeout=60).state == JobState.FINISHED
        states = [flooding.show(each).state for each in flood]
        assert sum(JobState(state).final for state in states) <= 3, "it did not wait for the flood"
        for each in flood:
            flooding.cancel(each)
    backend.terminate()


def test_a_client_that_floods_with_previews_leaves_another_its_p99_under_twice_its_own(
    full: None, nursery: Nursery, studio: Path, tmp_path: Path
) -> None:
    backend = nursery.start(studio, tmp_path / "plates").wait()
    shot = Shot.load(studio / "small.dubshot")
    curves = {"expression": np.asarray(shot.track.expression), "jaw": np.asarray(shot.track.jaw)}
    work = {"shot": WORK["shot"], "actor": WORK["actor"], "take": "edit", **curves}
    flooding = threading.Event()
    ending = threading.Event()
    flooded = [0, 0]  # asked for, drawn

    def flood() -> None:
        with Client.connect(backend.connection_file) as client:
            while not ending.is_set():
                if flooding.is_set():
                    flooded[0] = client.preview(**work, frame=1001 + flooded[0] % 20)
                events = client.poll(FLOOD_INTERVAL_MS)
                flooded[1] += sum(isinstance(event, Pixels) for event in events)

    thread = threading.Thread(target=flood)
    thread.start()
    took_s: dict[bool, list[float]] = {False: [], True: []}
    try:
        with Client.connect(backend.connection_file) as client:
            waited_s(client, client.preview(**work, frame=1001))  # what is loaded once
            for number in range(2 * ROUNDS):  # in turns, so that other work on the machine meets both alike
                beside = bool(number % 2)
                (flooding.set if beside else flooding.clear)()
                waited_s(client, client.preview(**work, frame=1001))
                for index in range(PREVIEWS // ROUNDS):
                    took_s[beside].append(waited_s(client, client.preview(**work, frame=1001 + index % 20)))
    finally:
        ending.set()
        thread.join()
    alone, beside = (quantiles(took_s[key], n=100, method="inclusive") for key in (False, True))
    print(
        f"preview alone: median {1e3 * alone[49]:.0f} ms, p99 {1e3 * alone[98]:.0f} ms; beside a client that asks for"
        f" {flooded[0]} and is shown {flooded[1]}: median {1e3 * beside[49]:.0f} ms, p99 {1e3 * beside[98]:.0f} ms,"
        f" {beside[98] / alone[98]:.2f} times its own"
    )
    assert flooded[1] > 0, "nor does the one who floods starve"
    assert beside[98] < 2 * alone[98]
    backend.terminate()


def waited_s(client: Client, generation: int) -> float:
    """Until the preview just asked for has been shown and is over."""
    started_s = time.monotonic()
    while True:
        for event in client.poll(20):
            if isinstance(event, PreviewOver) and event.generation == generation:
                assert event.outcome == Outcome.DRAWN
                return time.monotonic() - started_s
