# SPDX-License-Identifier: Apache-2.0
"""A shot package repaired under pins: rewritten whole or not at all, with what was there kept for an undo.

Pins stay with the package (pins.json): a later repair of the same frames still keeps them.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.footage import open_footage
from dubplate_backend.plates.segment import Segment
from dubplate_backend.plates.source import shot_video
from dubplate_backend.tracking.figures import figures, named_figures
from dubplate_backend.tracking.flags import find_flags, flagged_frames
from dubplate_backend.tracking.preview import write_preview
from dubplate_backend.tracking.quality import Quality, Seen, measure
from dubplate_backend.tracking.repair import Repaired, repair, stretch
from dubplate_backend.tracking.report import REPORT_NAME, write_report
from dubplate_backend.tracking.track_shot import ALBEDO_NAME, PREVIEW_NAME, QUALITY_NAME
from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import atomic_folder, load_npz, save_npz, write_json
from dubplate_shared.flags import Flag, flags_of
from dubplate_shared.frames import format_frames
from dubplate_shared.pins import Pins
from dubplate_shared.progress import ProgressCallback, Stop, check, never, silent
from dubplate_shared.shot import HeadIdentity, Shot, ShotInfo

PINS_NAME, BEFORE = "pins.json", "before_repair"
# What a repair writes anew; of each, the one before is in BEFORE.
REPLACED = ("shot.json", "track.npz", "crop.npz", QUALITY_NAME, PINS_NAME, REPORT_NAME, PREVIEW_NAME)


@dataclass(frozen=True)
class RepairedShot:
    """shot: as it is on disk now.   quality, flags: of the repaired track."""

    shot: Shot
    repaired: Repaired
    quality: Quality
    flags: tuple[Flag, ...]


def repair_shot(
    shot: Shot,
    pins: Pins,
    *,
    head: HeadModel,
    frames: Sequence[int] | None = None,
    write: bool = True,
    preview: bool = True,
    report: bool = True,
    progress: ProgressCallback = silent,
    stop: Stop = never,
) -> RepairedShot:
    """Solve the stretch of `shot` around `pins` again, and write the package with it.

    frames: numbers, without a hole; see `repair.repair`.   write: or only look what would come of it.   preview:
    whether to make preview.mp4 again where there is one, or leave it out.   report: the same of report.html.
    Raises HeadModelMismatch, InvalidInput where pins and frames do not fit, FootageError where the plates are not as
    tracked, OutputNotWritable, Cancelled; the package is then as it was.
    """
    shot.info.head.require(HeadIdentity(head.kind, head.sha256), "The head given")
    known = flagged(shot)
    start, end = stretch(shot.track, pins, frames, known)
    solved = [int(frame) for frame in shot.track.frame[start:end]]
    earlier = Pins.load(shot.path / PINS_NAME) if (shot.path / PINS_NAME).exists() else Pins()
    kept = pins.over(earlier)
    albedo = load_npz(shot.path / ALBEDO_NAME)["vertices"] if (shot.path / ALBEDO_NAME).exists() else None
    with closing(shot_footage(shot)) as footage:
        repaired = repair(
            shot.track,
            shot.crop,
            kept.within(solved),
            footage,
            head=head,
            seen=seen_of(shot),
            albedo=albedo,
            frames=solved,
            progress=progress,
            stop=stop,
        )
        quality = measure(head, repaired.track, repaired.seen)
        flags = find_flags(quality, repaired.track.frame, repaired.track.time)
        if not write:
            return RepairedShot(shot, repaired, quality, flags)
        info = repaired_info(shot.info, pins, repaired, quality, flags)
        with atomic_folder(shot.path, overwrite=True) as folder:
            keep(shot.path, folder)
            write_json(folder / "shot.json", info.to_json())
            repaired.track.save(folder / "track.npz")
            save_npz(folder / "crop.npz", {"matrix": repaired.crop})
            quality.save(folder / QUALITY_NAME)
            kept.save(folder / PINS_NAME)
            if report:
                write_report(
                    folder / REPORT_NAME,
                    info.name,
                    repaired.track,
                    repaired.crop,
                    quality,
                    flags,
                    footage,
                    head,
                    albedo=albedo,
                    figures=info.extra["tracking"]["figures"],
                    warnings=info.extra["tracking"].get("warnings", ()),
                    progress=progress,
                    stop=stop,
                )
            if preview and (shot.path / PREVIEW_NAME).exists():
                write_preview(
                    folder / PREVIEW_NAME,
                    footage,
                    head,
                    repaired.track,
                    repaired.crop,
                    shot.audio_path(),
                    progress=progress,
                    stop=stop,
                )
            check(stop)
    return RepairedShot(Shot.load(shot.path), repaired, quality, flags)


def undo_repair(path: Path) -> Shot:
    """Put back what the last repair of a package replaced.  Raises InvalidInput where there is none."""
    shot, before = Shot.load(path), path / BEFORE
    if not before.is_dir():
        raise InvalidInput(f"{path} holds no repair that could be undone.", hint="Only the last one can.")
    old = Shot.load(before)
    with atomic_folder(path, overwrite=True) as folder:
        shutil.copytree(path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(BEFORE, *REPLACED))
        for name in REPLACED:
            if (before / name).exists():
                shutil.copy2(before / name, folder / name)
        # What else was written into shot.json since then stays.
        info = replace(shot.info, extra={**shot.info.extra, "tracking": old.info.extra.get("tracking", {})})
        write_json(folder / "shot.json", info.to_json())
    return Shot.load(path)


def keep(package: Path, folder: Path) -> None:
    """Copy what a repair leaves alone, and what it replaces into BEFORE."""
    shutil.copytree(package, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(BEFORE, *REPLACED))
    (folder / BEFORE).mkdir()
    for name in REPLACED:
        if (package / name).exists():
            shutil.copy2(package / name, folder / BEFORE / name)


def flagged(shot: Shot) -> frozenset[int]:
    """Numbers of the frames that shot.json flags."""
    return flagged_frames(flags_of(shot.info.extra.get("tracking", {})))


def seen_of(shot: Shot) -> Seen:
    """What the tracker saw, as far as the package says."""
    path = shot.path / QUALITY_NAME
    return Quality.load(path).seen if path.exists() else Seen.in_track(shot.track)


def repaired_info(
    info: ShotInfo, pins: Pins, repaired: Repaired, quality: Quality, flags: tuple[Flag, ...]
) -> ShotInfo:
    """shot.json after a repair."""
    said = dict(info.extra.get("tracking", {}))
    said["figures"] = named_figures(figures(repaired.track), quality, flags)
    said["flags"] = [flag.to_json() for flag in flags]
    done = {
        "frames": format_frames(repaired.frames),
        "landmarks": len(pins.landmarks),
        "poses": len(pins.poses),
        "crop_changed": repaired.cropped,
    }
    said["repairs"] = [*said.get("repairs", ()), done]
    return replace(info, extra={**info.extra, "tracking": said})


def shot_footage(shot: Shot) -> Segment:
    """The frames that a shot was tracked from.  Raises FootageError or InvalidInput where they are not there."""
    if shot.info.plate.kind == "video":
        return shot_video(shot)
    whole = open_footage(shot.plate_path(), rate=shot.info.rate, colour_space=shot.info.plate.colour_space or None)
    start = shot.info.first_frame - (whole.first_frame or 0)
    if start < 0 or start + shot.info.frame_count > whole.count:
        raise InvalidInput(
            f"{shot.plate_path()} does not hold all frames of {shot.info.name}.",
            hint="Put the footage back that was tracked, or track the shot again.",
        )
    return whole.segment(start, start + shot.info.frame_count)


def moved_mm(before: Shot, repaired: Repaired) -> np.ndarray:
    """How far the head has moved in each repaired frame, (N,) mm."""
    at = before.indices(repaired.frames)
    return 1e3 * np.linalg.norm(repaired.track.translation[at] - before.track.translation[at], axis=1)
