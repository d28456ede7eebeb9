# SPDX-License-Identifier: Apache-2.0
"""Scrubbing and rendering for as long as it is told to: memory stays flat, and nothing stays open."""

from __future__ import annotations

import statistics
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from blender_addon.connection.client import Client
from dubplate_shared.errors import BackendLost, BackendUnreachable
from dubplate_shared.messages import JobState, PreviewOver
from dubplate_shared.shot import Shot
from faults.nursery import Backend, Nursery

LOOK_INTERVAL_S = 2.0
TELL_INTERVAL_S = 120.0
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
    use, memory, handles = Use(shot), [], []
    began_s = told_s = time.monotonic()
    while (now_s := time.monotonic()) - began_s < 60 * minutes:
        try:
            with Client.connect(backend.connection_file) as client:
                while (now_s := time.monotonic()) - began_s < 60 * minutes:
                    use.go_on(client)
                    if now_s - began_s > LOOK_INTERVAL_S * len(memory):
                        memory.append(resident_bytes(backend))
                        handles.append(open_handles(backend))
                    if now_s - told_s > TELL_INTERVAL_S:
                        told_s = now_s
                        print(f"{now_s - began_s:.0f} s: {use}; {memory[-1] / 1e6:.0f} MB, {handles[-1]} open")
        except (BackendLost, BackendUnreachable):  # on a machine that has no time for it; it is the same backend still
            assert backend.alive
            use.lines_lost += 1
    third = len(memory) // 3
    before, after = statistics.median(memory[third : 2 * third]), statistics.median(memory[2 * third :])
    print(
        f"{minutes:g} minutes: {use};"
        f" {before / 1e6:.0f} MB, then {after / 1e6:.0f} MB;"
        f" {statistics.median(handles[third : 2 * third])}, then {statistics.median(handles[2 * third :])} descriptors"
    )
    assert use.previews > 0 and use.renders > 0
    assert after <= MOST_GROWTH * before
    assert statistics.median(handles[2 * third :]) <= statistics.median(handles[third : 2 * third]) + MOST_OPENED
    backend.terminate()


@dataclass
class Use:
    """An artist who keys now here, now there, looks at each edit, and always has a render going."""

    shot: Shot
    edits: int = 0
    previews: int = 0
    renders: int = 0
    lines_lost: int = 0
    job: str = ""

    def __str__(self) -> str:
        return f"{self.previews} previews, {self.renders} renders, {self.lines_lost} lines lost"

    def go_on(self, client: Client) -> None:
        self.edits += 1
        jaw = self.shot.track.jaw.copy()
        jaw[self.edits % len(jaw), 0] += 0.2 * ((self.edits * 7919) % 100) / 100
        curves = {"expression": np.asarray(self.shot.track.expression), "jaw": jaw}
        client.preview(shot=WORK["shot"], actor=WORK["actor"], frame=1001 + self.edits % 20, take="edit", **curves)
        if not self.job or JobState(client.show(self.job).state).final:
            self.job = client.submit(**WORK, **curves, frames="1001-1020", key=uuid.uuid4().hex)
            self.renders += 1
        self.previews += sum(isinstance(event, PreviewOver) for event in client.poll(30))


def resident_bytes(backend: Backend) -> int:
    """What the backend's own memory takes; without what it shares with the process that it was forked from."""
    for line in Path(f"/proc/{backend.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the system does not say")


def open_handles(backend: Backend) -> int:
    return len(list(Path(f"/proc/{backend.pid}/fd").iterdir()))
