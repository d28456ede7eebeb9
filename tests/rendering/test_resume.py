# SPDX-License-Identifier: Apache-2.0
"""A frame is drawn when something that it depends on has changed, and gives the same bits whenever it is drawn."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.manifest import NAME, Manifest
from dubplate_backend.plates.source import ShotPlates
from dubplate_backend.rendering import RenderReport, plan_shot, render_shot
from dubplate_shared.errors import Cancelled, FramesFailed, InvalidInput
from dubplate_shared.progress import Progress
from dubplate_shared.shot import Shot
from dubplate_shared.take import Take
from rendering.conftest import FRAMES

QUIET = {"preview": False}
MANY = tuple(range(1001, 1012))  # more than are finished at once


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.exr")}


def with_jaw(shot: Shot, frame: int, radians: float) -> Take:
    jaw = shot.track.jaw.copy()
    jaw[shot.index(frame), 0] += radians
    return replace(shot.tracked_take(), jaw=jaw)


def test_a_frame_has_the_same_bytes_alone_as_in_a_range(rendered, shot: Shot, actor: Path, head: HeadModel, tmp_path):
    render_shot(shot=shot, take=shot.take("tracked"), actor_path=actor, head=head, frames=[1013], out=tmp_path,
                settings=QUIET)  # fmt: skip
    name = "small_dub_v001.1013.exr"
    assert (tmp_path / "v001" / name).read_bytes() == (rendered.folder / name).read_bytes()


def test_nothing_is_drawn_twice(copied: Path, shot: Shot, actor: Path, head: HeadModel):
    before = contents(copied / "v001")
    report = render_shot(shot=shot, take=shot.take("tracked"), actor_path=actor, head=head, frames=FRAMES, out=copied,
                         settings=QUIET)  # fmt: skip
    assert report.skipped == FRAMES and not report.drawn and not report.passed_through
    assert contents(copied / "v001") == before


def test_missing_and_damaged_plates_are_made_again_with_the_same_bytes(
    copied: Path, shot: Shot, actor: Path, head: HeadModel
):
    folder = copied / "v001"
    before = contents(folder)
    (folder / "small_dub_v001.1010.exr").unlink()
    damaged = folder / "small_dub_v001.1012.exr"
    damaged.write_bytes(damaged.read_bytes()[:-50])
    report = render_shot(shot=shot, take=shot.take("tracked"), actor_path=actor, head=head, frames=FRAMES, out=copied,
                         settings=QUIET)  # fmt: skip
    assert report.drawn == (1010,) and report.passed_through == (1012,) and report.skipped == (1011, 1013)
    assert contents(folder) == before


def test_without_a_manifest_the_plates_speak_for_themselves(copied: Path, shot: Shot, actor: Path, head: HeadModel):
    manifest = Manifest.load(copied / "v001")
    (copied / "v001" / NAME).unlink()
    report = render_shot(shot=shot, take=shot.take("tracked"), actor_path=actor, head=head, frames=FRAMES, out=copied,
                         settings=QUIET)  # fmt: skip
    assert report.skipped == FRAMES
    found = Manifest.load(copied / "v001")
    assert found.frames == manifest.frames and found.facts.items() <= manifest.facts.items()


def test_an_edit_redraws_just_the_frames_whose_window_it_touches(
    rendered: RenderReport, shot: Shot, actor: Path, head: HeadModel
):
    def planned(take: Take) -> tuple[int, ...]:
        every = range(1001, 1020)
        plan = plan_shot(shot=shot, take=take, actor_path=actor, head=head, frames=every, out=rendered.folder.parent)
        return tuple(plan.keys[frame] for frame in every)

    before, after = planned(shot.take("tracked")), planned(with_jaw(shot, 1005, 0.1))
    assert [frame for frame, a, b in zip(range(1001, 1020), before, after, strict=True) if a != b] == [
        1003, 1004, 1005, 1006, 1007
    ]  # fmt: skip


def test_every_input_is_in_the_hash(shot: Shot, actor: Path, head: HeadModel, tmp_path):
    def key(take: Take | None = None, of: Shot = shot, **settings) -> str:
        plan = plan_shot(shot=of, take=take or of.take("tracked"), actor_path=actor, head=head, frames=[1005],
                         out=tmp_path, settings=settings)  # fmt: skip
        return plan.keys[1005]

    base = key()
    assert key() == base
    assert key(background_test=False) != base and key(colour_match=False) != base
    assert key(sound_gain=1.25) != base and key(sound_smoothing=0.3) != base and key(sound_gain=1) == base
    assert key(sheet=True, preview=False) == base
    assert key(replace(shot.tracked_take(), name="silent")) != base  # without the shot's voice
    shifted = shot.crop.copy()
    shifted[3] *= 1.01
    assert key(of=replace(shot, crop=shifted)) != base
    louder = replace(shot.track, rotation=shot.track.rotation + np.float32(1e-3))
    assert key(of=replace(shot, track=louder)) != base


def test_a_stop_leaves_whole_plates_and_the_next_render_goes_on(shot: Shot, actor: Path, head: HeadModel, tmp_path):
    finished: list[int] = []

    def watch(step: Progress) -> None:
        if step.stage == "rendering":
            finished.append(step.done)

    with pytest.raises(Cancelled):
        render_shot(shot=shot, take=shot.take("tracked"), actor_path=actor, head=head, frames=MANY, out=tmp_path,
                    settings=QUIET, progress=watch, stop=lambda: len(finished) >= 2)  # fmt: skip
    folder = tmp_path / "v001"
    stood = len(contents(folder))
    assert 2 <= stood == len(Manifest.load(folder).frames) < len(MANY)
    assert {path.suffix for path in folder.iterdir()} == {".exr", ".json"}  # no preview, nothing half-written
    report = render_shot(shot=shot, take=shot.take("tracked"), actor_path=actor, head=head, frames=MANY, out=tmp_path,
                         settings=QUIET)  # fmt: skip
    assert len(report.skipped) == stood and len(report.drawn) == len(MANY) - stood
    assert tuple(Manifest.load(folder).frames) == MANY


def test_what_a_killed_render_left_beside_the_plates_is_removed_and_what_another_is_at_stays(
    copied: Path, shot: Shot, actor: Path, head: HeadModel
):
    folder = copied / "v001"
    ours = [".small_dub_v001.1010.k3j2.part.exr", ".preview.q8w7.part.mp4", ".manifest.a1b2.part.json"]
    others = [".notes.txt", ".k3j2.exr", "small.part.exr", ".part"]
    then_s = time.time() - 3600
    for name in (*ours, *others):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (then_s, then_s))
    written_now = folder / ".small_dub_v001.1011.z9y8.part.exr"
    written_now.write_bytes(b"x")
    (copied / ours[0]).write_bytes(b"x")
    os.utime(copied / ours[0], (then_s, then_s))
    before = {path.name for path in folder.iterdir()}
    render_shot(shot=shot, take=shot.take("tracked"), actor_path=actor, head=head, frames=FRAMES, out=copied,
                settings=QUIET)  # fmt: skip
    assert before - {path.name for path in folder.iterdir()} == set(ours)
    assert (copied / ours[0]).exists(), "in its own folder alone"


def test_a_plate_that_cannot_be_read_fails_its_frames_alone(shot: Shot, actor: Path, head: HeadModel, tmp_path):
    from dubplate_backend.renderers.load import load_renderer

    renderer = load_renderer(actor, head)
    broken = 1002
    spared = [frame for frame in (1014, 1015, 1016, 1017, 1018) if broken not in renderer.frames_read(shot, frame)]
    assert spared, "the broken plate must not be every frame's reference"
    path = shot.plate_path().with_name(f"small.{broken}.png")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    try:
        with pytest.raises(FramesFailed, match="1002"):
            render_shot(shot=shot, take=shot.take("tracked"), actor_path=actor, head=head,
                        frames=[broken, *spared[:1]], out=tmp_path, settings=QUIET)  # fmt: skip
    finally:
        path.write_bytes(whole)
    assert tuple(Manifest.load(tmp_path / "v001").frames) == tuple(spared[:1])


def test_only_needed_plates_are_kept_in_memory(shot: Shot):
    with ShotPlates(shot) as plates:
        for frame in shot.frames:
            plates.plate(frame)
        assert len(plates._kept) < len(shot.frames)


def test_settings_that_do_not_exist_are_refused(shot: Shot, actor: Path, head: HeadModel, tmp_path):
    for wrong in ({"seam": True}, {"preview": "yes"}, {"sound_gain": 3}, {"sound_smoothing": True}):
        with pytest.raises(InvalidInput):
            render_shot(shot=shot, take=shot.take("tracked"), actor_path=actor, head=head, frames=[1001], out=tmp_path,
                        settings=wrong)  # fmt: skip
