# SPDX-License-Identifier: GPL-3.0-or-later
"""What a head does on every frame of its shot, as far as it is known, and what of it has changed.

A row is a frame's expression (100), jaw (3) and eyes (6, axis-angle): what the backend draws from. The frame at hand is
read from Blender's evaluation, so that an edit counts before it is keyed; others from the curves, a few at a time.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from dubplate_shared.files import FileStates
from dubplate_shared.frames import format_frames
from dubplate_shared.shot import Shot
from dubplate_shared.take import Take

from ..curves.performance import read_in_place, read_pose
from ..scene.shot_link import ShotLink

Array = npt.NDArray[Any]

REACH_S = 0.08  # how far a frame's pixels depend on its neighbours' curves: two frames at 25 fps
SAME = 1e-5  # standard deviations and radians; below it two ways of reading differ by rounding
_AT_ONCE = 32  # frames read in one look: some milliseconds
_JAW, _EYES = slice(100, 103), slice(103, 109)


class Rows:
    """One head's."""

    def __init__(self, armature: bpy.types.Object, shot: Shot) -> None:
        link = ShotLink.of(armature)
        self.frames = link.frames
        self.plate_size = (shot.info.width, shot.info.height)
        self.reach = max(1, math.ceil(REACH_S * shot.info.rate.fps - SAME))
        take = shot.take(link.take if link.take in shot.take_names() else "tracked")
        self._values = _rows_of(take, shot.track.eyes)  # (T, 109), where the curves cannot be read in place
        self._known = np.zeros(len(self.frames), bool)
        self._digests: dict[int, bytes] = {}
        self._unread: list[int] = list(self.frames)
        self._at_hand = -1  # the frame whose row is as evaluated, keyed or not
        self._package: FileStates = ()

    def drawn_with(self, package: FileStates) -> bool:
        """Let the track be what the shot's package has now, which all frames are drawn from too. Whether it is new."""
        if package == self._package:
            return False
        self._package = package
        self._digests.clear()
        return True

    @property
    def pending(self) -> bool:
        """Whether there are frames still to be read."""
        return bool(self._unread)

    def look_at(self, armature: bpy.types.Object, posed: bpy.types.Object, frame: int, *, edited: bool) -> bool:
        """Take in the evaluated pose of `frame` and the curves around it; whether anything there was new.

        edited: curves may have changed, everywhere.
        """
        if self._at_hand not in (frame, -1):
            self._known[self._at([self._at_hand])] = False  # what was not keyed there is gone
            self._unread.insert(0, self._at_hand)
        self._at_hand = frame
        before = self.digest(frame)
        around = self.around(frame)
        if edited or not self._known[self._at(around)].all():
            take = read_in_place(armature, around)
            if take is not None:
                self._take_in(around, _rows_of(take))
                self._unread = sorted(self.frames, key=lambda other: abs(other - frame)) if edited else self._unread
        self._take_in([frame], _rows_of(read_pose(posed)))
        return self.digest(frame) != before

    def read_some(self, armature: bpy.types.Object) -> None:
        """Read a few of the frames that an edit may have changed, the nearest first."""
        some, self._unread = self._unread[:_AT_ONCE], self._unread[_AT_ONCE:]
        some = [frame for frame in some if frame != self._at_hand]
        if not some:
            return
        take = read_in_place(armature, some)
        if take is None:
            self._unread = []  # where more than curves decides, only frames that are visited are known
        else:
            self._take_in(some, _rows_of(take))

    def around(self, frame: int) -> list[int]:
        """The frames that `frame`'s pixels depend on."""
        return [other for other in range(frame - self.reach, frame + self.reach + 1) if other in self.frames]

    def window(self, frame: int) -> tuple[Take, str]:
        """The curves around a frame as a take, and which frames its rows are."""
        around = self.around(frame)
        rows = self._values[self._at(around)]
        return Take("blender", rows[:, :100], rows[:, _JAW], rows[:, _EYES], {"kind": "blender"}), format_frames(around)

    def digest(self, frame: int) -> bytes:
        """Names what a frame is drawn from."""
        found = self._digests.get(frame)
        if found is None:
            rows = self._values[self._at(self.around(frame))]
            drawn_from = rows.tobytes() + repr(self._package).encode()
            found = self._digests[frame] = hashlib.blake2b(drawn_from, digest_size=16).digest()
        return found

    def _take_in(self, frames: list[int], rows: Array) -> None:
        at = self._at(frames)
        changed = np.abs(self._values[at] - rows).max(axis=1) > SAME
        self._known[at] = True
        for index in np.flatnonzero(changed):
            self._values[at[index]] = rows[index]
            for other in self.around(frames[index]):
                self._digests.pop(other, None)

    def _at(self, frames: list[int]) -> list[int]:
        return [frame - self.frames[0] for frame in frames]


def _rows_of(take: Take, filmed_eyes: Array | None = None) -> Array:
    eyes = filmed_eyes if take.eyes is None else take.eyes
    return np.concatenate([take.expression, take.jaw, eyes], axis=1).astype(np.float32)
