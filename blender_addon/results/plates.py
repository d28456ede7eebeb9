# SPDX-License-Identifier: GPL-3.0-or-later
"""The plates that a render has left: which frames stand, and where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dubplate_shared.errors import InvalidInput
from dubplate_shared.plate_names import plate_stem, version_folder


@dataclass(frozen=True)
class Plates:
    """One version of a shot. files: by frame, in order; at least one."""

    name: str
    files: dict[int, Path]

    @property
    def runs(self) -> list[list[int]]:
        """Frames that follow one another, stretch by stretch."""
        found: list[list[int]] = []
        for frame in self.files:
            if found and found[-1][-1] == frame - 1:
                found[-1].append(frame)
            else:
                found.append([frame])
        return found


def find_plates(output: Path, shot_name: str, version: int) -> Plates:
    """The plates of a version. Raises InvalidInput where none stands."""
    folder, stem = version_folder(output, version), plate_stem(shot_name, version)
    pattern = re.compile(re.escape(stem) + r"\.(\d+)\.exr")
    found = {int(match[1]): path for path in folder.glob("*.exr") if (match := pattern.fullmatch(path.name))}
    if not found:
        raise InvalidInput(
            f"No plates of {shot_name} stand in {folder}.", hint="Render the range first, or choose its version."
        )
    return Plates(stem, dict(sorted(found.items())))
