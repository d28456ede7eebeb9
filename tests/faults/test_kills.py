# SPDX-License-Identifier: Apache-2.0
"""A backend that is killed at any moment loses nothing that it told of, and its successor ends with the same bytes."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from blender_addon.connection.client import Client
from dubplate_shared.errors import BackendLost, BackendUnreachable
from dubplate_shared.frames import parse_frames
from dubplate_shared.messages import JobState
from faults.history import History, plates
from faults.nursery import Nursery

FRAMES = "1001-1020"
WORK = {
    "shot": "small.dubshot", "actor": "small.dubactor", "frames": FRAMES,
    "settings": {"preview": False, "background_test": False},
}  # fmt: skip
STARTING_S = 1.0  # a third is killed within this time of its start: opening the journal, listening, preparing
WORKING_S = 2.0  # the others within this time of the first plate that they tell of: writing, noting, telling
NOTICED_S = 3.0
PATIENCE_S = 60.0  # for that first plate


@pytest.fixture(scope="module")
def unbroken(nursery: Nursery, studio: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The plates of a run that nobody disturbed."""
    output_root = tmp_path_factory.mktemp("unbroken")
    backend = nursery.start(studio, output_root).wait()
    with Client.connect(backend.connection_file) as client:
        client.wait(client.submit(**WORK, output="a"), timeout=120)
    backend.terminate()
    return plates(output_root / "a" / "v001")


def test_no_acknowledged_frame_is_lost_whenever_a_backend_is_killed(
    request: pytest.FixtureRequest, nursery: Nursery, studio: Path, unbroken: dict[str, bytes], tmp_path: Path
) -> None:
    kills = request.config.getoption("--kills", default=4)
    moments = random.Random(request.config.getoption("--seed", default=1))
    history, done, rounds = History(tmp_path), 0, 0
    jobs: dict[str, str] = {}
    while done < kills:
        rounds += 1
        name = f"round{rounds}"
        finished = False
        while not finished and done < kills:
            starting = moments.random() < 1 / 3
            _life(nursery, studio, history, jobs, name, starting, moments.random())
            done += 1
            assert history.lost() == []
            finished = len([path for path in history.acknowledged if path.startswith(f"{name}/")]) == 20
        backend = nursery.start(studio, tmp_path, policy={"cache_bytes": 0}).wait()
        with Client.connect(backend.connection_file) as client:
            job = client.submit(**WORK, output=name, key=name)
            assert jobs.setdefault(name, job) == job, "the job that was answered is still that job"
            info = client.wait(job, timeout=120)
            assert info.state == JobState.FINISHED
            told = {path for path in history.acknowledged if path.startswith(f"{name}/")}
            standing = {f"{name}/v001/small_dub_v001.{frame}.exr" for frame in parse_frames(info.written)}
            assert told <= standing
        backend.terminate()
        assert plates(tmp_path / name / "v001") == unbroken
        assert history.lost() == []
    print(f"{done} kills over {rounds} rounds: {len(history.acknowledged)} plates acknowledged, none lost")


def _life(
    nursery: Nursery, studio: Path, history: History, jobs: dict[str, str], name: str, starting: bool, moment: float
) -> None:
    """One backend from its start to its violent end; all that it said is noted.

    starting, moment: when it ends, 0 to 1 of STARTING_S or WORKING_S.
    """
    began_s = time.monotonic()
    end_s = began_s + (moment * STARTING_S if starting else PATIENCE_S)
    backend = nursery.start(studio, history.output_root, policy={"cache_bytes": 0})
    client: Client | None = None
    try:
        while time.monotonic() < end_s and not backend.ready():
            time.sleep(0.005)
        if time.monotonic() < end_s:
            client = Client.connect(backend.connection_file)
            job = client.submit(**WORK, output=name, key=name)
            assert jobs.setdefault(name, job) == job
        known = len(history.acknowledged)
        while client is not None and time.monotonic() < end_s:
            history.hear(client.poll(5))
            if not starting and len(history.acknowledged) > known:
                starting, end_s = True, time.monotonic() + moment * WORKING_S
    finally:
        backend.kill()
    killed_s = time.monotonic()
    if client is not None:
        try:
            while True:  # what was on its way when it died was said, too
                history.hear(client.poll(20))
        except (BackendLost, BackendUnreachable):
            pass
        assert time.monotonic() - killed_s < NOTICED_S
        client.close()
