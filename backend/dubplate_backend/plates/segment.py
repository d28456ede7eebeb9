# SPDX-License-Identifier: Apache-2.0
"""A stretch of footage as footage of its own: one shot of a file that holds several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np

from dubplate_backend.plates.time_code import later
from dubplate_shared.shot import PlateSource, Rate


class WholeFootage(Protocol):
    """What a segment is cut from: `Footage`, `Sequence`, or another segment."""

    width: int
    height: int
    rate: Rate
    times: np.ndarray
    start_s: float
    pixel_aspect: float
    colour_space: str
    timecode: str | None
    first_frame: int | None
    fields: bool

    @property
    def count(self) -> int: ...

    @property
    def variable_rate(self) -> bool: ...

    @property
    def plate(self) -> PlateSource: ...

    def frame(self, index: int) -> np.ndarray: ...

    def iter(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]: ...

    def close(self) -> None: ...


class Segment:
    """Frames start..stop-1 of `footage`, counted and timed from the first of them. Attributes as `Footage` has them.

    `seconds`: how long it is shown, which is as much as belongs to it of the footage's sound.
    """

    def __init__(self, footage: WholeFootage, start: int, stop: int) -> None:
        """Raises IndexError where start..stop-1 is empty or not in the footage."""
        if not 0 <= start < stop <= footage.count:
            raise IndexError(f"There are {footage.count} frames, and no segment {start} to {stop - 1}.")
        self.width, self.height = footage.width, footage.height
        self.rate = footage.rate
        self.pixel_aspect = footage.pixel_aspect
        self.colour_space = footage.colour_space
        self.fields = footage.fields
        self.count = stop - start
        self.times = footage.times[start:stop] - footage.times[start]
        self.start_s = footage.start_s + float(footage.times[start])
        usual = footage.rate.den / footage.rate.num
        self.seconds = float(self.times[-1]) + (
            usual if stop == footage.count else float(footage.times[stop] - footage.times[stop - 1])
        )
        self.timecode = later(footage.timecode, start, footage.rate.fps) if footage.timecode else None
        self.first_frame = None if footage.first_frame is None else footage.first_frame + start
        self._footage = footage
        self._start = start

    @property
    def variable_rate(self) -> bool:
        return self._footage.variable_rate

    @property
    def plate(self) -> PlateSource:
        """What a shot stores of it: a video's frames are counted from `start`, a sequence's by their numbers."""
        whole = self._footage.plate
        return replace(whole, start=whole.start + self._start) if whole.kind == "video" else whole

    def frame(self, index: int) -> np.ndarray:
        """As `Footage.frame`. Raises IndexError outside 0..count-1."""
        if not 0 <= index < self.count:
            raise IndexError(f"The segment has frames 0 to {self.count - 1}, not {index}.")
        return self._footage.frame(self._start + index)

    def iter(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """As `Footage.iter`."""
        stop = self.count if stop is None else min(stop, self.count)
        return self._footage.iter(self._start + start, self._start + stop)

    def segment(self, start: int, stop: int) -> Segment:
        """Frames start..stop-1 of this segment."""
        if stop > self.count:
            raise IndexError(f"The segment has {self.count} frames, not {stop}.")
        return Segment(self._footage, self._start + start, self._start + stop)

    def __iter__(self) -> Iterator[np.ndarray]:
        return self.iter()

    def __len__(self) -> int:
        return self.count

    def close(self) -> None:
        """Let go of the file. It is opened again when the next frame is asked for."""
        self._footage.close()

    def __enter__(self) -> Segment:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
