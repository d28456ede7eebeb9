# SPDX-License-Identifier: Apache-2.0
"""manifest.json beside the plates: what each frame was made from, and the hash of its file.

It survives re-renders of a part of the range.  Each EXR carries its own input hash and pixel hash as well, so a render
that was killed before it could write the manifest still resumes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from dubplate_backend.plates.exr import read_attributes, read_exr
from dubplate_backend.plates.file_hashes import FileHashes
from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import read_json, sha256_file, write_json

SCHEMA = "dubplate.plates/1"
INPUT_HASH = "dubplate:inputHash"
NAME = "manifest.json"
_FRAME = re.compile(r"\.(-?\d+)\.exr$")


class FrameStatus(StrEnum):
    DRAWN = "drawn"
    PASSTHROUGH = "passthrough"  # no face there: the plate as it was


@dataclass(frozen=True)
class FrameRecord:
    """One plate.  file: its name beside the manifest.  sha256: of the file.  input_hash: of all it was made from."""

    file: str
    sha256: str
    input_hash: str
    status: FrameStatus
    take: str = ""


@dataclass(frozen=True)
class Manifest:
    """facts: what holds for the latest render (shot, take, actor, tool, settings).  frames: by frame number."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    frames: Mapping[int, FrameRecord] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """The manifest in that folder, or an empty one. Raises InvalidInput where it is broken or newer."""
        path = folder / NAME
        if not path.exists():
            return cls()
        content = read_json(path, SCHEMA)
        try:
            frames = {int(frame): _record(entry) for frame, entry in content.pop("frames").items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(
                f"{path} is incomplete: {error!r}.", hint="Delete it: the plates beside it carry their own hashes."
            ) from error
        return cls({key: value for key, value in content.items() if key != "schema"}, frames)

    def merged(self, facts: Mapping[str, Any], frames: Mapping[int, FrameRecord]) -> Manifest:
        """With newer facts, and newer frames in the place of older ones."""
        return Manifest({**self.facts, **facts}, {**self.frames, **frames})

    def completed(self, folder: Path) -> Manifest:
        """With the plates in the folder that it does not know: other chunks of the same render finish beside this one,
        and a manifest written between their reading and their writing is lost.
        """
        known = {record.file for record in self.frames.values()}
        found: dict[int, FrameRecord] = {}
        for path in sorted(folder.glob("*.exr")):
            number = _FRAME.search(path.name)
            record = _record_of_file(path, None) if number and path.name not in known else None
            if number and record is not None:
                found[int(number[1])] = record
        return self.merged({}, {**found, **self.frames})

    def save(self, folder: Path) -> None:
        """Write it atomically, frames in order, without those whose file is gone. Raises OutputNotWritable."""
        kept = {frame: record for frame, record in sorted(self.frames.items()) if (folder / record.file).exists()}
        frames = {str(frame): asdict(record) for frame, record in kept.items()}
        write_json(folder / NAME, {"schema": SCHEMA, **self.facts, "frames": frames})

    def valid(
        self, folder: Path, frame: int, input_hash: str, file: str, hashes: FileHashes | None = None
    ) -> FrameRecord | None:
        """The record of a plate that stands whole on disk and was made from just these inputs, or None.

        By the manifest's file hash where it knows the frame, else by the hashes that the file carries.
        hashes: those known already.
        """
        path = folder / file
        if not path.exists():
            return None
        record = self.frames.get(frame)
        if record is not None and record.input_hash == input_hash and record.file == file:
            return record if (hashes or FileHashes()).sha256(path) == record.sha256 else None
        return _record_of_file(path, input_hash)


def _record_of_file(path: Path, input_hash: str | None) -> FrameRecord | None:
    """What an EXR of ours says of itself, if it is whole and made from these inputs (from any, where None)."""
    try:
        made_from = read_attributes(path).get(INPUT_HASH)
        if made_from is None or input_hash not in (None, made_from):
            return None
        attributes = read_exr(path).attributes
        status = FrameStatus(str(attributes.get("dubplate:frameStatus")))
    except (InvalidInput, ValueError):
        return None
    return FrameRecord(path.name, sha256_file(path), str(made_from), status, str(attributes.get("dubplate:take", "")))


def _record(entry: Mapping[str, Any]) -> FrameRecord:
    return FrameRecord(
        file=str(entry["file"]),
        sha256=str(entry["sha256"]),
        input_hash=str(entry["input_hash"]),
        status=FrameStatus(entry["status"]),
        take=str(entry.get("take", "")),
    )
