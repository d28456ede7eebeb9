# SPDX-License-Identifier: Apache-2.0
"""Which files make up a sequence: from its pattern, its folder, or one of its frames."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dubplate_backend.plates.picture_file import PICTURE_SUFFIXES
from dubplate_shared.errors import FootageError, InvalidInput
from dubplate_shared.frames import format_frames

_PLACEHOLDER = re.compile(r"#+|%0?(\d*)d")
_NUMBERED = re.compile(r"^(?P<head>.*?)(?P<number>\d+)(?P<tail>[^\d]*)$")


@dataclass(frozen=True)
class SequenceFiles:
    """pattern: as stored in a shot, name.####.exr.   first, count: of the frame numbers, which have no gaps."""

    pattern: Path
    first: int
    count: int

    def path(self, frame: int) -> Path:
        """The file of a frame number."""
        return sequence_file(self.pattern, frame)


def is_sequence(path: Path) -> bool:
    """Whether `path` names pictures and no video: a folder, a pattern, or a picture file."""
    return path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES


def sequence_file(pattern: Path, frame: int) -> Path:
    """name.####.exr and 1001 -> name.1001.exr. Raises InvalidInput where the pattern has no #."""
    if "#" not in pattern.name:
        raise InvalidInput(f"{pattern.name} has no #### for the frame number.", hint="Write it as name.####.exr.")
    return pattern.with_name(re.sub("#+", lambda run: f"{frame:0{len(run[0])}d}", pattern.name, count=1))


def find_sequence(path: Path) -> SequenceFiles:
    """The sequence that `path` means: a pattern with #### or %04d, a folder with one sequence, or one of its frames.

    Raises FootageError where there is none, where a folder holds several, and where frame numbers are missing.
    """
    if path.is_dir():
        return _in_folder(path)
    placeholder = _PLACEHOLDER.search(path.name)
    if placeholder:
        width = len(placeholder[0]) if "#" in placeholder[0] else int(placeholder[1] or 1)
        head, tail = path.name[: placeholder.start()], path.name[placeholder.end() :]
    else:
        if not path.is_file():
            raise FootageError(f"There is no footage at {path}.", hint="Check the path of the sequence.")
        numbered = _NUMBERED.match(path.name)
        if not numbered:
            raise FootageError(
                f"{path.name} has no frame number in its name.", hint="Name a sequence's files as name.1001.exr."
            )
        head, tail, width = numbered["head"], numbered["tail"], None
    groups = _groups(path.parent)
    numbers = groups.get((head, tail), [])
    return _whole(path.parent, head, tail, numbers, width)


def _in_folder(folder: Path) -> SequenceFiles:
    groups = _groups(folder)
    if len(groups) != 1:
        found = ", ".join(f"{head}#{tail}" for head, tail in sorted(groups)) or "none"
        raise FootageError(
            f"{folder} holds {len(groups)} sequences of pictures: {found}.",
            hint="Name the one that is meant by its pattern, as in FOLDER/name.####.exr.",
        )
    ((head, tail), numbers) = next(iter(groups.items()))
    return _whole(folder, head, tail, numbers, None)


def _groups(folder: Path) -> dict[tuple[str, str], list[str]]:
    """Numbers, as written, of the picture files of a folder, by what stands before and after them."""
    groups: dict[tuple[str, str], list[str]] = {}
    for file in folder.iterdir() if folder.is_dir() else ():
        if file.name.startswith(".") or file.suffix.lower() not in PICTURE_SUFFIXES:
            continue
        numbered = _NUMBERED.match(file.name)
        if numbered:
            groups.setdefault((numbered["head"], numbered["tail"]), []).append(numbered["number"])
    return groups


def _whole(folder: Path, head: str, tail: str, written: list[str], width: int | None) -> SequenceFiles:
    """`written` as a sequence without gaps.   width: digits of the number; by the shortest one where it is not told."""
    if width is None:
        width = min(map(len, written), default=1)
        width = width if any(number.startswith("0") for number in written) or width == max(map(len, written)) else 1
    pattern = folder / f"{head}{'#' * width}{tail}"
    numbers = sorted(int(number) for number in written if number == f"{int(number):0{width}d}")
    if not numbers:
        raise FootageError(f"No frame of {pattern} is there.", hint="Check the pattern's name and its digits.")
    first, last = numbers[0], numbers[-1]
    missing = sorted(set(range(first, last + 1)) - set(numbers))
    if missing:
        raise FootageError(
            f"{pattern.name} has no frames {format_frames(missing)} ({first}-{last}).",
            hint="Put the missing frames back, or move the frames after the gap away.",
        )
    return SequenceFiles(pattern, first, len(numbers))
