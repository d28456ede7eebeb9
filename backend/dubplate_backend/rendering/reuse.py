# SPDX-License-Identifier: Apache-2.0
"""What earlier renders have left, so that nothing is hashed or drawn twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dubplate_backend.plates.file_hashes import FileHashes
from dubplate_backend.plates.manifest import FrameRecord
from dubplate_backend.plates.store import PlateStore


@dataclass(frozen=True)
class Reuse:
    """hashes: of files that are as they were.  store: plates by key, None without one.

    told: plates that an earlier run of the same job told of, by frame, where it was killed before its manifest.
    """

    hashes: FileHashes = field(default_factory=FileHashes)
    store: PlateStore | None = None
    told: Mapping[int, FrameRecord] = field(default_factory=dict)
