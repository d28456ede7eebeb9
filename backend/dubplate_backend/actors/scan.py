# SPDX-License-Identifier: Apache-2.0
"""Whether any file still holds a piece of an actor, whatever its name and whatever it is packed into uncompressed.

A fingerprint is a run of bytes out of the middle of a weight file or a picture: too long to occur by chance.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dubplate_backend.renderers.neural_texture.weights import TEXTURE_FILE
from dubplate_shared.progress import Progress, ProgressCallback, silent

FINGERPRINT_BYTES = 64
LEAST_DISTINCT = 24  # bytes of a fingerprint that differ: runs of zeros and text are no fingerprints
LEAST_FILE_BYTES = 4096
PLACES = (0.5, 0.25, 0.75)  # of the file; the texture gives one from each, other files the first that will do
TRIES = 64  # next to a place, in steps of a fingerprint
PRIOR_SUFFIX = ".dubprior"  # holds nobody: weights that adaptation left as they were are in every actor


def fingerprints(files: Iterable[Path]) -> tuple[bytes, ...]:
    """Runs of bytes that tell these files, as far as they are no text."""
    found: set[bytes] = set()
    for file in files:
        if not file.is_file() or file.stat().st_size < LEAST_FILE_BYTES:
            continue
        with open(file, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            runs = [run for place in PLACES if (run := _run(data, int(place * len(data))))]
        found.update(runs if file.name == TEXTURE_FILE else runs[:1])
    return tuple(sorted(found))


def find_copies(
    folders: Sequence[Path], prints: Sequence[bytes], progress: ProgressCallback = silent
) -> tuple[Path, ...]:
    """The files beneath `folders` that hold one of the fingerprints."""
    files = sorted({file for folder in folders for file in _files(folder)})
    total = sum(file.stat().st_size for file in files)
    found, done = [], 0
    for file in files:
        progress(Progress(done, total, "looking for copies"))
        done += file.stat().st_size
        if _holds(file, prints):
            found.append(file)
    progress(Progress(total, total, "looking for copies"))
    return tuple(found)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.resolve().rglob("*"):
        in_prior = any(part.endswith(PRIOR_SUFFIX) for part in path.parts)
        if path.is_file() and not path.is_symlink() and not in_prior and path.stat().st_size >= FINGERPRINT_BYTES:
            yield path


def _holds(file: Path, prints: Sequence[bytes]) -> bool:
    with open(file, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return any(data.find(run) >= 0 for run in prints)


def _run(data: mmap.mmap, start: int) -> bytes:
    """The first run from `start` on that is varied enough, empty where there is none."""
    for step in range(TRIES):
        run = data[start + step * FINGERPRINT_BYTES : start + (step + 1) * FINGERPRINT_BYTES]
        if len(run) == FINGERPRINT_BYTES and len(set(run)) >= LEAST_DISTINCT:
            return run
    return b""
