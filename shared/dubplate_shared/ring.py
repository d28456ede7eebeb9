# SPDX-License-Identifier: Apache-2.0
"""A ring of bytes that two processes of one machine share: pictures pass through it without a socket.

It is a file in memory where the system has such a folder, mapped by both sides, readable by its owner alone.  It holds
bytes and nothing else: where a tile lies, and when its place is free again, is said over the wire.
"""

from __future__ import annotations

import mmap
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dubplate_shared.errors import InvalidInput, OutputNotWritable

MEMORY_FOLDER = Path("/dev/shm")  # Linux; elsewhere the temporary folder, whose pages stay in memory for as long
PREFIX = "dubplate-ring-"
SUFFIX = ".bytes"

Bytes = npt.NDArray[np.uint8]


class Ring:
    """Made by `create`, reached by `attach`.  path: of its file.  size: bytes.

    The writer keeps no more than `size` bytes unreturned, in order, so what it writes over has been read.
    """

    def __init__(self, path: Path, memory: mmap.mmap) -> None:
        self.path = path
        self.size = len(memory)
        self._memory = memory
        self._bytes: Bytes = np.frombuffer(memory, np.uint8)
        self._next = 0

    @classmethod
    def create(cls, size: int, folder: Path | None = None) -> Ring:
        """A new ring of zeros, its pages taken, so that the memory is there later. Raises OutputNotWritable."""
        folder = folder or (MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else Path(tempfile.gettempdir()))
        path = folder / f"{PREFIX}{os.getpid()}-{secrets.token_hex(8)}{SUFFIX}"
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise _no_room(folder, size, error) from error
        try:
            if hasattr(os, "posix_fallocate"):  # else a full memory folder kills the process at the first write
                os.posix_fallocate(handle, 0, size)
            else:
                os.ftruncate(handle, size)
            return cls(path, _mapped(handle, size))
        except OSError as error:
            path.unlink(missing_ok=True)
            raise _no_room(folder, size, error) from error
        finally:
            os.close(handle)

    @classmethod
    def attach(cls, path: Path | str, size: int) -> Ring:
        """The other side's ring; its name goes, so that nothing stays when both sides end in whatever way.

        Raises InvalidInput where there is no such ring here, as on another machine.
        """
        path = Path(path)
        if not (path.name.startswith(PREFIX) and path.name.endswith(SUFFIX)):
            raise InvalidInput(f"{path.name[:80]!r} is no ring.", hint="Tiles come over the socket then.")
        try:
            with open(path, "r+b") as file:
                memory = _mapped(file.fileno(), size)
            with suppress(OSError):  # Windows keeps a mapped file's name
                path.unlink()
            return cls(path, memory)
        except (OSError, ValueError) as error:
            raise InvalidInput(
                f"The ring {path} cannot be reached: {error}.", hint="Tiles come over the socket then."
            ) from error

    def cost(self, size: int) -> int:
        """What the next `size` bytes take of the ring: a tile does not wrap, so the end may stay unused."""
        left = self.size - self._next
        return size if size <= left else size + left

    def write(self, tile: Bytes) -> int:
        """Copy a tile in; where it lies. The caller has made sure that `cost` bytes are free."""
        at = self._next if len(tile) <= self.size - self._next else 0
        self._bytes[at : at + len(tile)] = tile
        self._next = (at + len(tile)) % self.size
        return at

    def read(self, at: int, size: int) -> Bytes:
        """A view of a tile. Raises InvalidInput outside the ring."""
        if at < 0 or size < 0 or at + size > self.size:
            raise InvalidInput(f"{size} bytes at {at} lie outside the ring.", hint="Update both sides.")
        return self._bytes[at : at + size]

    def lend(self, at: int, size: int) -> Bytes:
        """As `read`, but an array of its own: once it and all views of it are gone, nobody reads there any more."""
        self.read(at, size)
        return np.frombuffer(self._memory, np.uint8, size, at)

    def close(self) -> None:
        """Let go of the memory; it stays for as long as somebody holds a view of it."""
        self._bytes = np.empty(0, np.uint8)
        with suppress(BufferError):
            self._memory.close()
        self.path.unlink(missing_ok=True)


def _mapped(handle: int, size: int) -> mmap.mmap:
    """All pages at once: a fault for every 4 KiB would take as long as copying them."""
    populate = getattr(mmap, "MAP_POPULATE", 0)
    return mmap.mmap(handle, size, mmap.MAP_SHARED | populate) if populate else mmap.mmap(handle, size)


def _no_room(folder: Path, size: int, error: OSError) -> OutputNotWritable:
    return OutputNotWritable(
        f"{folder} has no room for a ring of {size} bytes: {error.strerror}.", hint="Tiles come over the socket then."
    )
