# SPDX-License-Identifier: Apache-2.0
"""Writes small Alembic archives by hand: transforms as Maya and Houdini write them, which Blender never does."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

DATA = 1 << 63
BOOL, UINT8, FLOAT64 = 0, 1, 11
SCALE, MOVE, TURN, MATRIX, TURN_X, TURN_Y, TURN_Z = (kind << 4 for kind in range(7))
ACYCLIC = np.finfo(np.float64).max / 32


@dataclass
class Scalar:
    """samples: one, or one for each time of the time sampling."""

    pod: int
    samples: np.ndarray  # [S, N]
    sampling: int = 0


@dataclass
class Item:
    """An object of the archive."""

    name: str
    schema: str
    compound: str  # ".xform" or ".geom"
    properties: dict[str, Scalar]
    children: list[Item] = field(default_factory=list)


class _File:
    def __init__(self) -> None:
        self.content = bytearray(b"Ogawa\xff\x00\x01" + bytes(8))

    def data(self, raw: bytes) -> int:
        if not raw:
            return DATA
        position = len(self.content)
        self.content += struct.pack("<Q", len(raw)) + raw
        return position | DATA

    def group(self, children: Sequence[int]) -> int:
        if not children:
            return 0
        position = len(self.content)
        self.content += struct.pack(f"<{len(children) + 1}Q", len(children), *children)
        return position

    def scalar(self, name: str, prop: Scalar) -> tuple[int, bytes]:
        """Its group, and its header."""
        dtype = {BOOL: "?", UINT8: "u1", FLOAT64: "<f8"}[prop.pod]
        count, extent = prop.samples.shape
        same = bool((prop.samples == prop.samples[0]).all())
        stored = prop.samples[:1] if same else prop.samples
        group = self.group([self.data(bytes(16) + row.astype(dtype).tobytes()) for row in stored])
        info = 1 | prop.pod << 4 | 0x400 | extent << 12 | (0x100 if prop.sampling else 0) | (0x800 if same else 0)
        numbers = [count, *([prop.sampling] if prop.sampling else []), len(name)]
        return group, struct.pack(f"<I{len(numbers)}B", info, *numbers) + name.encode()

    def compound(self, name: str, schema: str, properties: dict[str, Scalar]) -> tuple[int, bytes]:
        made = [self.scalar(*item) for item in properties.items()]
        group = self.group([*(one for one, _ in made), self.data(b"".join(header for _, header in made))])
        metadata = f"schema={schema}".encode()
        header = struct.pack("<IB", 0xFF << 20, len(name)) + name.encode() + struct.pack("<B", len(metadata)) + metadata
        return group, header

    def item(self, item: Item) -> int:
        group, header = self.compound(item.compound, item.schema, item.properties)
        return self.group([self.group([group, self.data(header)]), *self.children(item.children)])

    def children(self, items: list[Item]) -> list[int]:
        groups = [self.item(item) for item in items]
        headers = b""
        for item in items:
            metadata = f"schema={item.schema};schemaObjTitle={item.schema}:{item.compound}".encode()
            headers += struct.pack("<I", len(item.name)) + item.name.encode() + b"\xff"
            headers += struct.pack("<I", len(metadata)) + metadata
        return [*groups, self.data(headers + bytes(32))]


def write_archive(path: Path, items: list[Item], samplings: Sequence[tuple[float, Sequence[float]]]) -> Path:
    """samplings: (seconds after which they repeat, times); the first that a `sampling` of 1 means."""
    file = _File()
    top = file.group([file.group([file.data(b"")]), *file.children(items)])
    times = b"".join(
        struct.pack(f"<IdI{len(at)}d", 100, cycle, len(at), *at) for cycle, at in ((1.0, (0.0,)), *samplings)
    )
    versions = [file.data(struct.pack("<i", number)) for number in (0, 10803)]
    root = file.group([*versions, top, file.data(b"_ai_Application=hand"), file.data(times), file.data(b"")])
    file.content[8:16] = struct.pack("<Q", root)
    path.write_bytes(file.content)
    return path


def xform(name: str, ops: Sequence[int], values: np.ndarray, sampling: int = 1, inherits: bool = True) -> Item:
    """values: [S, N]."""
    properties = {
        ".inherits": Scalar(BOOL, np.array([[inherits]])),
        ".ops": Scalar(UINT8, np.array([ops])),
        ".vals": Scalar(FLOAT64, np.asarray(values, np.float64), sampling),
        "isNotConstantIdentity": Scalar(BOOL, np.array([[True]])),
    }
    return Item(name, "AbcGeom_Xform_v3", ".xform", properties)


def camera(name: str, core: np.ndarray, sampling: int = 0) -> Item:
    """core: [S, 16]."""
    return Item(name, "AbcGeom_Camera_v1", ".geom", {".core": Scalar(FLOAT64, np.asarray(core, np.float64), sampling)})
