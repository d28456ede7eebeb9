# SPDX-License-Identifier: Apache-2.0
"""Finished plates by their key, whatever output they were made for: what was drawn once is not drawn again.

An entry is a folder KEY/ with the plate and entry.json.  The plate is a second name of the delivered file where the
file system allows it, so that it takes no space until that file is replaced.  Nothing here is trusted: a plate is
copied out, and its bytes must have the hash that they were stored with.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from dubplate_backend.plates.abandoned import abandoned
from dubplate_backend.plates.manifest import FrameRecord, FrameStatus
from dubplate_shared.errors import DubplateError, InvalidInput
from dubplate_shared.files import atomic_path, read_json, sha256_file, write_json

SCHEMA = "dubplate.stored_plate/1"
STATE_FOLDER = ".dubplate"  # beneath an output root: what a backend keeps there for itself
DEFAULT_LIMIT_BYTES = 50 << 30  # some 2500 plates of 1080p
ROOM_AFTER_TRIM = 0.9  # of the limit, so that not every new plate makes it trim again
_PLATE, _CARD = "plate.exr", "entry.json"


@dataclass(frozen=True)
class Stored:
    """One entry.  actor: the hash of its actor's texture.  shared: the delivered file still has the same bytes, so that
    removing the entry frees nothing.  used_s: Unix seconds.
    """

    key: str
    sha256: str
    bytes: int
    status: FrameStatus
    take: str
    shot: str
    actor: str
    shared: bool
    used_s: float


@dataclass(frozen=True)
class StoreReport:
    """What a store holds.  own_bytes: that no delivered file shares."""

    folder: Path
    plates: int
    bytes: int
    own_bytes: int
    limit_bytes: int
    shots: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """For --json."""
        facts = {name: getattr(self, name) for name in ("plates", "bytes", "own_bytes", "limit_bytes")}
        return {"folder": str(self.folder), **facts, "shots": self.shots}


class PlateStore:
    """A folder of plates by key with a limit on its size; who was used longest ago goes first.

    Safe from any thread and any process: entries come and go by renames.
    """

    def __init__(self, folder: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._lock = Lock()
        self._bytes: int | None = None  # of all entries; None until somebody has looked

    def has(self, key: str) -> bool:
        """Whether there is an entry; whether it is whole shows when it is taken."""
        return (self._entry(key) / _CARD).exists()

    def take(self, key: str, path: Path) -> FrameRecord | None:
        """Put a copy of the plate at `path`, whole and synced; its record, or None where there is none that is whole.

        Raises OutputNotWritable.
        """
        entry = self._entry(key)
        stored = _read(entry)
        if stored is None:
            return None
        try:
            with atomic_path(path) as temporary:
                _copy(entry / _PLATE, temporary)
                if sha256_file(temporary) != stored.sha256:
                    raise InvalidInput(f"{entry} is damaged.", hint="It is removed, and drawn again.")
        except (FileNotFoundError, InvalidInput):
            self._remove(entry)
            return None
        with suppress(OSError):
            os.utime(entry / _CARD)
        return FrameRecord(path.name, stored.sha256, key, stored.status, stored.take)

    def add(self, key: str, path: Path, record: FrameRecord, *, shot: str, actor: str) -> None:
        """Keep the plate at `path`.  A store that cannot be written keeps nothing, and that is all."""
        entry = self._entry(key)
        if self.limit_bytes <= 0 or entry.exists():
            return
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=".", suffix=".part", dir=self.folder))
            try:
                _link(path, temporary / _PLATE)
                card = {"sha256": record.sha256, "status": str(record.status), "take": record.take}
                write_json(temporary / _CARD, {"schema": SCHEMA, **card, "shot": shot, "actor": actor})
                size = (temporary / _PLATE).stat().st_size
                os.rename(temporary, entry)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        except (OSError, DubplateError):
            return
        with self._lock:
            self._bytes = None if self._bytes is None else self._bytes + size
            full = self._measured() > self.limit_bytes
        if full:
            self.trim(int(self.limit_bytes * ROOM_AFTER_TRIM))

    def remove_abandoned(self) -> None:
        """Remove what killed backends have left half added or half removed."""
        for path in abandoned(self.folder, ".*"):
            shutil.rmtree(path, ignore_errors=True)

    def entries(self) -> Iterator[Stored]:
        """All that are whole enough to be read, in no order."""
        for card in self.folder.glob(f"??/*/{_CARD}"):
            stored = _read(card.parent)
            if stored is not None:
                yield stored

    def report(self) -> StoreReport:
        """What is kept, by shot."""
        shots: dict[str, int] = {}
        plates = size = own = 0
        for stored in self.entries():
            plates, size = plates + 1, size + stored.bytes
            own += 0 if stored.shared else stored.bytes
            shots[stored.shot] = shots.get(stored.shot, 0) + stored.bytes
        return StoreReport(self.folder, plates, size, own, self.limit_bytes, dict(sorted(shots.items())))

    def trim(self, limit_bytes: int, *, dry_run: bool = False) -> tuple[int, int]:
        """Remove who was used longest ago until at most `limit_bytes` are left. Returns plates and bytes removed."""
        entries = sorted(self.entries(), key=lambda stored: stored.used_s)
        left = sum(stored.bytes for stored in entries)
        removed = freed = 0
        for stored in entries:
            if left <= limit_bytes:
                break
            if not dry_run:
                self._remove(self._entry(stored.key))
            left, removed, freed = left - stored.bytes, removed + 1, freed + stored.bytes
        with self._lock:
            self._bytes = None if dry_run else left
        return removed, freed

    def of_actor(self, actor: str) -> list[Path]:
        """Folders of the entries that an actor was drawn into.  actor: hash of its texture."""
        return [self._entry(stored.key) for stored in self.entries() if stored.actor == actor]

    def _entry(self, key: str) -> Path:
        return self.folder / key[:2] / key

    def _measured(self) -> int:
        if self._bytes is None:
            self._bytes = sum(stored.bytes for stored in self.entries())
        return self._bytes

    def _remove(self, entry: Path) -> None:
        """At once for others, who may be taking it; then the files."""
        with suppress(OSError):
            aside = Path(tempfile.mkdtemp(prefix=".", suffix=".old", dir=self.folder))
            with suppress(OSError):
                os.rename(entry, aside / entry.name)
            shutil.rmtree(aside, ignore_errors=True)


def _read(entry: Path) -> Stored | None:
    try:
        card = read_json(entry / _CARD, SCHEMA)
        facts = (entry / _PLATE).stat()
        return Stored(
            key=entry.name,
            sha256=str(card["sha256"]),
            bytes=facts.st_size,
            status=FrameStatus(card["status"]),
            take=str(card["take"]),
            shot=str(card["shot"]),
            actor=str(card["actor"]),
            shared=facts.st_nlink > 1,
            used_s=(entry / _CARD).stat().st_mtime,
        )
    except (OSError, InvalidInput, KeyError, ValueError):
        return None


def _link(source: Path, target: Path) -> None:
    """A second name of the same file, or a copy where there cannot be one."""
    try:
        os.link(source, target)
    except OSError:
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    """Copy bytes; file systems that can share blocks between files do so."""
    if not hasattr(os, "copy_file_range"):
        shutil.copyfile(source, target)
        return
    with open(source, "rb") as reading, open(target, "wb") as writing:
        left = os.fstat(reading.fileno()).st_size
        try:
            while left > 0 and (done := os.copy_file_range(reading.fileno(), writing.fileno(), left)) > 0:
                left -= done
        except OSError:
            left = -1
    if left:  # not on this file system, or not between these two
        shutil.copyfile(source, target)
