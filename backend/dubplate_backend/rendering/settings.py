# SPDX-License-Identifier: Apache-2.0
"""What may be chosen about a render."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dubplate_backend.compositing.composite import CompositeSettings
from dubplate_backend.renderers.hearing import Hearing
from dubplate_shared.errors import InvalidInput

MOST_STRENGTH = 2.0


@dataclass(frozen=True)
class RenderSettings:
    """composite: post-processing, part of every frame's hash.  force: draw frames that stand already.

    preview: write preview.mp4.  sheet: write sheet.png.  segmentation: BiSeNet's weights for the background test, a
    file of this machine; $DUBPLATE_BISENET or MediaPipe's network where there is none.  sound_gain, sound_smoothing:
    how the voice is heard, as the actor says unless told.
    """

    composite: CompositeSettings = field(default_factory=CompositeSettings)
    force: bool = False
    preview: bool = True
    sheet: bool = False
    segmentation: Path | None = None
    sound_gain: float | None = None
    sound_smoothing: float | None = None

    def hearing(self, actor: Hearing) -> Hearing:
        """How the voice is heard.  actor: what stands where nothing is told.  Raises InvalidInput."""
        gain = actor.gain if self.sound_gain is None else self.sound_gain
        return Hearing(gain, actor.smoothing if self.sound_smoothing is None else self.sound_smoothing)

    @classmethod
    def of(cls, given: RenderSettings | Mapping[str, Any] | None) -> RenderSettings:
        """From names and values as they come over the wire. Raises InvalidInput for a name or value that is unknown."""
        if given is None or isinstance(given, RenderSettings):
            return given or cls()
        own = {item.name for item in fields(cls)} - {"composite", "segmentation"}
        inner = {item.name: item.default for item in fields(CompositeSettings)}
        for name, value in given.items():
            if name not in own | set(inner):
                raise InvalidInput(
                    f"There is no render setting {name!r}.", hint=f"There are: {', '.join(sorted(own | set(inner)))}."
                )
            if name in ("sound_gain", "sound_smoothing"):
                Hearing(**{name.removeprefix("sound_"): value})
            elif isinstance(inner.get(name), float):
                _check_strength(name, value)
            elif not isinstance(value, bool):
                raise InvalidInput(f"Render setting {name!r} is {value!r}.", hint="It is true or false.")
        composite = CompositeSettings(**{name: value for name, value in given.items() if name in inner})
        return cls(composite, **{name: value for name, value in given.items() if name in own})


def _check_strength(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= MOST_STRENGTH:
        raise InvalidInput(
            f"Render setting {name!r} is {value!r}.",
            hint=f"It is a number from 0 (off) to {MOST_STRENGTH:g}; 1 matches the plate.",
        )
