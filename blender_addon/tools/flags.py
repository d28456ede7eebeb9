# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the performance a person should look at: lips open on a closure, a jaw that outruns its muscles. No bpy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.flags import FASTEST_JAW_DEG_S, Flag
from dubplate_shared.rig import Rig

from ..markers.tier import Closure
from .face_points import LipPairs
from .mouths import Mouths

Array = npt.NDArray[Any]

OPEN_MM = 0.5  # a gap that is seen: about a pixel of a face 160 px between the outer eye corners


def performance_flags(
    rig: Rig, mouths: Mouths, frames: range, closures: Iterable[Closure], fps: float
) -> tuple[Flag, ...]:
    """Flags of what the artist and all takes come to, in the order of frames.  mouths: a row a frame of `frames`."""
    gap_mm = LipPairs(rig).gap_mm(mouths.expression, mouths.jaw)
    found = [flag for closure in closures for flag in _open_lips(gap_mm, frames, closure)]
    found += _fast_jaw(np.degrees(mouths.jaw[:, 0]), frames, fps)
    return tuple(sorted(found, key=lambda flag: flag.frames))


def next_flag(flags: Iterable[Flag], frame: int, step: int) -> Flag | None:
    """The first flag whose worst frame lies after `frame`, or before it where step is -1; beyond the last one, the
    first."""
    ordered = sorted(flags, key=lambda flag: flag.worst * step)
    beyond = [flag for flag in ordered if flag.worst * step > frame * step]
    return (beyond or ordered or [None])[0]


def _open_lips(gap_mm: Array, frames: range, closure: Closure) -> list[Flag]:
    inside = [frame for frame in closure.frames if frame in frames]
    if not inside:
        return []
    worst = max(inside, key=lambda frame: gap_mm[frame - frames[0]])
    value = float(gap_mm[worst - frames[0]])
    says = f"the lips are {value:.1f} mm apart on {closure.sound}"
    return [Flag("lips_open", tuple(inside), worst, value, says)] if value > OPEN_MM else []


def _fast_jaw(jaw_deg: Array, frames: Sequence[int], fps: float) -> list[Flag]:
    speed = np.abs(np.diff(jaw_deg, prepend=jaw_deg[:1])) * fps
    fast = np.flatnonzero(speed > FASTEST_JAW_DEG_S)
    runs = np.split(fast, np.flatnonzero(np.diff(fast) > 1) + 1) if len(fast) else []
    found = []
    for run in runs:
        worst = int(run[np.argmax(speed[run])])
        says = f"the jaw turns faster than muscles turn it ({speed[worst]:.0f} degrees a second)"
        found.append(
            Flag("jaw_too_fast", tuple(frames[int(row)] for row in run), frames[worst], float(speed[worst]), says)
        )
    return found
