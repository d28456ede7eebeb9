# SPDX-License-Identifier: Apache-2.0
"""Alembic archives in the Ogawa container: objects, their properties and samples, read without Alembic's library.

Layout as Alembic 1.8 writes it (AbcCoreOgawa, BSD; the numbers are the format's).  Everything is little-endian.  A
group is a count and as many positions, the top bit marking data; data is a length and bytes.  Archives of before
2013 are HDF5 and are refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubplate_backend.head.unpickle import read_limited
from dubplate_shared.errors import InvalidInput

WHAT = "an Alembic camera"
MAX_FILE_BYTES = 1 << 30
MAX_DEPTH = 64
MAX_COUNT = 1 << 22
"""Of children or samples: more than any camera has, and few enough to hold."""
_MAGIC = b"Ogawa\xff"
_HDF5 = b"\x89HDF"
_IS_DATA = 1 << 63
_KEY_BYTES = 16  # a hash before each sample
_HASH_BYTES = 32  # after an object's list of children
_OWN_METADATA = 0xFF
_SIZES = {0: "<B", 1: "<H", 2: "<I"}
_ACYCLIC = np.finfo(np.float64).max / 32  # "time per cycle" of samples at times of their own
_DTYPES = ("?", "u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8")


class Broken(Exception):
    """Completes the sentence 'the file cannot be read: ...'."""


@dataclass(frozen=True)
class TimeSampling:
    """When samples were taken, seconds.   cycle_s: after which `times_s` repeat; None where they are all there are."""

    cycle_s: float | None
    times_s: np.ndarray

    def at(self, index: np.ndarray) -> np.ndarray:
        """Times of samples by index."""
        if self.cycle_s is None:
            return self.times_s[np.minimum(index, len(self.times_s) - 1)]
        cycle, place = np.divmod(index, len(self.times_s))
        return self.times_s[place] + cycle * self.cycle_s


@dataclass(frozen=True)
class Property:
    """One property of an object.   kind: "compound", "scalar" or "array"."""

    archive: Archive
    name: str
    kind: str
    group: int
    dtype: str = ""
    samples: int = 0
    changed: tuple[int, int] = (0, 0)
    sampling: int = 0

    def children(self) -> dict[str, Property]:
        """The properties of a compound one."""
        return self.archive.properties(self.group) if self.kind == "compound" else {}

    def values(self) -> np.ndarray:
        """[S, N] all samples; of an array property too, where they are equally long."""
        first, last = self.changed
        stored = []
        for index in range(1 if last == 0 else last - first + 2):
            children = self.archive.children(self.group)
            place = index if self.kind == "scalar" else 2 * index
            if place >= len(children):
                raise Broken(f"{self.name} lacks a sample")
            raw = self.archive.data(children[place])[_KEY_BYTES:]
            if len(raw) % np.dtype(self.dtype).itemsize:
                raise Broken(f"a sample of {self.name} has a broken length")
            stored.append(np.frombuffer(raw, self.dtype))
        if len({len(sample) for sample in stored}) != 1:
            raise Broken(f"samples of {self.name} differ in length")
        # Samples before `first` are the first one, after `last` the last one: they are stored once.
        place = np.arange(max(self.samples, 1))
        place = np.clip(place - first + 1, 0, len(stored) - 1) if last else np.zeros_like(place)
        return np.stack(stored)[place]

    def times_s(self) -> np.ndarray:
        """[S] when the samples were taken."""
        return self.archive.samplings[self.sampling].at(np.arange(max(self.samples, 1)))


@dataclass(frozen=True)
class Node:
    """An object: its path in the archive, its kind ("AbcGeom_Camera_v1"), its properties and its children."""

    archive: Archive
    path: str
    schema: str
    group: int

    def properties(self) -> dict[str, Property]:
        children = self.archive.children(self.group)
        return self.archive.properties(children[0]) if children and not children[0] & _IS_DATA else {}

    def children(self) -> Iterator[Node]:
        yield from self.archive.nodes(self.group, self.path)


class Archive:
    """An opened archive.   Raises InvalidInput where the file is none."""

    def __init__(self, path: Path) -> None:
        self.content = read_limited(path, WHAT, MAX_FILE_BYTES)
        if self.content.startswith(_HDF5):
            raise InvalidInput(
                f"{path.name} is an Alembic archive of the old HDF5 kind.", hint="Export it again as Ogawa, or as USD."
            )
        if not self.content.startswith(_MAGIC) or len(self.content) < 16:
            raise InvalidInput(
                f"{path.name} is no finished Alembic archive.", hint="Export the camera again, and let it finish."
            )
        top = self.children(self._number("<Q", 8))
        if len(top) < 6:
            raise Broken("its top group is incomplete")
        self.top = top[2]
        self.samplings = list(self._time_samplings(self.data(top[4])))
        self.metadata = ["", *self._indexed_metadata(self.data(top[5]))]

    def root(self) -> Node:
        """The object above all others."""
        return Node(self, "", "", self.top)

    def children(self, position: int) -> list[int]:
        """Positions of a group's children; those of data have the top bit."""
        if position == 0:
            return []
        count = self._number("<Q", position)
        if count > MAX_COUNT or position + 8 + 8 * count > len(self.content):
            raise Broken("a group in it reaches beyond its end")
        return list(struct.unpack_from(f"<{count}Q", self.content, position + 8))

    def data(self, position: int) -> bytes:
        """The bytes of data."""
        if not position & _IS_DATA:
            raise Broken("it has a group where data should be")
        position &= ~_IS_DATA
        if position == 0:
            return b""
        size = self._number("<Q", position)
        if position + 8 + size > len(self.content):
            raise Broken("data in it reaches beyond its end")
        return self.content[position + 8 : position + 8 + size]

    def nodes(self, group: int, above: str) -> Iterator[Node]:
        """An object's children."""
        positions = self.children(group)
        if not positions or not positions[-1] & _IS_DATA:
            return
        reader = _Reader(self.data(positions[-1])[:-_HASH_BYTES])
        place = 1  # the first child of the group holds the properties
        while not reader.ended():
            name = reader.text(reader.number("<I"))
            index = reader.number("<B")
            metadata = reader.text(reader.number("<I")) if index == _OWN_METADATA else self._metadata(index)
            if place >= len(positions) - 1 or positions[place] & _IS_DATA:
                raise Broken("it lists objects that it does not hold")
            yield Node(self, f"{above}/{name}", _field(metadata, "schema"), positions[place])
            place += 1

    def properties(self, group: int) -> dict[str, Property]:
        """A compound's properties by name."""
        positions = self.children(group)
        if not positions or not positions[-1] & _IS_DATA:
            return {}
        reader = _Reader(self.data(positions[-1]))
        found: dict[str, Property] = {}
        for position in positions[:-1]:
            if reader.ended():
                break
            header = self._property(reader, position)
            found[header.name] = header
        return found

    def _property(self, reader: _Reader, position: int) -> Property:
        """Bits of a header: 0-1 kind, 2-3 size of its numbers, 4-7 type, 8 has a time sampling, 9 says which samples
        changed, 11 constant, 12-19 extent, 20-27 metadata."""
        info = reader.number("<I")
        size = _SIZES.get(info >> 2 & 3)
        if size is None:
            raise Broken("a property in it has numbers of unknown size")
        kind = ("compound", "scalar", "array", "array")[info & 3]
        samples, changed, sampling, dtype = 0, (0, 0), 0, ""
        if kind != "compound":
            pod = info >> 4 & 15
            dtype = _DTYPES[pod] if pod < len(_DTYPES) else "u1"
            samples = reader.number(size)
            if samples > MAX_COUNT:
                raise Broken("a property in it has too many samples")
            if info & 0x200:
                changed = (reader.number(size), reader.number(size))
            elif not info & 0x800:
                changed = (1, max(samples - 1, 0))
            if info & 0x100:
                sampling = reader.number(size)
            if sampling >= len(self.samplings) or changed[0] > changed[1] + 1 or changed[1] >= max(samples, 1):
                raise Broken("a property in it has broken sample numbers")
        name = reader.text(reader.number(size))
        if info >> 20 & 0xFF == _OWN_METADATA:
            reader.text(reader.number(size))
        return Property(self, name, kind, position, dtype, samples, changed, sampling)

    def _metadata(self, index: int) -> str:
        if index >= len(self.metadata):
            raise Broken("it refers to metadata that it does not hold")
        return self.metadata[index]

    def _number(self, layout: str, position: int) -> int:
        if position + struct.calcsize(layout) > len(self.content):
            raise Broken("it ends in the middle")
        return struct.unpack_from(layout, self.content, position)[0]

    @staticmethod
    def _time_samplings(raw: bytes) -> Iterator[TimeSampling]:
        reader = _Reader(raw)
        while not reader.ended():
            reader.number("<I")  # the most samples that any property has of it
            cycle = reader.number("<d")
            count = reader.number("<I")
            times = np.array([reader.number("<d") for _ in range(count)])
            if not count > 0 or not np.isfinite(times).all() or not cycle > 0:
                raise Broken("its times are broken")
            yield TimeSampling(None if cycle >= _ACYCLIC else cycle, times)

    @staticmethod
    def _indexed_metadata(raw: bytes) -> Iterator[str]:
        reader = _Reader(raw)
        while not reader.ended():
            yield reader.text(reader.number("<B"))


class _Reader:
    """Numbers and texts one after the other."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.place = 0

    def ended(self) -> bool:
        return self.place >= len(self.raw)

    def number(self, layout: str) -> int:
        size = struct.calcsize(layout)
        if self.place + size > len(self.raw):
            raise Broken("a list in it ends in the middle")
        self.place += size
        return struct.unpack_from(layout, self.raw, self.place - size)[0]

    def text(self, size: int) -> str:
        if self.place + size > len(self.raw):
            raise Broken("a name in it ends in the middle")
        self.place += size
        return self.raw[self.place - size : self.place].decode("utf-8", "replace")


def _field(metadata: str, name: str) -> str:
    """One of `name=value;name=value`."""
    return next((part.partition("=")[2] for part in metadata.split(";") if part.startswith(f"{name}=")), "")
