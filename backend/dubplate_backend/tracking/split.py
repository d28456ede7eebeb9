# SPDX-License-Identifier: Apache-2.0
"""A clip that holds several shots: where they begin, and what each is called."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Protocol

import numpy as np

from dubplate_backend.plates.read_ahead import read_ahead
from dubplate_backend.tracking.cuts import CutWatch
from dubplate_backend.tracking.face_choice import FaceChoice
from dubplate_backend.tracking.faces import FaceFinder
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check


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
