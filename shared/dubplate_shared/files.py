# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all, and their hashes.

A temporary name beside the target, fsync, rename, fsync of the folder: a rename without fsync loses acknowledged
files on power loss.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import struct
import tempfile
import threading
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.errors import InvalidInput, OutputNotWritable

Array = npt.NDArray[Any]
Stamp = tuple[int, int, int, int]
FileStates = tuple[tuple[str, int, int], ...]

_UNWRITABLE = {
    errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOTDIR, errno.EEXIST,
}  # fmt: skip


# What zipfile, zlib and numpy raise where an archive is damaged: in its directory, its streams or its arrays' headers.
_BROKEN_ARCHIVE = (
    OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, IndexError, RuntimeError, MemoryError,
    SyntaxError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


_UMASK = threading.Lock()  # there is one for all threads, and no call that only reads it


@contextmanager
def _told_plainly(path: Path) -> Iterator[None]:
    """Turn the system's word that `path` cannot be written into OutputNotWritable."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full" if full else (error.strerror or str(error))
        hint = "Free some space there" if full else "Check the folder's permissions"
        raise OutputNotWritable(
            f"Cannot write {path}: {why}.", hint=f"{hint}, or choose another output; what was there is intact."
        ) from error


def fsync_folder(folder: Path) -> None:
    """Make what was renamed or removed in a folder last through power loss."""
    if os.name == "nt":  # Windows cannot open folders for fsync.
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _fsync_file(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _temporary_beside(path: Path) -> Path:
    """A fresh, hidden name in the same folder (so that the rename is atomic), keeping the suffix for libraries
    that look at it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=f".part{path.suffix}", dir=path.parent)
    os.close(handle)
    return Path(name)


def _umask_mode() -> int:
    with _UMASK:
        mask = os.umask(0)
        os.umask(mask)
    return 0o666 & ~mask


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes `path`'s place durably, on failure nothing is left.

    Raises OutputNotWritable where the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        with _told_plainly(path):
            temporary = _temporary_beside(path)
            yield temporary
            _fsync_file(temporary)
            if os.name != "nt":
                os.chmod(temporary, _umask_mode())  # mkstemp makes 0600; a plate is for the whole crew.
            os.replace(temporary, path)
            fsync_folder(path.parent)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path | str, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path` on success; on failure nothing is left and an old `path` is intact.

    Raises OutputNotWritable as atomic_path, InvalidInput where `path` exists and `overwrite` is not set.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise InvalidInput(f"{path} exists already.", hint="Choose another name, or say --overwrite to replace it.")
    temporary: Path | None = None
    try:
        with _told_plainly(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent))
            if os.name != "nt":
                os.chmod(temporary, _umask_mode() | 0o111)
            yield temporary
            for file in sorted(temporary.rglob("*")):
                if file.is_file():
                    _fsync_file(file)
            _swap_folder(temporary, path)
            fsync_folder(path.parent)
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _swap_folder(new: Path, path: Path) -> None:
    """Put `new` at `path`. A folder cannot be replaced in one rename, so an old one steps aside first and comes
    back on failure.
    """
    if not path.exists():
        os.rename(new, path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
    old = aside / path.name
    os.rename(path, old)
    try:
        os.rename(new, path)
    except OSError:
        os.rename(old, path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def sha256_file(path: Path | str) -> str:
    """Hex SHA-256 of a file's bytes, read in flat memory."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def states(files: Iterable[Path]) -> FileStates:
    """Name, size and time of change of those files that are there: another state means other content."""
    found = []
    for file in files:
        with suppress(OSError):
            facts = file.stat()
            found.append((file.name, facts.st_size, facts.st_mtime_ns))
    return tuple(found)


def file_stamp(path: Path | str) -> Stamp:
    """A file's size, times of change and inode: while they stay the same, its content does. Raises OSError."""
    facts = os.stat(path)
    return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino


def sha256_arrays(arrays: Mapping[str, Array]) -> str:
    """Hex SHA-256 over names, dtypes, shapes and bytes, in name order."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def write_json(path: Path | str, content: Mapping[str, Any]) -> None:
    """Write `content` atomically, keys in the order given."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_private_json(path: Path | str, content: Mapping[str, Any]) -> None:
    """Write `content` atomically, for its owner's eyes alone (mode 0600) from its first byte on. Raises OSError."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)  # mkstemp makes 0600
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        fsync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path | str, schema: str) -> dict[str, Any]:
    """Read a JSON object that says `schema: NAME/VERSION`.

    `schema`: what this code reads, such as "dubplate.shot/1".
    Raises InvalidInput where the file is missing, broken, of another schema, or of a newer version.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InvalidInput(f"{path} does not exist.", hint="Check the path.") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InvalidInput(
            f"{path} cannot be read: {error}.", hint="The file is broken: make it again or restore a copy."
        ) from error
    found = content.get("schema") if isinstance(content, dict) else None
    if found == schema:
        return dict(content)
    name, _, version = schema.partition("/")
    found_name, _, found_version = str(found).partition("/")
    if found_name == name and found_version.isdigit() and int(found_version) > int(version):
        raise InvalidInput(
            f"{path} is {found}; this Dubplate reads up to {schema}.", hint="Update Dubplate to open it."
        )
    raise InvalidInput(f"{path} says schema {found!r} where {schema!r} was expected.", hint="Is this the right file?")


def save_npz(path: Path | str, arrays: Mapping[str, Array]) -> None:
    """Write arrays atomically as a compressed .npz; object arrays are refused (nothing of ours is a pickle)."""
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise InvalidInput(f"Array {name!r} holds objects and cannot be stored.", hint="Store numbers only.")
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


def load_npz(path: Path | str) -> dict[str, Array]:
    """Read all arrays of an .npz without ever unpickling. Raises InvalidInput where it is missing or broken."""
    path = Path(path)
    try:
        # Opened here: numpy leaves the file open when it is no archive.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise InvalidInput(f"{path} does not exist.", hint="Check the path; the package may be incomplete.") from error
    except _BROKEN_ARCHIVE as error:
        raise InvalidInput(
            f"{path} cannot be read: {error}.", hint="The file is broken: make it again or restore a copy."
        ) from error
