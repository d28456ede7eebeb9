# SPDX-License-Identifier: Apache-2.0
"""Scrubbing and rendering for as long as it is told to: memory stays flat, and nothing stays open."""

from __future__ import annotations

import statistics
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from blender_addon.connection.client import Client
from dubplate_shared.messages import JobState, PreviewOver
from dubplate_shared.shot import Shot
from faults.nursery import Backend, Nursery

LOOK_INTERVAL_S = 2.0
MOST_GROWTH = 1.05  # of the last third's memory over the third before: the first third fills what is kept
MOST_OPENED = 2  # descriptors that may be open for a moment when it is looked
WORK = {
    "shot": "small.dubshot", "actor": "small.dubactor", "output": "a", "take": "edit",
    "settings": {"background_test": False},
}  # fmt: skip


def test_an_hour_of_scrubbing_and_rendering_leaves_memory_and_descriptors_as_they_were(
    request: pytest.FixtureRequest, nursery: Nursery, studio: Path, tmp_path: Path
) -> None:
    minutes = request.config.getoption("--soak", default=0.0)
    if not minutes:
        pytest.skip("takes an hour: scripts/test_faults --soak 60")
    shot = Shot.load(studio / "small.dubshot")
    backend = nursery.start(studio, tmp_path / "plates", policy={"cache_bytes": 50_000_000}).wait()
    memory: list[int] = []
    handles: list[int] = []
    previews = renders = 0
    ends_s = time.monotonic() + 60 * minutes
    with Client.connect(backend.connection_file) as client:
        job, looked_s, number = "", 0.0, 0
        while time.monotonic() < ends_s:
            number += 1
            jaw = shot.track.jaw.copy()
            jaw[number % len(jaw), 0] += 0.2 * ((number * 7919) % 100) / 100  # a key, now here, now there
            curves = {"expression": np.asarray(shot.track.expression), "jaw": jaw}
            client.preview(shot=WORK["shot"], actor=WORK["actor"], frame=1001 + number % 20, take="edit", **curves)
            if not job or JobState(client.show(job).state).final:
                job = client.submit(**WORK, **curves, frames="1001-1020", key=uuid.uuid4().hex)
                renders += 1
            previews += sum(isinstance(event, PreviewOver) for event in client.poll(30))
            if time.monotonic() - looked_s > LOOK_INTERVAL_S:
                looked_s = time.monotonic()
                memory.append(resident_bytes(backend))
                handles.append(open_handles(backend))
    third = len(memory) // 3
    before, after = statistics.median(memory[third : 2 * third]), statistics.median(memory[2 * third :])
    print(
        f"{minutes:g} minutes: {previews} previews, {renders} renders;"
        f" {before / 1e6:.0f} MB, then {after / 1e6:.0f} MB;"
        f" {statistics.median(handles[third : 2 * third])}, then {statistics.median(handles[2 * third :])} descriptors"
    )
    assert previews > 0 and renders > 0
    assert after <= MOST_GROWTH * before
    assert statistics.median(handles[2 * third :]) <= statistics.median(handles[third : 2 * third]) + MOST_OPENED
    backend.terminate()


def resident_bytes(backend: Backend) -> int:
    """What the backend's own memory takes; without what it shares with the process that it was forked from."""
    for line in Path(f"/proc/{backend.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the system does not say")


def open_handles(backend: Backend) -> int:
    return len(list(Path(f"/proc/{backend.pid}/fd").iterdir()))
