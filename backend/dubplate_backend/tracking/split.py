# SPDX-License-Identifier: Apache-2.0
"""A clip that holds several shots: where they begin, and what each is called."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.footage import open_footage
from dubplate_backend.plates.read_ahead import read_ahead
from dubplate_backend.plates.segment import Segment
from dubplate_backend.tracking.cuts import CutWatch
from dubplate_backend.tracking.face_choice import FaceChoice
from dubplate_backend.tracking.faces import FaceFinder
from dubplate_backend.tracking.track_shot import track_shot
from dubplate_shared.errors import InvalidInput
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check, never, silent
from dubplate_shared.shot import Rate, Shot


class Pictures(Protocol):
    """What cuts are looked for in."""

    @property
    def count(self) -> int: ...

    def iter(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]: ...


def find_cuts(footage: Pictures, *, progress: ProgressCallback, stop: Stop, stage: str = "cuts") -> tuple[int, ...]:
    """Places, 0-based, of the frames with which another shot begins, from one pass over pictures and faces.

    Raises FootageError where the footage is damaged, Cancelled where asked to stop.
    """
    watch = CutWatch()
    with FaceFinder(FaceChoice(biggest=True)) as finder:
        for index, rgb in enumerate(read_ahead(footage.iter())):
            check(stop)
            found = finder.follow(rgb)
            watch.feed(rgb, None if found is None else found[0])
            progress(Progress(index + 1, footage.count, stage))
    return watch.cuts()


def shot_ranges(count: int, cuts: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """(start, stop) of each shot of `count` frames."""
    return tuple(pairwise((0, *cuts, count)))


def shot_name(name: str, index: int, shots: int) -> str:
    """NAME of the only shot, NAME_s01, NAME_s02 … of several: they sort in order, and go on past 26."""
    return name if shots == 1 else f"{name}_s{index + 1:0{max(2, len(str(shots)))}d}"


def track_split(
    video: Path | str,
    out: Path | str,
    *,
    head: HeadModel,
    name: str | None = None,
    rate: Rate | None = None,
    colour_space: str | None = None,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
    stop: Stop = never,
    **options: Any,
) -> tuple[Shot, ...]:
    """Track each shot of a clip into a package of its own: `out` NAME.dubshot becomes NAME_s01.dubshot, NAME_s02 …; a
    clip without a cut becomes `out` itself.

    `options`: further ones of `track_shot`, for each of them.   Packages that are done stay when a later one fails, and
    are taken as they are when the rest is asked for again.
    Raises InvalidInput before anything is tracked where something else, or all of it, is there; else as `track_shot`.
    """
    out = Path(out)
    stem = out.name.removesuffix(".dubshot")
    with open_footage(video, rate=rate, colour_space=colour_space) as footage:
        ranges = shot_ranges(footage.count, find_cuts(footage, progress=progress, stop=stop))
        packages = [out.with_name(f"{shot_name(stem, index, len(ranges))}.dubshot") for index in range(len(ranges))]
        segments = [footage.segment(start, end) for start, end in ranges]
        done = [
            None if overwrite or not package.exists() else tracked_before(package, segment, head)
            for package, segment in zip(packages, segments, strict=True)
        ]
        if all(done):
            raise InvalidInput(
                f"{', '.join(package.name for package in packages)} exist already.",
                hint="Choose another name, or say --overwrite to replace them.",
            )
        return tuple(
            before
            or track_shot(
                segment,
                package,
                head=head,
                name=shot_name(name or stem, index, len(ranges)),
                overwrite=overwrite,
                progress=progress,
                stop=stop,
                **options,
            )
            for index, (before, segment, package) in enumerate(zip(done, segments, packages, strict=True))
        )


def tracked_before(package: Path, segment: Segment, head: HeadModel) -> Shot:
    """The shot that an earlier run has made of this segment. Raises InvalidInput where `package` is something else."""
    shot = Shot.load(package)
    same = (shot.info.plate, shot.info.frame_count, shot.info.head.sha256) == (
        segment.plate,
        segment.count,
        head.sha256,
    )
    if not same:
        raise InvalidInput(
            f"{package} exists already, and is another shot.",
            hint="Choose another name, or say --overwrite to replace it.",
        )
    return shot
