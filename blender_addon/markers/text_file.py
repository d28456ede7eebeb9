# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of files that other programs wrote: UTF-8 or UTF-16, with a mark at their start or without. No bpy."""

from __future__ import annotations

import codecs
from pathlib import Path

from dubplate_shared.errors import InvalidInput

_MOST_BYTES = 64 << 20  # of an hour's labels are two; more is no file of labels
_LOOKED_AT = 4096  # bytes that tell the encoding
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def read_text(path: Path) -> str:
    """The whole text.  Raises InvalidInput where the file is not there, too large, or in another encoding."""
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise InvalidInput(
                f"{path.name} has {size >> 20} MB.", hint="That is no file of labels; choose another one."
            )
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"Cannot read {path}: {error.strerror}.", hint="Check the path.") from error
    try:
        return content.decode(_encoding(content))
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{path.name} is not written in UTF-8 or UTF-16.", hint="Save it again as UTF-8 text."
        ) from error


def _encoding(content: bytes) -> str:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    head = content[:_LOOKED_AT]
    if 3 * head[0::2].count(0) > len(head) // 2:  # every other byte of plain letters
        return "utf-16-be"
    if 3 * head[1::2].count(0) > len(head) // 2:
        return "utf-16-le"
    return "utf-8"
