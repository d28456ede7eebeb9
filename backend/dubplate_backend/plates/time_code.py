# SPDX-License-Identifier: Apache-2.0
"""SMPTE time code of a frame, counted from the shot's start (SMPTE ST 12-1; ";" marks drop-frame)."""

from __future__ import annotations

import re

from dubplate_shared.errors import InvalidInput

_TEXT = re.compile(r"^(\d\d):(\d\d):(\d\d)([:;.])(\d\d)$")
FRAMES_DROPPED_AT_30 = 2  # frame numbers 0 and 1 of each minute but every tenth, at 29.97; twice that at 59.94


def advanced(start: str, frames: int, fps: float) -> tuple[int, int, int, int, bool]:
    """The time code `frames` after `start` ("HH:MM:SS:FF"): hours, minutes, seconds, frame, drop-frame.

    Raises InvalidInput where `start` is no time code of that rate.
    """
    number, per_second, drop = _counted(start, fps)
    number += frames
    if drop:
        ten_minutes = 600 * per_second - 9 * drop
        minute = 60 * per_second - drop
        tens, rest = divmod(number, ten_minutes)
        number += drop * 9 * tens + (drop * ((rest - drop) // minute) if rest >= drop else 0)
    total_seconds, frame = divmod(number, per_second)
    return total_seconds // 3600 % 24, total_seconds // 60 % 60, total_seconds % 60, frame, bool(drop)


def frame_number(text: str, fps: float) -> int:
    """Frames from midnight to a time code, those that drop-frame leaves out not counted.

    Raises InvalidInput where `text` is no time code of that rate.
    """
    return _counted(text, fps)[0]


def _counted(text: str, fps: float) -> tuple[int, int, int]:
    """Frames since midnight, whole frames a second, and frame numbers dropped in a minute."""
    found = _TEXT.match(text)
    per_second = round(fps)
    if not found or int(found[5]) >= per_second:
        raise InvalidInput(f"{text!r} is no time code at {fps:g} frames a second.", hint="Write it as HH:MM:SS:FF.")
    hours, minutes, seconds, frame = (int(found[group]) for group in (1, 2, 3, 5))
    drop = FRAMES_DROPPED_AT_30 * (per_second // 30) if found[4] in ";." else 0
    all_minutes = 60 * hours + minutes
    number = (all_minutes * 60 + seconds) * per_second + frame - drop * (all_minutes - all_minutes // 10)
    return number, per_second, drop


def later(start: str, frames: int, fps: float) -> str:
    """As `advanced`, as text: ";" before the frames where the start drops."""
    hours, minutes, seconds, frame, drop = advanced(start, frames, fps)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{';' if drop else ':'}{frame:02d}"


def fits(timecode: str, fps: float) -> bool:
    """Whether it is a time code of that rate; what was stamped at another counts other frames."""
    try:
        advanced(timecode, 0, fps)
    except InvalidInput:
        return False
    return True
