# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of frames that were drawn, kept within bounds: by what each was drawn from, so that undo finds them again.

No bpy.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.messages import Stage
from dubplate_shared.tiles import Pixels

Array = npt.NDArray[Any]

FINISHED = (Stage.COMPOSITE, Stage.PLATE)
_FILMED_SHARE = 0.25  # of the limit that is left to what was filmed where room is short


class FrameState(Enum):
    """How a frame stands to its curves of now."""

    UNDRAWN = "undrawn"
    DRAWN = "drawn"
    STALE = "stale"  # drawn from other curves
    FAILED = "failed"


@dataclass
class FramePictures:
    """What was drawn of one frame from one set of curves. error: why nothing could be."""

    frame: int
    digest: bytes
    stages: dict[str, Pixels] = field(default_factory=dict)
    error: str = ""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(pixels.array.nbytes for pixels in self.stages.values())

    @property
    def best(self) -> Pixels | None:
        """The picture nearest to the plate."""
        found = (self.stages.get(stage) for stage in (Stage.PLATE, Stage.COMPOSITE, Stage.CROP))
        return next((pixels for pixels in found if pixels is not None), None)

    @property
    def finished(self) -> bool:
        """Whether it was composited, and not drawn alone."""
        return any(stage in self.stages for stage in FINISHED)


class Cache:
    """limit: bytes; what was looked at longest ago goes first, but never the frame that came last."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: OrderedDict[tuple[int, bytes], FramePictures] = OrderedDict()
        self._filmed: OrderedDict[int, Pixels] = OrderedDict()
        self._newest: dict[int, bytes] = {}  # the digest of each frame's newest pictures
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of all pictures."""
        return self._size

    def add(self, digest: bytes, pixels: Pixels) -> None:
        """Keep a copy: the wire's memory is used again."""
        header, own = pixels.header, Pixels(pixels.header, np.array(pixels.array))
        if header.stage == Stage.FILMED:
            self._size += own.array.nbytes - _bytes(self._filmed.pop(header.frame, None))
            self._filmed[header.frame] = own
        else:
            entry = self._entry(header.frame, digest)
            self._size += own.array.nbytes - _bytes(entry.stages.get(header.stage))
            entry.stages[header.stage], entry.error = own, ""
        self._make_room()

    def fail(self, frame: int, digest: bytes, error: str) -> None:
        """Note that a frame could not be drawn, and why."""
        self._entry(frame, digest).error = error

    def get(self, frame: int, digest: bytes) -> FramePictures | None:
        """What was drawn of a frame from these curves; it counts as looked at."""
        entry = self._kept.get((frame, digest))
        if entry is not None:
            self._kept.move_to_end((frame, digest))
            if entry.stages:
                self._newest[frame] = digest
        return entry

    def newest(self, frame: int) -> FramePictures | None:
        """What was drawn of a frame last, from whatever curves."""
        digest = self._newest.get(frame)
        return None if digest is None else self._kept.get((frame, digest))

    def filmed(self, frame: int) -> Pixels | None:
        """The plate around the face, which no edit changes; it counts as looked at."""
        if frame in self._filmed:
            self._filmed.move_to_end(frame)
        return self._filmed.get(frame)

    def forget_filmed(self) -> None:
        """The face was found elsewhere: what was filmed around it is to be taken anew."""
        self._size -= sum(_bytes(pixels) for pixels in self._filmed.values())
        self._filmed.clear()

    def state(self, frame: int, digest: bytes) -> FrameState:
        """How a frame stands whose curves of now have `digest`."""
        entry = self._kept.get((frame, digest))
        if entry is not None and entry.error:
            return FrameState.FAILED
        if entry is not None and entry.stages:
            return FrameState.DRAWN
        return FrameState.STALE if frame in self._newest else FrameState.UNDRAWN

    @property
    def frames(self) -> set[int]:
        """Those of which something is known."""
        return {frame for frame, _ in self._kept}

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._filmed.clear()
        self._newest.clear()
        self._size = 0

    def _entry(self, frame: int, digest: bytes) -> FramePictures:
        entry = self._kept.setdefault((frame, digest), FramePictures(frame, digest))
        self._kept.move_to_end((frame, digest))
        self._newest[frame] = digest
        return entry

    def _make_room(self) -> None:
        # What was filmed comes again with the next finished picture, and is not to drive out what was drawn.
        filmed = sum(_bytes(pixels) for pixels in self._filmed.values()) if self._size > self.limit else 0
        while self._size > self.limit and filmed > self.limit * _FILMED_SHARE and len(self._filmed) > 1:
            gone = _bytes(self._filmed.popitem(last=False)[1])
            filmed, self._size = filmed - gone, self._size - gone
        while self._size > self.limit and len(self._kept) > 1:
            (frame, digest), entry = self._kept.popitem(last=False)
            self._size -= entry.size
            if self._newest.get(frame) == digest:
                del self._newest[frame]
        while self._size > self.limit and len(self._filmed) > 1:
            self._size -= _bytes(self._filmed.popitem(last=False)[1])


def _bytes(pixels: Pixels | None) -> int:
    return 0 if pixels is None else pixels.array.nbytes
