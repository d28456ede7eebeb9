# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of previews as they come in: put together, counted for credit, older ones passed over. No bpy."""

from __future__ import annotations

from dubplate_shared.errors import InvalidInput
from dubplate_shared.messages import BulkOpened, Message, Picture, PictureTile, PreviewOver
from dubplate_shared.ring import Ring
from dubplate_shared.tiles import Assembly, Pixels

RING_BYTES = 96 * 1024 * 1024  # shared with a backend on this machine: three pictures of some 5 megapixels


class Pictures:
    """One stream from a backend. Generations that come out never go backwards."""

    def __init__(self, opened: BulkOpened) -> None:
        """Raises InvalidInput where the backend's memory is not this machine's."""
        ring = Ring.attach(opened.ring, opened.ring_bytes) if opened.ring else None
        self.through_memory = ring is not None
        self._assembly = Assembly(ring)
        self._granted = opened.credit
        self._newest = 0

    def take(self, message: Message) -> Pixels | PreviewOver | None:
        """What a message completes, if anything. Raises ProtocolError, InvalidInput for one that does not fit."""
        if isinstance(message, Picture):
            self._assembly.begin(message)
        elif isinstance(message, PictureTile):
            pixels = self._assembly.add(message)
            if pixels is not None and pixels.header.generation >= self._newest:
                self._newest = pixels.header.generation
                return pixels
        elif isinstance(message, PreviewOver):
            return message
        return None

    def owed(self) -> int:
        """Credit to return now, 0 where it is too little to say and more is to come."""
        return self._assembly.credit_due(self._granted)

    def close(self) -> None:
        """Let go of shared memory."""
        self._assembly.close()


def open_pictures(opened: BulkOpened) -> Pictures | None:
    """Take what the backend has opened; None where its memory cannot be reached from here."""
    try:
        return Pictures(opened)
    except InvalidInput:
        return None
