# SPDX-License-Identifier: Apache-2.0
"""Which of the plate's frames each of a tool's pictures is, and what lies between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from dubplate_shared.errors import InvalidInput

_HALF_UP = 1e-6  # pictures: times are exact halves in ticks, and a little off as seconds


@dataclass(frozen=True)
class OnPlate:
    """How T frames of a plate take their values from N pictures.

    frame: (K,) plate frames that a picture shows, rising.   picture: (K,) which one.   time: (T,) seconds.
    confidence: (T,) 1 where a picture shows the frame, or where it lies between two neighbouring ones; else 0.
    """

    frame: np.ndarray
    picture: np.ndarray
    time: np.ndarray
    confidence: np.ndarray

    def values(self, of_pictures: np.ndarray) -> np.ndarray:
        """[N, C] to [T, C]: linear in time between pictures, the ends held."""
        known = of_pictures[self.picture]
        columns = [np.interp(self.time, self.time[self.frame], column) for column in known.T]
        return np.stack(columns, axis=1) if columns else np.zeros((len(self.time), 0))

    def rotations(self, of_pictures: np.ndarray) -> np.ndarray:
        """[N, 3, 3] to [T, 3, 3]: on the shortest arc between pictures, the ends held."""
        known = of_pictures[self.picture]
        if len(known) == 1:
            return np.repeat(known, len(self.time), axis=0)
        times = self.time[self.frame]
        held = np.clip(self.time, times[0], times[-1])
        turned = Slerp(times, Rotation.from_matrix(known))(held).as_matrix()
        turned[self.frame] = known
        return turned


def on_plate(
    number: np.ndarray, rate: float | None, time: np.ndarray, start_s: float = 0.0, offset: int = 0
) -> OnPlate:
    """Lay pictures `number` (N,), counted from 0, on a plate.

    rate: pictures a second, made by FFmpeg's fps filter: picture k shows the last frame whose time, rounded to whole
    pictures, is not after k (libavfilter/vf_fps.c).   None: picture k is plate frame k.   time: (T,) seconds after the
    first frame's presentation, which lies at start_s on the file's clock.   offset: pictures before number 0.
    Raises InvalidInput where pictures lie outside the plate.
    """
    if rate is not None and not rate > 0:
        raise InvalidInput(f"{rate:g} pictures a second is no rate.", hint="Say the tool's own, such as --tool-fps 25.")
    places = number + offset
    slots = np.arange(len(time)) if rate is None else _slots(time, rate, start_s)
    step = 0 if rate is None else int(np.ceil(rate * _usual_step(time)))  # the last frame is held for its duration
    if places.min() < slots[0] or places.max() > slots[-1] + step:
        at = f" at {rate:g} a second" if rate is not None else ""
        raise InvalidInput(
            f"The tracked pictures are numbered {places.min()} to {places.max()}{at}, and the plate has "
            f"{len(time)} frames in {time[-1]:.2f} s.",
            hint="Is it the plate that was tracked?  Say the tool's pictures a second with --tool-fps, or shift them "
            "with --offset.",
        )
    shown = np.searchsorted(slots, places, side="right") - 1  # [N]
    frame, picture = np.unique(shown, return_index=True)
    confidence = np.zeros(len(time), np.float32)
    confidence[frame] = 1.0
    # A frame that the tool's clock left out lies between two pictures that follow one another.
    last = np.append(picture[1:], len(number)) - 1
    for before, after, left, right in zip(frame[:-1], frame[1:], last[:-1], picture[1:], strict=True):
        if number[right] - number[left] == 1:
            confidence[before:after] = 1.0
    return OnPlate(frame, picture, time, confidence)


def are_plate_frames(number: np.ndarray, rate: float, time: np.ndarray, start_s: float = 0.0) -> bool:
    """Whether pictures are as many as the plate's frames, and not as many as `rate` a second would have made of them.

    Arguments as on_plate.   Then the tool was given the frames themselves, or made them at the plate's own rate.
    """
    pictures, made = int(number.max()) + 1, int(_slots(time, rate, start_s)[-1]) + 1
    return pictures == len(time) and abs(made - pictures) > 1  # the last picture may be one of FFmpeg's rounding


def _slots(time: np.ndarray, rate: float, start_s: float) -> np.ndarray:
    absolute = np.floor((time + start_s) * rate + 0.5 + _HALF_UP)
    return (absolute - absolute[0]).astype(np.int64)


def _usual_step(time: np.ndarray) -> float:
    return float(np.median(np.diff(time))) if len(time) > 1 else 1.0
