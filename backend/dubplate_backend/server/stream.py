# SPDX-License-Identifier: Apache-2.0
"""What goes to one client over the bulk socket: pictures in tiles, no more at a time than it has given credit for."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.messages import Message, Outcome, Picture, PictureTile, PreviewOver
from dubplate_shared.ring import Ring
from dubplate_shared.tiles import TILE_BYTES, tiles_of

Array = npt.NDArray[Any]
RING_PICTURES = 3  # that a ring holds at least if they are to lie in it whole: shown, come, and on its way
MOST_WAITING = 1024  # pictures and endings that nobody takes
Send = Callable[[Message], bool]  # False where the client takes nothing more just now


@dataclass
class _Outgoing:
    """A picture that goes out: its header until that is sent, then tile by tile."""

    header: Picture
    tiles: Iterator[tuple[int, npt.NDArray[np.uint8]]]
    begun: bool = False
    next: tuple[int, npt.NDArray[np.uint8]] | None = None


class Stream:
    """One thread at a time. Pictures of an older generation that did not go out yet make way for newer ones."""

    def __init__(self, credit: int, ring: Ring | None = None) -> None:
        """credit: bytes that may be on their way to the client; with a ring, its size."""
        self.ring = ring
        self._granted = ring.size if ring is not None else credit
        self._credit = self._granted
        self._waiting: deque[_Outgoing | PreviewOver] = deque()
        self._unsent: Message | None = None
        self._numbers = 0

    @property
    def granted(self) -> int:
        """Bytes that may be on their way at once."""
        return self._granted

    @property
    def idle(self) -> bool:
        """Whether nothing waits to go out."""
        return self._unsent is None and not self._waiting

    @property
    def overfull(self) -> bool:
        """Whether so much waits that nobody can be there to take it."""
        return len(self._waiting) > MOST_WAITING

    def put(self, header: Picture, array: Array) -> None:
        """Add a picture; its number is given here. array: not to be changed any more."""
        self._make_way(header.generation)
        self._numbers += 1
        numbered = dataclasses.replace(
            header, number=self._numbers, dtype=array.dtype.name, shape=tuple(int(size) for size in array.shape)
        )
        self._waiting.append(_Outgoing(numbered, tiles_of(np.ascontiguousarray(array), self._tile_bytes(array))))

    def end(self, over: PreviewOver) -> None:
        """Tell how a preview ended, once its pictures have gone out."""
        self._waiting.append(over)

    def give(self, credit: int) -> None:
        """The client has taken so many bytes in."""
        self._credit = min(self._granted, self._credit + credit)

    def pump(self, send: Send) -> bool:
        """Send what credit allows. False where the client takes nothing more just now, though it has credit."""
        while self._unsent is not None or self._waiting:
            message = self._unsent or self._next()
            if message is None:
                return True
            self._unsent = message
            if not send(message):
                return False
            self._unsent = None
        return True

    def close(self) -> None:
        """Let go of everything."""
        self._waiting.clear()
        if self.ring is not None:
            self.ring.close()

    def _tile_bytes(self, array: Array) -> int:
        """A picture goes whole where the ring holds it beside the last one and the next."""
        if self.ring is not None and array.nbytes <= self.ring.size // RING_PICTURES:
            return int(array.nbytes)
        return min(TILE_BYTES, self._granted // 2) if self.ring is not None else min(TILE_BYTES, self._granted)

    def _next(self) -> Message | None:
        """The next message, taken from the queue; None where there is no credit for it."""
        first = self._waiting[0]
        if isinstance(first, PreviewOver):
            self._waiting.popleft()
            return first
        if not first.begun:
            first.begun, first.next = True, next(first.tiles)
            return first.header
        assert first.next is not None
        offset, data = first.next
        cost = data.size if self.ring is None else self.ring.cost(data.size)
        if cost > self._credit:
            return None
        self._credit -= cost
        first.next = next(first.tiles, None)
        if first.next is None:
            self._waiting.popleft()
        if self.ring is None:
            return PictureTile(first.header.number, offset, data.size, cost, data=data)
        return PictureTile(first.header.number, offset, data.size, cost, at=self.ring.write(data))

    def _make_way(self, generation: int) -> None:
        """Drop older generations' pictures; an end that they were to be followed by tells that they were superseded."""
        dropped = {
            item.header.generation
            for item in self._waiting
            if isinstance(item, _Outgoing) and item.header.generation < generation
        }
        kept: deque[_Outgoing | PreviewOver] = deque()
        for item in self._waiting:
            if isinstance(item, PreviewOver):
                known = item.generation not in dropped
                kept.append(item if known else PreviewOver(item.generation, Outcome.SUPERSEDED))
            elif item.header.generation not in dropped:
                kept.append(item)
        self._waiting = kept
