# SPDX-License-Identifier: Apache-2.0
"""A disk that fills up under a running backend pauses its job with the old files intact, and with room it goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from blender_addon.connection.client import Client
from dubplate_shared.errors import OutputNotWritable
from dubplate_shared.messages import JobState
from faults.history import History, plates
from faults.nursery import Nursery
from faults.tracing import traced
from plates.small_disk import small_disk

DISK_MB = 8
WORK = {
    "shot": "small.dubshot", "actor": "small.dubactor", "frames": "1001-1008", "output": "a", "key": "once",
    "settings": {"preview": False, "background_test": False},
}  # fmt: skip
LEFT_BYTES = 450_000  # for journal and some plates, not for all


def test_a_job_on_a_full_disk_waits_for_room_and_ends_as_if_nothing_had_been(
    full: None, nursery: Nursery, studio: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", DISK_MB) as disk:
        backend = nursery.start(studio, disk, policy={"cache_bytes": 0}).wait()
        history = History(disk)
        with Client.connect(backend.connection_file) as client:
            ballast = disk / "ballast"
            room = os.statvfs(disk)
            ballast.write_bytes(bytes(room.f_bavail * room.f_frsize - LEFT_BYTES))
            job = client.submit(**WORK)
            with pytest.raises(OutputNotWritable):
                client.wait(job, lambda event: history.hear([event]), timeout=60)
            info = client.show(job)
            assert info.state == JobState.PAUSED and info.error is not None and info.error.hint
            assert history.lost() == [] and 0 < len(plates(disk / "a" / "v001")) < 8, "whole plates, and nothing else"
            assert client.ping(), "and the backend is at hand"
            ballast.unlink()
            client.resume(job)
            assert client.wait(job, lambda event: history.hear([event]), timeout=60).state == JobState.FINISHED
            assert history.lost() == [] and len(history.acknowledged) == 8
        backend.terminate()
        found = plates(disk / "a" / "v001")
    calm = nursery.start(studio, tmp_path / "calm").wait()
    with Client.connect(calm.connection_file) as client:
        client.wait(client.submit(**WORK), timeout=60)
    assert found == plates(tmp_path / "calm" / "a" / "v001")


# The third of every thread: a thread that writes plates syncs each and its folder, so its second plate fails.
FAILING = "inject=fsync:error=EIO:when=3"
MOST_ERRORS = 10


def test_a_disk_that_reports_errors_pauses_the_job_and_when_it_is_well_again_nothing_is_missing(
    full: None, nursery: Nursery, studio: Path, tmp_path: Path
) -> None:
    history, errors = History(tmp_path / "plates"), 0
    with (
        traced(tmp_path, studio, tmp_path / "plates", ["-e", "trace=fsync", "-e", FAILING]) as connection,
        Client.connect(connection) as client,
    ):
        job = client.submit(**WORK)
        while errors < MOST_ERRORS:
            try:
                client.wait(job, lambda event: history.hear([event]), timeout=120)
                break
            except OutputNotWritable as error:
                errors += 1
                assert "Input/output error" in error.message or "disk I/O" in error.message
                assert history.lost() == []
                client.resume(job)
        assert client.show(job).state == JobState.FINISHED
    assert errors > 0 and history.lost() == [] and len(history.acknowledged) == 8
    calm = nursery.start(studio, tmp_path / "calm").wait()
    with Client.connect(calm.connection_file) as client:
        client.wait(client.submit(**WORK), timeout=60)
    assert plates(tmp_path / "plates" / "a" / "v001") == plates(tmp_path / "calm" / "a" / "v001")
