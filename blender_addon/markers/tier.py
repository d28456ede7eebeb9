# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels in time as readers of files give them, and what they ask of the lips. No bpy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Label:
    """What is said from start to end, in seconds from the start of the sound."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class Tier:
    """A row of labels.  phonemic: whether the file may hold phonemes at all; an SRT never does."""

    name: str
    labels: tuple[Label, ...]
    phonemic: bool = True


@dataclass(frozen=True)
class Closure:
    """Frames over which the lips shall touch, and the sound that asks for it."""

    frames: range
    sound: str
