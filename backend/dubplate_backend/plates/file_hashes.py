# SPDX-License-Identifier: Apache-2.0
"""Hashes of files, remembered for as long as the file system says that a file is the same."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from dubplate_shared.files import Stamp, file_stamp, sha256_file

MOST_FILES = 500_000  # about 100 MB: a night's work of a studio
# A file changed within this time before it is looked at may be changed again with the same times: file systems keep
# them in steps, the coarsest in use (FAT, and some network disks) 2 s. Its hash is not remembered.
COARSEST_STEP_S = 2.0


class FileHashes:
    """SHA-256 by path, taken anew when size, time of change or inode differ. Safe from any thread."""

    def __init__(self, most: int = MOST_FILES, clock: Callable[[], float] = time.time) -> None:
        """clock: Unix seconds, as the file system's."""
        self._most = most
        self._clock = clock
        self._lock = Lock()
        self._known: OrderedDict[str, tuple[Stamp, str]] = OrderedDict()
        self.files_read = 0

    def sha256(self, path: Path) -> str:
        """Hex SHA-256 of the file's bytes. Raises OSError."""
        name = os.fspath(path)
        stamp = file_stamp(path)
        with self._lock:
            known = self._known.get(name)
            if known is not None and known[0] == stamp:
                self._known.move_to_end(name)
                return known[1]
            self.files_read += 1
        found = sha256_file(path)
        settled = self._clock() - max(stamp[1], stamp[2]) / 1e9 > COARSEST_STEP_S
        if settled and file_stamp(path) == stamp:
            with self._lock:
                self._known[name] = (stamp, found)
                while len(self._known) > self._most:
                    self._known.popitem(last=False)
        return found
