# SPDX-License-Identifier: Apache-2.0
"""How strongly and how steadily a renderer hears the voice: StyleSync's two settings of its sound code (systems 1.1.2).

StyleSync smooths by keeping a share of the last frame's code. A frame here depends on no other frame's, so the codes of
a few moments around it are averaged instead: the same share from moment to moment, to both sides, so without a lag.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dubplate_shared.errors import InvalidInput

MOMENT_S = 0.04  # between moments: StyleSync's frame
REACH = 2  # moments to each side
MOST_GAIN = 2.0
MOST_SMOOTHING = 0.9


@dataclass(frozen=True)
class Hearing:
    """gain: 1 as learnt, 0 as if there were no sound, StyleSync draws with 1.25.  smoothing: the share that a moment
    weighs of the one next to it, 0 none, StyleSync's 0.3.
    """

    gain: float = 1.0
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        for name, value, most in (("gain", self.gain, MOST_GAIN), ("smoothing", self.smoothing, MOST_SMOOTHING)):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or not 0.0 <= value <= most:
                raise InvalidInput(f"The sound's {name} is {value!r}.", hint=f"It is a number from 0 to {most:g}.")

    @classmethod
    def of_actor(cls, settings: Mapping[str, Any]) -> Hearing:
        """What an actor was adapted with, from actor.json's settings. Raises InvalidInput."""
        return cls(settings.get("sound_gain", 1.0), settings.get("sound_smoothing", 0.0))

    @property
    def moments(self) -> tuple[float, ...]:
        """Seconds from the frame's middle at which the voice is heard."""
        if self.smoothing == 0.0:
            return (0.0,)
        return tuple(MOMENT_S * step for step in range(-REACH, REACH + 1))

    def heard(self, codes: Tensor, silence: Tensor) -> Tensor:
        """One code for each frame.  codes: [B, moments, D].  silence: [D], the code of no sound.  Returns [B, D]."""
        if self == Hearing():
            return codes[:, 0]
        share = torch.tensor([self.smoothing ** abs(moment / MOMENT_S) for moment in self.moments]).to(codes)
        smooth = (codes * (share / share.sum())[:, None]).sum(dim=1)
        return silence + self.gain * (smooth - silence)
