# SPDX-License-Identifier: Apache-2.0
"""Real renders over the wire: a draft actor draws, plates stand on disk, and the backend stays at hand meanwhile."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_backend import Backend, running

from blender_addon.connection.client import Client, start_backend
from dubplate_backend.plates.manifest import Manifest
from dubplate_backend.server.models import Models
from dubplate_backend.server.render_work import take_of
from dubplate_shared.errors import BackendLost, Cancelled
from dubplate_shared.files import sha256_file
from dubplate_shared.frames import format_frames, parse_frames
from dubplate_shared.messages import JobCancelled, JobFinished, JobFrame, JobProgress, JobState, JobSubmit
from dubplate_shared.shot import Shot
from dubplate_shared.take import Take

WORK = {"shot": "small.dubshot", "actor": "small.dubactor", "settings": {"preview": False}}
PING_LIMIT_S = 0.25


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, models: Models, studio: Path) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("backend"), models, studio) as backend:
        yield backend


@pytest.fixture(scope="module")
def shot(studio: Path) -> Shot:
    return Shot.load(studio / "small.dubshot")


@pytest.fixture
def client(backend: Backend) -> Iterator[Client]:
    with backend.connect() as client:
        yield client


def edited(shot: Shot, opening: float) -> dict[str, np.ndarray]:
    """The filmed performance with the jaw opened further, radians."""
    return {"expression": shot.track.expression, "jaw": shot.track.jaw + np.float32([opening, 0, 0])}


def rendered(client: Client, **request: object) -> dict[int, JobFrame]:
    """Render and return the plates that were told of; checks what was told against the disk."""
    events: list[object] = []
    job = client.submit(**WORK | request)
    info = client.wait(job, events.append, timeout=300)
    frames = {event.frame: event for event in events if isinstance(event, JobFrame) and event.job == job}
    root = Path(client.hello.output_root)
    assert {frame: sha256_file(root / event.path) for frame, event in frames.items()} == {
        frame: event.sha256 for frame, event in frames.items()
    }
    assert info.state == JobState.FINISHED and parse_frames(info.written) == tuple(sorted(frames))
    finished = [event for event in events if isinstance(event, JobFinished) and event.job == job]
    assert len(finished) == 1 and (root / finished[0].manifest).is_file()
    assert any(isinstance(event, JobProgress) and event.job == job and event.done == event.total for event in events)
    return frames


def test_an_edited_take_comes_back_as_plates_and_an_edit_changes_its_frames_alone(client, shot):
    frames = rendered(client, frames="1003-1006", output="edit", take="edit", **edited(shot, 0.1))
    assert sorted(frames) == [1003, 1004, 1005, 1006]
    assert frames[1003].path == "edit/v001/small_dub_v001.1003.exr"
    again = rendered(client, frames="1003-1006", output="edit", take="edit", **edited(shot, 0.1))
    assert {frame: event.sha256 for frame, event in again.items()} == {f: e.sha256 for f, e in frames.items()}
    later = edited(shot, 0.1)
    later["jaw"][8:] += 0.1  # frame 1009: beyond the window of 1003 and 1004, within that of 1007
    changed = rendered(client, frames="1003-1007", output="edit", take="edit", **later)
    assert changed[1003].sha256 == frames[1003].sha256 and changed[1004].sha256 == frames[1004].sha256


def test_curves_of_a_range_are_the_same_as_the_whole_takes(client, shot):
    whole = edited(shot, 0.0)
    whole["jaw"][4:8] += 0.15
    part = {name: curves[4:8] for name, curves in whole.items()}
    a = rendered(client, frames="1006", output="whole", take="x", **whole)
    b = rendered(client, frames="1006", output="part", take="x", take_frames="1005-1008", **part)
    assert a[1006].sha256 == b[1006].sha256
    filmed = rendered(client, frames="1006", output="filmed")
    assert filmed[1006].sha256 != a[1006].sha256


def test_pings_are_answered_at_once_while_a_render_runs(client, shot):
    job = client.submit(**WORK, frames="1001-1008", output="pings", take="p", **edited(shot, 0.05))
    seconds, jobs = [], set()
    while not JobState(client.show(job).state).final:
        started_s = time.monotonic()
        jobs.add(client.ping().job)
        seconds.append(time.monotonic() - started_s)
        time.sleep(0.02)
    assert job in jobs and len(seconds) >= 10
    assert statistics.quantiles(seconds, n=20)[-1] < PING_LIMIT_S, f"slowest: {max(seconds):.3f} s"
    assert client.wait(job, timeout=5).state == JobState.FINISHED


def test_a_cancelled_render_stops_between_frames_and_goes_on_from_there(client, shot, backend):
    request = WORK | {"frames": "1001-1010", "output": "cancel", "take": "c"} | edited(shot, 0.07)
    job = client.submit(**request)
    told: list[JobFrame] = []
    while len(told) < 2:
        told += [event for event in client.poll(50) if isinstance(event, JobFrame) and event.job == job]
    waiting = client.submit(**WORK, frames="1001", output="waiting")
    assert client.cancel(waiting).state == JobState.CANCELLED, "one that waits is cancelled at once"
    client.cancel(job)
    events: list[object] = []
    with pytest.raises(Cancelled):
        client.wait(job, events.append, timeout=60)
    assert any(isinstance(event, JobCancelled) and event.job == job for event in events)
    told += [event for event in events if isinstance(event, JobFrame) and event.job == job]
    assert 2 <= len(told) < 10
    assert client.show(job).written == format_frames([event.frame for event in told])
    plates = sorted(path.name for path in (backend.output / "cancel" / "v001").glob("*.exr"))
    assert plates == sorted(Path(event.path).name for event in told), "nothing half-written, nothing untold"
    whole = rendered(client, **{name: value for name, value in request.items() if name not in WORK})
    assert len(whole) == 10
    assert all(whole[event.frame].sha256 == event.sha256 for event in told)


def test_an_edit_keeps_the_voice_of_the_take_it_was_made_from(shot):
    def voice(**request: object) -> object:
        sent = JobSubmit(key="k", shot="s", actor="a", frames="1001", output="o", **edited(shot, 0.1), **request)
        return take_of(sent, shot).origin.get("audio")

    shot.save_take(Take("dub", shot.track.expression, shot.track.jaw, None, {"audio": "dub.wav"}))
    assert voice(take="edit") == shot.info.audio[0], "what was filmed sounds as it did"
    assert voice(take="dub") == "dub.wav" and voice(take="edit", base_take="dub") == "dub.wav"


def test_every_client_hears_of_a_job_and_may_wait_for_it(client, shot, backend):
    with backend.connect() as other:
        job = client.submit(**WORK, frames="1001-1002", output="two")
        heard: list[object] = []
        assert other.wait(job, heard.append, timeout=120).state == JobState.FINISHED
        assert {event.frame for event in heard if isinstance(event, JobFrame) and event.job == job} <= {1001, 1002}


def test_an_actor_stays_loaded_between_jobs_until_its_folder_changes(models, studio):
    first = models.renderer(studio / "small.dubactor")
    assert models.renderer(studio / "small.dubactor") is first
    (studio / "small.dubactor" / "actor.json").touch()
    assert models.renderer(studio / "small.dubactor") is not first


def test_a_backend_killed_in_a_render_loses_no_plate_it_told_of(studio, tmp_path, shot, models):
    request = WORK | {"frames": "1001-1006", "output": "k", "take": "k", "key": "once"} | edited(shot, 0.06)
    backend = start_backend(sys.executable, roots=[studio], output_root=tmp_path / "plates")
    told: dict[int, str] = {}
    with Client.connect(backend.connection_file) as client:
        client.submit(**request)
        while len(told) < 2:
            told |= {event.frame: event.sha256 for event in client.poll(50) if isinstance(event, JobFrame)}
        backend.process.kill()
        killed_s = time.monotonic()
        with pytest.raises(BackendLost):
            while True:
                told |= {event.frame: event.sha256 for event in client.poll(20) if isinstance(event, JobFrame)}
        assert time.monotonic() - killed_s < 3
    backend.stop()
    assert len(told) < 6
    with running(tmp_path, models, studio) as successor, successor.connect() as client:
        whole = rendered(client, **{name: value for name, value in request.items() if name not in WORK})
    assert sorted(whole) == list(range(1001, 1007))
    assert {frame: whole[frame].sha256 for frame in told} == told
    assert len(Manifest.load(tmp_path / "plates" / "k" / "v001").frames) == 6
