# SPDX-License-Identifier: Apache-2.0
"""Where result plates lie: OUT/v001/NAME_dub_v001.1001.exr."""

from __future__ import annotations

import re
from pathlib import Path

from dubplate_shared.errors import InvalidInput

_SAFE_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")


def checked_name(name: str, what: str) -> str:
    """`name` if it can stand in a file name on every system. Raises InvalidInput."""
    if not _SAFE_NAME.match(name) or name.endswith("."):
        raise InvalidInput(
            f"{what} {name!r} cannot stand in a file name.",
            hint="Use letters, digits, '_', '-' and '.', up to 128 of them.",
        )
    return name


def version_folder(out: Path | str, version: int) -> Path:
    """OUT/v001."""
    return Path(out) / f"v{version:03d}"


def plate_stem(shot_name: str, version: int) -> str:
    """NAME_dub_v001."""
    return f"{checked_name(shot_name, 'Shot name')}_dub_v{version:03d}"


def plate_path(out: Path | str, shot_name: str, version: int, frame: int) -> Path:
    """OUT/v001/NAME_dub_v001.1001.exr; frames have at least four digits, so that every tool lists them in order."""
    return version_folder(out, version) / f"{plate_stem(shot_name, version)}.{frame:04d}.exr"
