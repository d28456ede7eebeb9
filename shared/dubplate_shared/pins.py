# SPDX-License-Identifier: Apache-2.0
"""Pins: what a person knows better than the tracker, on single frames. `pins.json`, schema "dubplate.pins/1":

    {"schema": "dubplate.pins/1",
     "landmarks": [{"frame": 1043, "landmark": 13, "x": 912.5, "y": 604.0}],
     "poses": [{"frame": 1050, "rotation": [3.1, 0.0, 0.1], "translation": [0.01, 0.02, 0.8]}]}

landmark: MediaPipe's index.  x, y: plate px, pixel centres at +0.5.  rotation: axis-angle, radians, and translation:
metres, head to camera, as a track has them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import read_json, write_json
from dubplate_shared.landmarks import COUNT

SCHEMA = "dubplate.pins/1"


@dataclass(frozen=True)
class LandmarkPin:
    """A landmark placed by hand.  x, y: plate px."""

    frame: int
    landmark: int
    x: float
    y: float

    def __post_init__(self) -> None:
        if not 0 <= self.landmark < COUNT:
            raise InvalidInput(
                f"Frame {self.frame}: there is no landmark {self.landmark}.", hint=f"MediaPipe's are 0 to {COUNT - 1}."
            )
        finite(self.frame, (self.x, self.y))


@dataclass(frozen=True)
class PosePin:
    """A head pose keyed on a frame.  rotation: axis-angle, radians.  translation: metres. Head to camera."""

    frame: int
    rotation: tuple[float, float, float]
    translation: tuple[float, float, float]

    def __post_init__(self) -> None:
        finite(self.frame, (*self.rotation, *self.translation))
        if self.translation[2] <= 0:
            raise InvalidInput(f"Frame {self.frame}: the pose is behind the camera.", hint="Its Z points forward.")


@dataclass(frozen=True)
class Pins:
    """Constraints of a repair. The last one of a frame's landmark, and of a frame's pose, counts."""

    landmarks: tuple[LandmarkPin, ...] = ()
    poses: tuple[PosePin, ...] = ()

    @property
    def frames(self) -> tuple[int, ...]:
        """Numbers of the frames that hold one, ascending."""
        return tuple(sorted({pin.frame for pin in self.landmarks} | {pin.frame for pin in self.poses}))

    def over(self, earlier: Pins) -> Pins:
        """These and those of `earlier` that they do not replace."""
        points = {(pin.frame, pin.landmark): pin for pin in (*earlier.landmarks, *self.landmarks)}
        poses = {pin.frame: pin for pin in (*earlier.poses, *self.poses)}
        return Pins(tuple(points.values()), tuple(poses.values()))

    def within(self, frames: Iterable[int]) -> Pins:
        """Those of some frames."""
        wanted = frozenset(frames)
        return Pins(
            tuple(pin for pin in self.landmarks if pin.frame in wanted),
            tuple(pin for pin in self.poses if pin.frame in wanted),
        )

    def save(self, path: Path) -> None:
        """Write pins.json."""
        write_json(path, {"schema": SCHEMA, **asdict(self)})

    @classmethod
    def load(cls, path: Path | str) -> Pins:
        """Raises InvalidInput."""
        content = read_json(path, SCHEMA)
        try:
            return cls(
                tuple(LandmarkPin(*numbers(pin)) for pin in content.get("landmarks", ())),
                tuple(
                    PosePin(int(pin["frame"]), floats(pin["rotation"]), floats(pin["translation"]))
                    for pin in content.get("poses", ())
                ),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(
                f"{path} holds a pin that cannot be read: {error!r}.",
                hint='A landmark has "frame", "landmark", "x" and "y"; a pose "frame", "rotation" and "translation".',
            ) from error


def numbers(pin: dict[str, Any]) -> tuple[int, int, float, float]:
    """Of a landmark's pin as JSON has it."""
    return int(pin["frame"]), int(pin["landmark"]), float(pin["x"]), float(pin["y"])


def floats(values: Iterable[Any]) -> tuple[float, float, float]:
    """Three numbers as JSON has them.  Raises ValueError."""
    first, second, third = map(float, values)
    return first, second, third


def finite(frame: int, values: tuple[float, ...]) -> None:
    """Raises InvalidInput unless all values are numbers."""
    if not np.isfinite(values).all():
        raise InvalidInput(f"Frame {frame}: a pin holds what is no number.", hint="Place it again.")
