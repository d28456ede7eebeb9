# SPDX-License-Identifier: Apache-2.0
"""Stretches of a shot that a person should look at, as shot.json has them under "tracking"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dubplate_shared.errors import InvalidInput
from dubplate_shared.frames import format_frames, parse_frames

# Unloaded, jaw muscles open the mouth at 457 mm/s at the incisors (mean of 17 men; J Oral Rehabil 1991, 18:169-177),
# which lie 102 mm from the hinge (Bonwill's triangle): 4.5 rad/s.
FASTEST_JAW_DEG_S = 257.0


@dataclass(frozen=True)
class Flag:
    """reason: a name.   frames: (N,) ascending numbers.   worst: the one to look at.   value: what was measured there.
    says: a sentence with it."""

    reason: str
    frames: tuple[int, ...]
    worst: int
    value: float
    says: str

    def to_json(self) -> dict[str, Any]:
        return {
            "reason": str(self.reason),
            "frames": format_frames(self.frames),
            "worst": self.worst,
            "value": round(self.value, 4),
            "says": self.says,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Flag:
        """Raises InvalidInput, KeyError, TypeError or ValueError where it is not what to_json made."""
        frames = parse_frames(str(content["frames"]))
        return cls(str(content["reason"]), frames, int(content["worst"]), float(content["value"]), str(content["says"]))


def flags_of(tracking: Mapping[str, Any]) -> tuple[Flag, ...]:
    """The flags of shot.json's "tracking". One that cannot be read is left out: none keeps a shot from being used."""
    found = []
    for content in tracking.get("flags", ()):
        try:
            found.append(Flag.from_json(content))
        except (InvalidInput, KeyError, TypeError, ValueError):
            continue
    return tuple(found)
