# SPDX-License-Identifier: Apache-2.0
"""Dictionaries that `torch.save` wrote, read without running anything and without PyTorch's loader.

Two containers: a zip archive (since PyTorch 1.6) of `NAME/data.pkl` and `NAME/data/KEY`, stored and not compressed; and
the older run of pickles (magic number, version, system, content, keys) followed by the tensors' numbers.  Sources:
torch/serialization.py (`_save`, `_legacy_save`), torch/_utils.py (`_rebuild_tensor_v2`).
"""

import io
import struct
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from dubplate_backend.head.pickle_machine import Refused, interpret
from dubplate_backend.head.pickled_arrays import TORCH_GLOBALS, Storage, Unreadable
from dubplate_backend.head.unpickle import MAX_FILE_BYTES, plain_values, read_limited, told_plainly

_ZIP_MAGIC = b"PK\x03\x04"
_LEGACY_MAGIC, _LEGACY_VERSION = 0x1950A86A20F9469CFC6C, 1001
_MAX_MEMBERS = 10_000


def read_torch_file(path: Path, what: str = "a file of torch.save", limit: int = MAX_FILE_BYTES) -> dict[str, Any]:
    """The dictionary in a file of `torch.save`: arrays (tensors too), texts, numbers and dictionaries of them.

    `what`: what the file should be, for the message.   `limit`: bytes of the file and of its arrays.   Anything else in
    it is left out.
    Raises UnsafePickle where it names anything but arrays, InvalidInput where it is broken or too large.
    """
    content = read_limited(path, what, limit)
    with told_plainly(path, what):
        return plain_values(_loaded(content), nested=True, limit=limit)


def read_torch_array(path: Path, what: str = "an array of torch.save") -> np.ndarray:
    """The one array in a file of `torch.save`.   Raises as read_torch_file."""
    content = read_limited(path, what)
    with told_plainly(path, what):
        array = plain_values({"array": _loaded(content)}).get("array")
        if not isinstance(array, np.ndarray):
            raise Unreadable("it holds no array")
        return array


def _loaded(content: bytes) -> Any:
    return _from_zip(content) if content.startswith(_ZIP_MAGIC) else _from_legacy(content)


def _from_zip(content: bytes) -> Any:
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError, struct.error, NotImplementedError) as error:
        raise Unreadable(f"its archive is broken ({error})") from error
    with archive:
        members = _checked_members(archive, len(content))
        pickles = [name for name in members if PurePosixPath(name).name == "data.pkl"]
        if len(pickles) != 1:
            raise Unreadable("its archive holds no data.pkl, or several")
        root = pickles[0].removesuffix("data.pkl")
        storages: list[Storage] = []
        value, _ = interpret(_member(archive, pickles[0]), names=TORCH_GLOBALS, storages=storages)
        if f"{root}byteorder" in members and _member(archive, f"{root}byteorder") != b"little":
            raise Unreadable("its numbers are big-endian")
        raw: dict[str, bytes] = {}
        for storage in storages:
            name = f"{root}data/{storage.key}"
            if name not in members:
                raise Unreadable("a tensor in it has no numbers")
            if name not in raw:
                raw[name] = _member(archive, name)
            storage.raw = raw[name]
        return value


def _checked_members(archive: zipfile.ZipFile, size: int) -> set[str]:
    """Names of an archive in which nothing unfolds: every member is stored as it is and lies within the file once."""
    members = archive.infolist()
    if len(members) > _MAX_MEMBERS:
        raise Unreadable(f"its archive has more than {_MAX_MEMBERS} members")
    names = {member.filename for member in members}
    if len(names) != len(members):
        raise Refused("has two members of one name")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise Refused("has compressed members, which torch.save never writes")
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
            raise Refused("has a member that points outside the archive")
    if sum(member.file_size for member in members) > size:
        raise Refused("has members that are larger than the file together")
    return names


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError, struct.error) as error:
        raise Unreadable(f"its archive is broken ({error})") from error


def _from_legacy(content: bytes) -> Any:
    magic, position = interpret(content)
    version, position = interpret(content, position)
    if magic != _LEGACY_MAGIC or version != _LEGACY_VERSION:
        raise Unreadable("it was not written by torch.save")
    system, position = interpret(content, position)
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise Unreadable("its numbers are big-endian")
    storages: list[Storage] = []
    value, position = interpret(content, position, names=TORCH_GLOBALS, storages=storages)
    keys, position = interpret(content, position)
    if not isinstance(keys, list):
        raise Unreadable("it lacks the list of its storages")
    sizes = {storage.key: (storage.count, np.dtype(storage.dtype).itemsize) for storage in storages}
    raw: dict[str, bytes] = {}
    for key in keys:
        if not isinstance(key, str) or key not in sizes or position + 8 > len(content):
            raise Unreadable("its list of storages is broken")
        (count,) = struct.unpack_from("<q", content, position)
        expected, itemsize = sizes[key]
        end = position + 8 + count * itemsize
        if count != expected or end > len(content):
            raise Unreadable("it ends in the middle")
        raw[key] = content[position + 8 : end]
        position = end
    for storage in storages:
        if storage.key not in raw:
            raise Unreadable("a tensor in it has no numbers")
        storage.raw = raw[storage.key]
    return value
