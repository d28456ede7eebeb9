# SPDX-License-Identifier: Apache-2.0
"""What a track has found so far, kept on disk, so that a killed one goes on where it was with the same bits."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import load_npz, save_npz

Arrays = dict[str, np.ndarray]
SAMPLED = 1 << 20  # bytes at either end of a file that tell it from another


class Checkpoint:
    """Finished pieces, each in a file. Without a folder nothing is kept."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    @classmethod
    def beside(cls, out: Path, *what: object) -> Checkpoint:
        """In `OUT.resume/`, emptied where it was made of anything else than `what`."""
        folder = out.with_name(f"{out.name}.resume")
        key = hashlib.sha256(repr(what).encode()).hexdigest()
        stored = folder / "made_of.txt"
        if not (stored.is_file() and stored.read_text() == key):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            stored.write_text(key)
        return cls(folder)

    def once(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """What `make` gave the first time that it was run to its end."""
        if self._folder is None:
            return make()
        path = self._folder / f"{name}.npz"
        if path.is_file():
            try:
                return load_npz(path)
            except InvalidInput:  # damaged: make it again
                path.unlink()
        arrays = make()
        save_npz(path, arrays)
        return arrays

    def clear(self) -> None:
        """Forget everything: the work is done."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def fingerprint(path: Path) -> str:
    """What tells a file (or the files beside a sequence's pattern) from another: sizes, times and both ends."""
    files = [path] if path.is_file() else sorted(each for each in path.parent.glob("*") if each.is_file())
    digest = hashlib.sha256()
    for file in files:
        state = file.stat()
        digest.update(f"{file.name} {state.st_size} {state.st_mtime_ns}".encode())
    with files[0].open("rb") as stream:
        digest.update(stream.read(SAMPLED))
        stream.seek(max(0, files[0].stat().st_size - SAMPLED))
        digest.update(stream.read(SAMPLED))
    return digest.hexdigest()
