# SPDX-License-Identifier: Apache-2.0
"""A performance's clock and a shot's: where it starts, and its values at the shot's frames, by seconds."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from dubplate_backend.plates.time_code import frame_number
from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import Shot

EASE_S = 0.12
"""In which a face comes to rest before and after a performance: the length of a jaw's gesture."""
_TIMECODE = re.compile(r"^\d\d:\d\d:\d\d[:;.]\d\d$")
FROM_FILE = "timecode"
"""As `start`: where the file's own time code meets the shot's."""


@dataclass(frozen=True)
class Placed:
    """Where each of a shot's frames lies in a performance.

    at_s: (T,) its middle, on the performance's clock.   presence: (T,) 1 within it, easing to 0 outside.
    """

    at_s: np.ndarray
    presence: np.ndarray

    def sampled(self, times_s: np.ndarray, sample_s: float, values: np.ndarray) -> np.ndarray:
        """Values at the frames, linear between samples, the last one held.   values: (N, ...) -> (T, ...)."""
        middles = times_s + 0.5 * sample_s
        right = np.clip(np.searchsorted(middles, self.at_s), 1, max(len(middles) - 1, 1))
        if len(middles) == 1:
            return np.repeat(values, len(self.at_s), axis=0)
        span = middles[right] - middles[right - 1]
        share = np.clip((self.at_s - middles[right - 1]) / span, 0.0, 1.0)
        share = share.reshape(-1, *[1] * (values.ndim - 1))
        return values[right - 1] * (1 - share) + values[right] * share


def place(shot: Shot, start_s: float, seconds: float) -> Placed:
    """A performance of `seconds` that begins `start_s` after the shot's first frame."""
    frame_s = 1.0 / shot.info.rate.fps
    at_s = shot.track.time - shot.track.time[0] + 0.5 * frame_s - start_s  # light is gathered around a frame's middle
    outside = np.maximum(np.maximum(-at_s, at_s - seconds), 0.0)
    x = np.clip(1.0 - outside / EASE_S, 0.0, 1.0)
    return Placed(at_s, x * x * (3.0 - 2.0 * x))


def start_seconds(start: str | float, shot: Shot, timecode_s: float | None) -> float:
    """Seconds from the shot's first frame to the performance's.

    start: seconds; or the shot's time code at which it begins, HH:MM:SS:FF; or "timecode": the file's own, which lies
    at `timecode_s` of the day.
    Raises InvalidInput where it is none of these, or a clock is missing.
    """
    if isinstance(start, float | int):
        return float(start)
    text = start.strip()
    if text != FROM_FILE and not _TIMECODE.match(text):
        try:
            return float(text)
        except ValueError as error:
            raise InvalidInput(
                f"{start!r} is no start.", hint="Give seconds, a time code HH:MM:SS:FF, or the word timecode."
            ) from error
    if shot.info.timecode is None:
        raise InvalidInput(f"Shot {shot.info.name} has no time code.", hint="Give --start in seconds.")
    fps = shot.info.rate.fps
    first = frame_number(shot.info.timecode, fps)
    if text != FROM_FILE:
        return (frame_number(text, fps) - first) / fps
    if timecode_s is None:
        raise InvalidInput("The performance has no time code.", hint="Give --start in seconds.")
    if ";" in shot.info.timecode:  # drop-frame follows the clock on the wall
        return timecode_s - first / fps
    return (timecode_s - first / round(fps)) * round(fps) / fps
