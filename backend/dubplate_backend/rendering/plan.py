# SPDX-License-Identifier: Apache-2.0
"""What a render would do, and all checks that can be made before it begins."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubplate_backend.compositing.background import load_segmenter
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.manifest import FrameRecord, Manifest
from dubplate_backend.plates.source import ShotPlates
from dubplate_backend.renderers.base import Renderer
from dubplate_backend.renderers.load import load_renderer
from dubplate_backend.rendering.keys import FrameKeys
from dubplate_backend.rendering.reuse import Reuse
from dubplate_backend.rendering.settings import RenderSettings
from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import InvalidInput, OutputNotWritable
from dubplate_shared.frames import format_frames
from dubplate_shared.plate_names import plate_path, version_folder
from dubplate_shared.shot import HeadIdentity, Shot
from dubplate_shared.take import Take

LEAST_BYTES_A_PIXEL = 1.5  # below the smallest of our plates as measured: a preflight must not refuse what would fit


@dataclass(frozen=True)
class RenderPlan:
    """renderer_key: what draws.  keys: frame -> input hash.  standing: plates that need no drawing.

    no_face: frames that pass through.  stored: frames whose plate the store has, if it proves whole.
    """

    frames: tuple[int, ...]
    renderer_key: str
    keys: Mapping[int, str]
    standing: Mapping[int, FrameRecord]
    no_face: frozenset[int]
    stored: frozenset[int] = frozenset()

    @property
    def to_draw(self) -> tuple[int, ...]:
        return tuple(frame for frame in self.frames if frame not in self.standing and frame not in self.no_face)

    @property
    def to_pass(self) -> tuple[int, ...]:
        return tuple(frame for frame in self.frames if frame not in self.standing and frame in self.no_face)

    def to_json(self) -> dict[str, Any]:
        """For --json: frames as ranges."""
        return {
            "to_draw": format_frames(self.to_draw),
            "to_pass_through": format_frames(self.to_pass),
            "standing": format_frames(tuple(self.standing)),
        }


def plan_shot(
    *,
    shot: Shot,
    take: Take,
    actor_path: Path | str,
    head: HeadModel,
    frames: Sequence[int],
    out: Path | str,
    version: int = 1,
    settings: RenderSettings | Mapping[str, Any] | None = None,
) -> RenderPlan:
    """All checks of `render_shot` and what it would draw, without drawing or writing anything. Raises as it does."""
    check_inputs(shot, take, actor_path, head, frames)
    reuse = Reuse()
    with ShotPlates(shot, hashes=reuse.hashes) as plates:
        renderer = load_renderer(actor_path, head)
        settings = RenderSettings.of(settings)
        renderer = renderer.with_hearing(settings.hearing(renderer.hearing))
        with closing(load_segmenter(settings.segmentation)) as segmenter:
            plan = make_plan(shot, take, renderer, plates, segmenter.key(), frames, Path(out), version, settings, reuse)
    check_disk(version_folder(out, version), len(plan.to_draw) + len(plan.to_pass), shot)
    return plan


def make_plan(
    shot: Shot,
    take: Take,
    renderer: Renderer,
    plates: ShotPlates,
    segmenter: str,
    frames: Sequence[int],
    out: Path,
    version: int,
    settings: RenderSettings,
    reuse: Reuse,
) -> RenderPlan:
    """Hash every frame and see which plates stand already, here or in the store.  segmenter: its key.

    Raises InvalidInput where plates are missing.
    """
    frames = tuple(sorted(set(frames)))
    missing = plates.missing(frames)
    if missing:
        raise InvalidInput(
            f"Plates {format_frames(missing)} of {shot.info.name} are missing.",
            hint=f"They belong at {shot.info.plate.path}.",
        )
    keys = FrameKeys(shot, take, renderer, plates, settings.composite, segmenter, reuse.hashes)
    wanted = {frame: keys.key(frame) for frame in frames}
    folder = version_folder(out, version)
    known = Manifest.load(folder)
    known = known.merged({}, {frame: record for frame, record in reuse.told.items() if frame not in known.frames})
    standing: dict[int, FrameRecord] = {}
    for frame in () if settings.force else frames:
        name = plate_path(out, shot.info.name, version, frame).name
        record = known.valid(folder, frame, wanted[frame], name, reuse.hashes)
        if record is not None:
            standing[frame] = record
    store = None if settings.force else reuse.store
    stored = frozenset(frame for frame in frames if store and frame not in standing and store.has(wanted[frame]))
    no_face = frozenset(frame for frame in frames if shot.track.confidence[shot.index(frame)] <= 0)
    return RenderPlan(frames, keys.renderer_key, wanted, standing, no_face, stored)


def check_inputs(shot: Shot, take: Take, actor_path: Path | str, head: HeadModel, frames: Sequence[int]) -> None:
    """What can be told before any work. Raises InvalidInput, HeadModelMismatch."""
    if not frames:
        raise InvalidInput("No frames were asked for.", hint="Name a range, such as --frames 1001-1100.")
    shot.indices(frames)
    shot.checked(take)
    own = HeadIdentity(head.kind, head.sha256)
    own.require(shot.info.head, f"Shot {shot.info.name}")
    own.require(ActorInfo.load(actor_path).head, f"Actor {Path(actor_path).name}")


def check_disk(folder: Path, plates: int, shot: Shot) -> None:
    """Raise OutputNotWritable where the folder cannot be written, or so many plates cannot possibly fit on its disk."""
    existing = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        what = "may not be written to" if existing.is_dir() else "is no folder"
        raise OutputNotWritable(f"{existing} {what}.", hint="Choose another output folder, or mend its permissions.")
    wanted = plates * shot.info.width * shot.info.height * LEAST_BYTES_A_PIXEL
    free = shutil.disk_usage(existing).free
    if free < wanted:
        raise OutputNotWritable(
            f"The disk of {folder} is too full: {free / 1e9:.2f} GB are free, {plates} plates need at least"
            f" {wanted / 1e9:.2f} GB.",
            hint="Free some space, or choose another output folder.",
        )
