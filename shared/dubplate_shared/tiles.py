# SPDX-License-Identifier: Apache-2.0
"""Pictures on their way in tiles: cut by one side, put together by the other in buffers that are there already.

Fresh memory for every picture costs a page fault every 4 KiB, which takes three quarters of the speed of large ones.
"""

from __future__ import annotations

import math
import sys
import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.preview_messages import Picture, PictureTile
from dubplate_shared.protocol import DTYPES, MAX_DIMENSIONS, ProtocolError
from dubplate_shared.ring import Ring

TILE_BYTES = 4 * 1024 * 1024  # measured: smaller ones cost messages, larger ones leave the caches
# Credit goes back once so much of it, one part in, has been taken in. Each return costs the backend as much as a tile.
RETURNED_SHARE = 2
RETURNED_SHARE_OF_RING = 4  # it also holds what is shown
MAX_PICTURE_BYTES = 512 * 1024 * 1024  # 8K RGBA of half floats twice over

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Pixels:
    """A whole picture. array: read-only, in memory that is not used again as long as anybody holds the array.

    Copy what is to be kept: shared memory is used in order, so a picture that is held holds up those some way after it.
    """

    header: Picture
    array: Array


def tiles_of(array: Array, size: int = TILE_BYTES) -> Iterator[tuple[int, Bytes]]:
    """Offset and bytes of each tile: views of `array`, which must be contiguous.  size: bytes of each but the last."""
    data = array.reshape(-1).view(np.uint8)
    for offset in range(0, data.size, size):
        yield offset, data[offset : offset + size]


class Assembly:
    """Puts pictures together from what comes, one at a time; one that a newer one interrupts is let go.

    A picture that lies in shared memory whole stays where it is; its credit goes back once nobody holds it any more.
    """

    def __init__(self, ring: Ring | None = None) -> None:
        self._ring = ring
        self._costs: deque[tuple[int, weakref.ref[Bytes] | None]] = deque()  # in order, with what is still held
        self._taken = 0  # and not told yet
        self._buffers = _Buffers()
        self._header: Picture | None = None
        self._target: Bytes = np.empty(0, np.uint8)
        self._target_size = 0
        self._filled = 0

    def begin(self, header: Picture) -> None:
        """Take the picture's memory. Raises ProtocolError for a shape or type beyond the limits."""
        self._header, self._filled = None, 0
        sizes, kind = header.shape, header.dtype
        if kind not in DTYPES or not 1 <= len(sizes) <= MAX_DIMENSIONS or any(size < 1 for size in sizes):
            raise ProtocolError(f"A picture of {len(sizes)} dimensions and {kind[:20]!r} is none.")
        size = math.prod(sizes) * np.dtype(kind).itemsize
        if size > MAX_PICTURE_BYTES:
            raise ProtocolError(f"A picture of {size} bytes came; it may have {MAX_PICTURE_BYTES}.")
        self._target = np.empty(0, np.uint8)  # an interrupted one's memory is free again
        self._target_size = size
        self._header = header

    def add(self, tile: PictureTile) -> Pixels | None:
        """Copy a tile in; the picture once it is whole. Tiles of a picture let go are passed over.

        Raises ProtocolError for a tile that is not the picture's next, InvalidInput for one outside the ring.
        """
        header = self._header
        if header is not None and self._lies_whole(tile, header):
            assert self._ring is not None
            lent = self._ring.lend(tile.at, tile.size)
            self._costs.append((tile.cost, weakref.ref(lent)))
            self._header = None
            return _pixels(header, lent)
        self._costs.append((tile.cost, None))
        if header is None or tile.number != header.number:
            return None
        end = self._filled + tile.size
        if tile.offset == 0:
            self._target = self._buffers.take(self._target_size)
        if tile.offset != self._filled or tile.size < 1 or end > self._target_size:
            self._header = None
            raise ProtocolError(f"A tile of {tile.size} bytes at {tile.offset} does not go on at {self._filled}.")
        self._target[self._filled : end] = self._bytes(tile)
        self._filled = end
        if end < self._target_size:
            return None
        self._header = None
        return _pixels(header, self._target)

    def credit(self) -> int:
        """What has been taken in since the last call, in order."""
        total = 0
        while self._costs and (self._costs[0][1] is None or self._costs[0][1]() is None):
            total += self._costs.popleft()[0]
        return total

    def credit_due(self, granted: int) -> int:
        """Credit to give back now, 0 where it is too little to say and more is to come.  granted: by the backend."""
        self._taken += self.credit()
        share = RETURNED_SHARE if self._ring is None else RETURNED_SHARE_OF_RING
        if self._taken * share < granted and (self._costs or self._ring is None):
            return 0
        due, self._taken = self._taken, 0
        return due

    def close(self) -> None:
        """Let go of the ring."""
        if self._ring is not None:
            self._ring.close()

    def _lies_whole(self, tile: PictureTile, header: Picture) -> bool:
        """Whether a tile is all of the picture, in shared memory."""
        whole = tile.offset == 0 and tile.size == self._target_size
        return self._ring is not None and tile.data is None and tile.number == header.number and whole

    def _bytes(self, tile: PictureTile) -> Bytes:
        if tile.data is None:
            if self._ring is None:
                raise ProtocolError("A tile without bytes came, and there is no ring.")
            return self._ring.read(tile.at, tile.size)
        if tile.data.dtype != np.uint8 or tile.data.size != tile.size:
            raise ProtocolError(f"A tile of {tile.data.size} bytes says that it has {tile.size}.")
        return tile.data.reshape(-1)


def _pixels(header: Picture, data: Bytes) -> Pixels:
    array = data.view(header.dtype).reshape(header.shape)
    array.flags.writeable = False
    return Pixels(header, array)


class _Buffers:
    """A few buffers, used again once nobody holds what was made of them."""

    MOST = 4

    def __init__(self) -> None:
        self._kept: list[Bytes] = []

    def take(self, size: int) -> Bytes:
        for at in range(len(self._kept)):
            # Views keep the buffer itself alive: two references are the list's and the call's.
            if self._kept[at].size == size and sys.getrefcount(self._kept[at]) <= 2:
                return self._kept[at]
        fresh = np.empty(size, np.uint8)
        self._kept = [*self._kept[-(self.MOST - 1) :], fresh]
        return fresh
