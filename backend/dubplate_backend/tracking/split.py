# SPDX-License-Identifier: Apache-2.0
"""A clip that holds several shots: where they begin, and what each is called."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dubplate_backend.plates.footage import open_footage
from dubplate_backend.plates.read_ahead import read_ahead
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

    `options`: further ones of `track_shot`, for each of them.   Packages that are done stay when a later one fails.
    Raises InvalidInput before anything is tracked where one of the packages exists; else as `track_shot`.
    """
    out = Path(out)
    stem = out.name.removesuffix(".dubshot")
    with open_footage(video, rate=rate, colour_space=colour_space) as footage:
        ranges = shot_ranges(footage.count, find_cuts(footage, progress=progress, stop=stop))
        packages = [out.with_name(f"{shot_name(stem, index, len(ranges))}.dubshot") for index in range(len(ranges))]
        there = [package.name for package in packages if package.exists()]
        if there and not overwrite:
            raise InvalidInput(
                f"{', '.join(there)} exist{'s' if len(there) == 1 else ''} already.",
                hint="Choose another name, or say --overwrite to replace.",
            )
        return tuple(
            track_shot(
                footage.segment(start, end),
                package,
                name=shot_name(name or stem, index, len(ranges)),
                overwrite=overwrite,
                progress=progress,
                stop=stop,
                **options,
            )
            for index, ((start, end), package) in enumerate(zip(ranges, packages, strict=True))
        )
