# SPDX-License-Identifier: Apache-2.0
"""What was hashed or drawn once is not hashed or drawn again, and what is damaged is never handed on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.file_hashes import COARSEST_STEP_S, FileHashes
from dubplate_backend.plates.manifest import FrameRecord, Manifest
from dubplate_backend.plates.store import PlateStore
from dubplate_backend.renderers.base import Renderer
from dubplate_backend.renderers.load import load_renderer
from dubplate_backend.rendering import RenderReport, render_shot
from dubplate_backend.rendering.reuse import Reuse
from dubplate_shared.errors import FramesFailed, OutOfMemory
from dubplate_shared.shot import Shot
from dubplate_shared.take import Take

FRAMES = (1010, 1011, 1012, 1013)  # 1012 shows no face
QUIET = {"preview": False, "background_test": False}


@pytest.fixture(scope="module")
def loaded(actor: Path, head: HeadModel) -> Renderer:
    """The actor's renderer, as a server keeps it."""
    return load_renderer(actor, head)


@pytest.fixture
def render(shot: Shot, actor: Path, head: HeadModel, loaded: Renderer):
    def run(out: Path, frames: Sequence[int] = FRAMES, take: Take | None = None, **others) -> RenderReport:
        return render_shot(
            shot=shot, take=take or shot.take("tracked"), actor_path=actor, head=head, frames=frames, out=out,
            **{"settings": QUIET, "renderer": loaded} | others,
        )  # fmt: skip

    return run


def opened(shot: Shot, frame: int) -> Take:
    jaw = shot.track.jaw.copy()
    jaw[shot.index(frame), 0] += 0.1
    return replace(shot.tracked_take(), jaw=jaw)


def plates(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.exr")}


def aged(folder: Path) -> None:
    """As if all files had been written a minute ago."""
    then = time.time() - 60
    for path in folder.rglob("*"):
        os.utime(path, (then, then))


def test_another_output_of_the_same_work_is_copied_and_an_undone_edit_comes_back(render, shot: Shot, tmp_path: Path):
    reuse = Reuse(store=PlateStore(tmp_path / "store"))
    first = render(tmp_path / "a", reuse=reuse)
    assert first.drawn == (1010, 1011, 1013) and first.passed_through == (1012,) and not first.reused
    second = render(tmp_path / "b", reuse=reuse)
    assert second.reused == FRAMES and not second.drawn and not second.passed_through
    assert plates(second.folder) == plates(first.folder)
    assert Manifest.load(second.folder).frames == Manifest.load(first.folder).frames
    edited = render(tmp_path / "a", take=opened(shot, 1010), reuse=reuse)
    assert edited.drawn == (1010, 1011) and edited.skipped == (1012, 1013)
    undone = render(tmp_path / "a", reuse=reuse)
    assert undone.reused == (1010, 1011) and plates(undone.folder) == plates(second.folder)


def test_a_stored_plate_that_was_changed_in_place_is_drawn_again(render, tmp_path: Path):
    reuse = Reuse(store=PlateStore(tmp_path / "store"))
    first = render(tmp_path / "a", [1010], reuse=reuse)
    before = plates(first.folder)
    path = first.folder / "small_dub_v001.1010.exr"
    with open(path, "r+b") as file:  # the store has the same file by another name
        file.seek(5000)
        file.write(b"\0" * 64)
    second = render(tmp_path / "b", [1010], reuse=reuse)
    assert second.drawn == (1010,) and plates(second.folder) == before
    assert render(tmp_path / "c", [1010], reuse=reuse).reused == (1010,)


def test_what_a_killed_backend_left_in_the_store_is_removed_and_what_another_is_at_stays(tmp_path: Path):
    store = PlateStore(tmp_path)
    left, fresh = tmp_path / ".a1b2.part", tmp_path / ".c3d4.old"
    for folder in (left, fresh):
        folder.mkdir()
        (folder / "plate.exr").write_bytes(b"x")
    then = time.time() - 3600
    os.utime(left, (then, then))
    store.remove_abandoned()
    assert not left.exists() and fresh.exists()


def test_a_store_keeps_to_its_limit_and_lets_go_of_what_was_used_longest_ago(tmp_path: Path):
    source = tmp_path / "plate.exr"
    store = PlateStore(tmp_path / "store", limit_bytes=3500)
    keys = [f"{number:064x}" for number in range(4)]
    for number, key in enumerate(keys):
        source.write_bytes(bytes([number]) * 1000)
        record = FrameRecord(source.name, FileHashes().sha256(source), key, "drawn")
        store.add(key, source, record, shot="small", actor="x")
        source.unlink()
        if number == 2:
            assert store.take(keys[0], tmp_path / "out.exr") is not None, "used again: no longer the oldest"
        time.sleep(0.01)
    assert [store.has(key) for key in keys] == [True, False, True, True]
    report = store.report()
    assert (report.plates, report.bytes, report.own_bytes, report.shots) == (3, 3000, 3000, {"small": 3000})
    assert store.trim(1000, dry_run=True) == (2, 2000) and store.report().plates == 3
    assert store.trim(1000) == (2, 2000) and store.has(keys[3])
    assert not [path for path in (tmp_path / "store").iterdir() if path.name.startswith(".")]


def test_nothing_is_read_twice_while_the_file_system_says_it_is_the_same(render, shot: Shot, tmp_path: Path):
    reuse = Reuse()
    first = render(tmp_path / "a", settings={"sheet": True, "background_test": False}, reuse=reuse)
    aged(tmp_path / "a")
    time.sleep(COARSEST_STEP_S + 0.1)  # the times of change, which nobody can set back, have to pass
    render(tmp_path / "a", settings={"sheet": True, "background_test": False}, reuse=reuse)
    read = reuse.hashes.files_read
    stamps = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    again = render(tmp_path / "a", settings={"sheet": True, "background_test": False}, reuse=reuse)
    assert again.skipped == FRAMES and reuse.hashes.files_read == read
    assert {path: path.stat().st_mtime_ns for path in first.folder.iterdir()} == stamps, "pictures and manifest stay"
    damaged = first.folder / "small_dub_v001.1010.exr"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    assert render(tmp_path / "a", reuse=reuse).drawn == (1010,)


def test_a_file_changed_within_the_same_tick_of_the_clock_is_seen(tmp_path: Path):
    path = tmp_path / "plate"
    hashes = FileHashes()
    path.write_bytes(b"one")
    times = path.stat()
    first = hashes.sha256(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert hashes.sha256(path) != first


class Short:
    """The actor's renderer on a device whose memory does not suffice for some frames, for so many tries."""

    def __init__(self, renderer, tries: dict[int, int]) -> None:
        self._renderer, self.tries = renderer, tries
        self.batches: list[int] = []

    def __getattr__(self, name: str):
        return getattr(self._renderer, name)

    def with_hearing(self, hearing) -> Short:
        return self

    def render(self, shot, take, frames, plates, stop) -> Iterator:
        for batch in self._renderer.batches(shot, take, frames, plates, stop):
            self.batches.append(len(batch.mel))
            asked = {batch.first_frame + at for at in batch.centres}
            for frame, left in self.tries.items():
                if frame in asked and left:
                    self.tries[frame] = left - 1
                    raise torch.OutOfMemoryError("CUDA out of memory.")
            yield from self._renderer.drawn(batch)


MANY = tuple(range(1001, 1006))


@pytest.fixture(scope="module")
def unbroken(shot: Shot, actor: Path, head: HeadModel, loaded: Renderer, tmp_path_factory) -> dict[str, bytes]:
    report = render_shot(shot=shot, take=shot.take("tracked"), actor_path=actor, head=head, frames=MANY,
                         out=tmp_path_factory.mktemp("whole"), settings=QUIET, renderer=loaded)  # fmt: skip
    return plates(report.folder)


def test_memory_that_was_short_once_costs_a_try_and_no_frame(render, loaded, unbroken, tmp_path):
    renderer = Short(loaded, {1002: 1, 1005: 2})
    report = render(tmp_path, MANY, renderer=renderer)
    assert report.drawn == MANY and plates(report.folder) == unbroken
    assert set(renderer.batches) == {renderer.preset.batch_windows}, "never in another shape"


def test_memory_that_stays_short_fails_its_frame_alone(render, loaded, unbroken, tmp_path):
    renderer = Short(loaded, {1003: 1000})
    with pytest.raises(FramesFailed, match="1003"):
        render(tmp_path, MANY, renderer=renderer)
    left = {name: data for name, data in unbroken.items() if "1003" not in name}
    assert plates(tmp_path / "v001") == left


def test_memory_that_suffices_for_no_frame_ends_the_render(render, loaded, tmp_path):
    with pytest.raises(OutOfMemory):
        render(tmp_path, MANY, renderer=Short(loaded, dict.fromkeys(MANY, 1000)))


def test_the_report_says_where_the_time_went(render, tmp_path: Path):
    report = render(tmp_path)
    assert {"checking", "drawing", "compositing", "writing"} <= report.stages.keys()
    assert report.stages["writing"] > 0 and np.isfinite(list(report.stages.values())).all()
    assert report.to_json()["stages"].keys() == report.stages.keys()


def test_what_a_killed_writer_left_goes_with_the_next_render_and_what_is_being_written_stays(render, tmp_path: Path):
    folder = tmp_path / "v001"
    folder.mkdir()
    old, new = folder / ".small_dub_v001.1010.x1.part.exr", folder / ".small_dub_v001.1011.x2.part.exr"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    render(tmp_path, [1012])
    assert not old.exists() and new.exists()
