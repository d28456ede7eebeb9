# SPDX-License-Identifier: Apache-2.0
"""What a backend said it had done, held against what is there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dubplate_backend.plates.exr import read_exr
from dubplate_shared.files import sha256_file
from dubplate_shared.messages import JobFrame, Message


@dataclass
class History:
    """acknowledged: path beneath the output root -> hash of every plate that anybody was told of."""

    output_root: Path
    acknowledged: dict[str, str] = field(default_factory=dict)

    def hear(self, events: Iterable[Message]) -> None:
        """Note what came; the same plate told of twice must be the same plate."""
        for event in events:
            if isinstance(event, JobFrame):
                before = self.acknowledged.setdefault(event.path, event.sha256)
                assert before == event.sha256, f"{event.path} was told of with another hash before"

    def lost(self) -> list[str]:
        """Plates that were acknowledged and are not there as they were."""
        return [
            path
            for path, sha256 in self.acknowledged.items()
            if not (self.output_root / path).exists() or sha256_file(self.output_root / path) != sha256
        ]


def plates(folder: Path) -> dict[str, bytes]:
    """Finished plates by name, each of them whole."""
    found = {path.name: path for path in folder.glob("[!.]*.exr")}
    for path in found.values():
        read_exr(path)
    return {name: path.read_bytes() for name, path in sorted(found.items())}
