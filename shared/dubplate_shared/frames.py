# SPDX-License-Identifier: Apache-2.0
"""Frame ranges as farms write them: `1001-1100`, `1001-1100x2`, joined by commas, both ends included."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dubplate_shared.errors import InvalidInput

_PART = re.compile(r"^(?P<first>-?\d{1,9})(?:-(?P<last>-?\d{1,9})(?:x(?P<step>\d{1,9}))?)?$")
_MOST_FRAMES = 10_000_000  # 115 hours at 24 fps: more is a typing error, and would fill the memory.


def parse_frames(text: str, *, most: int = _MOST_FRAMES) -> tuple[int, ...]:
    """Frames of a range expression, ascending and without repeats. most: how many it may name in all.

    Raises InvalidInput with the fix; ":" is refused because tools disagree on what it means.
    """
    if ":" in text:
        raise InvalidInput(f"Frame range {text!r} uses ':'.", hint="Write a step with x, as in 1001-1100x2.")
    frames: set[int] = set()
    named = 0
    for part in text.replace(" ", "").split(","):
        found = _PART.match(part)
        if not found:
            raise InvalidInput(
                f"Frame range {part!r} cannot be read.", hint="Write it as 1001-1100, 1001-1100x2 or 1001,1005."
            )
        first = int(found["first"])
        last = int(found["last"]) if found["last"] is not None else first
        step = int(found["step"]) if found["step"] is not None else 1
        if last < first or step < 1:
            raise InvalidInput(
                f"Frame range {part!r} runs backwards or has step 0.",
                hint="Write the smaller frame first and a step of 1 or more.",
            )
        named += (last - first) // step + 1
        if named > most:
            raise InvalidInput(f"Frame range {text[:80]!r} has over {most} frames.", hint="Check the numbers.")
        frames.update(range(first, last + 1, step))
    return tuple(sorted(frames))


def format_frames(frames: Sequence[int]) -> str:
    """The shortest plain expression of ascending runs, such as "1001-1003,1007"."""
    runs: list[tuple[int, int]] = []
    for frame in sorted(set(frames)):
        if runs and frame == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], frame)
        else:
            runs.append((frame, frame))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
