# SPDX-License-Identifier: Apache-2.0
"""Dictionaries of arrays in the containers that other tools write, none of which may run anything."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dubplate_backend.head.pickle_machine import interpret
from dubplate_backend.head.torch_files import read_torch_file
from dubplate_backend.head.unpickle import plain_values, read_limited, read_pickled_npy, told_plainly
from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import load_npz
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check

MAX_FRAME_BYTES = 64 << 20
"""Of one file of codes: a metrical-tracker frame is 6 kB; DECA's dictionaries hold pictures and meshes."""

_MAX_DIGITS = 9  # of a frame number

WHAT = "a file of tracked codes"


def read_arrays(path: Path) -> dict[str, Any]:
    """The arrays, numbers and texts of one file by name, dictionaries in it as dictionaries.

    .npz, .npy (a dictionary), .frame .pt .pth (torch.save), .pkl.
    Raises InvalidInput where it is none of these, broken or larger than `MAX_FRAME_BYTES`; UnsafePickle.
    """
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return read_npz(path)
    if suffix == ".npy":
        return read_pickled_npy(path, WHAT, MAX_FRAME_BYTES)
    if suffix in (".frame", ".pt", ".pth"):
        return read_torch_file(path, WHAT, MAX_FRAME_BYTES)
    if suffix == ".pkl":
        with told_plainly(path, WHAT):
            return plain_values(
                interpret(read_limited(path, WHAT, MAX_FRAME_BYTES))[0], nested=True, limit=MAX_FRAME_BYTES
            )
    if suffix == ".mat":
        raise InvalidInput(
            f"{path.name}: DECA writes its meshes as .mat, and not its codes.",
            hint="Save what its encoder returns (codedict) instead, for instance with numpy.savez.",
        )
    raise InvalidInput(
        f"{path.name} is of a kind that holds no tracked codes.",
        hint="Give .npz, .npy, .frame, .pt or .pkl files.",
    )


def read_npz(path: Path, limit: int = MAX_FRAME_BYTES) -> dict[str, np.ndarray]:
    """The arrays of an .npz that unfolds to no more than `limit` bytes.   Raises InvalidInput."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except FileNotFoundError as error:
        raise InvalidInput(f"{path} does not exist.", hint="Check the path.") from error
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InvalidInput(f"{path.name} cannot be read as {WHAT}: {error}.", hint="Write the file again.") from error
    if size > limit:
        raise InvalidInput(
            f"{path.name} unfolds to more than {limit >> 20} MB, which {WHAT} never does.", hint="Is it the right file?"
        )
    return load_npz(path)


def read_npy(path: Path) -> np.ndarray:
    """One array of numbers.   Raises InvalidInput where the file holds none."""
    content = read_limited(path, WHAT, MAX_FRAME_BYTES)
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, MemoryError, OSError) as error:
        raise InvalidInput(f"{path.name} cannot be read: {error}.", hint="Write the file again.") from error
    if not isinstance(array, np.ndarray):
        raise InvalidInput(f"{path.name} holds several arrays.", hint="Rename it to .npz.")
    return array


def array_of(content: dict[str, Any], name: str, where: str) -> np.ndarray:
    """A named array of numbers as float64.   Raises InvalidInput where it is none, or not finite."""
    value = content.get(name)
    if not isinstance(value, np.ndarray | int | float) or np.asarray(value).dtype.kind not in "fiub":
        raise InvalidInput(f"{where} lacks {name!r}, or it holds no numbers.", hint="Is this the right tool's file?")
    array = np.asarray(value, np.float64)
    if not np.isfinite(array).all():
        raise InvalidInput(
            f"{where}: {name!r} holds numbers that are not finite.",
            hint="The tracker lost the face there: run it again.",
        )
    return array


def watched(files: list[Path], progress: ProgressCallback, stop: Stop) -> Iterator[Path]:
    """The files one by one, each reported.   Raises Cancelled where asked to stop."""
    for done, path in enumerate(files):
        check(stop)
        progress(Progress(done, len(files), "reading"))
        yield path
    progress(Progress(len(files), len(files), "reading"))


def frame_number(path: Path) -> int:
    """The last number in a file's name, or in its folder's where all are named alike.   Raises InvalidInput."""
    found = re.findall(r"\d+", path.stem) or re.findall(r"\d+", path.parent.name)
    if not found or len(found[-1]) > _MAX_DIGITS:
        raise InvalidInput(f"{path.name} carries no frame number.", hint="Keep the tool's own file names.")
    return int(found[-1])
