# SPDX-License-Identifier: Apache-2.0
"""Cuts inside a clip: pictures that no longer continue the ones before, and faces that are elsewhere at once.

A hard cut changes the picture for good: every frame of the next few differs from every frame of the last few. A flash
does not, since it goes by; neither does a whip pan, whose frames all differ from one another. A jump cut within one
set-up changes little of the picture (less than a fast gesture does), so there the face decides.
Dissolves are not seen: they have no first frame.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from dubplate_shared.errors import FootageError
from dubplate_shared.frames import format_frames
from dubplate_shared.landmarks import COUNT, inter_ocular

THUMBNAIL_PX = 48  # longer side
ROWS_SKIPPED = 0.2  # of the thumbnail's pixel
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# Contrast below this many levels is noise (a black picture has no structure to compare).
LEAST_CONTRAST = 4.0
# Frames compared on each side of a cut: a flash of photographers' light lasts one to three.
WINDOW = 4
# Change is 1 - correlation of the thumbnails. Between neighbours of the development clips it stays under 0.06 (a fast
# gesture of both arms), between clips it is over 0.32. A hard cut also stands out from the usual step.
HARD_CHANGE, HARD_SPIKE = 0.12, 3.0
# A punch-in by an eighth changes 0.09 and is 100 times the largest step beside it; that gesture is 3 times.
SAME_SET_CHANGE, SAME_SET_SPIKE = 0.05, 10.0
# A jump cut in one set-up changes as little as 0.02, but moves the face too (over the inter-ocular distance). Where the
# development clip's face moves that far within a frame, the picture has not changed by more than 0.013 at such a spike.
JUMP_CHANGE, JUMP_SPIKE, JUMP_OF_FACE = 0.02, 4.0, 0.1
STILL = 0.001  # steps below this are noise
LASTING = 0.4  # share of the step that is still there between any frame before and any after


@dataclass(frozen=True)
class Look:
    """What is kept of a frame: its normalised luma [h * w], and the face's landmarks (468, 2) px where it has one."""

    luma: np.ndarray
    points: np.ndarray | None

    def change(self, other: Look) -> float:
        """0 for the same picture under any light, 1 for one that has nothing to do with it, 2 for its negative."""
        return 0.5 * float(np.square(self.luma - other.luma).sum())

    def face_step(self, other: Look) -> float:
        """How far the face's landmarks have moved over the inter-ocular distance; 0 where one has no face."""
        if self.points is None or other.points is None:
            return 0.0
        moved = np.linalg.norm(self.points - other.points, axis=-1).mean()
        return float(moved / max(inter_ocular(self.points), inter_ocular(other.points), 1e-6))


def look_at(rgb: np.ndarray, points: np.ndarray | None = None) -> Look:
    """rgb: uint8 [H, W, 3].  points: (N >= 468, 2 or more) px."""
    height, width = rgb.shape[:2]
    scale = THUMBNAIL_PX / max(height, width)
    size = (max(4, round(width * scale)), max(4, round(height * scale)))
    some = rgb[:: max(1, int(ROWS_SKIPPED / scale))]  # a few lines for each of the thumbnail's are enough
    luma = cv2.resize(some, size, interpolation=cv2.INTER_AREA).reshape(-1, 3).astype(np.float32) @ LUMA
    contrast = max(float(luma.std()), LEAST_CONTRAST)
    normalised = (luma - luma.mean()) / (contrast * np.sqrt(luma.size))
    return Look(normalised, None if points is None else np.asarray(points[:COUNT, :2], np.float32))


class CutWatch:
    """Is shown every frame in turn, keeps a few thumbnails, and knows at the end where the cuts are."""

    def __init__(self) -> None:
        self._looks: deque[Look] = deque(maxlen=2 * WINDOW)
        self._fed = 0
        self._cuts: list[int] = []

    def feed(self, rgb: np.ndarray, points: np.ndarray | None = None) -> None:
        """The next frame, and its landmarks where there is a face."""
        self._looks.append(look_at(rgb, points))
        self._fed += 1
        if len(self._looks) == 2 * WINDOW:
            self._judge(list(self._looks), WINDOW, self._fed - WINDOW)
        elif len(self._looks) > WINDOW:  # the first frames have fewer before them
            self._judge(list(self._looks), len(self._looks) - WINDOW, self._fed - WINDOW)

    def cuts(self) -> tuple[int, ...]:
        """Places, 0-based, of the frames with which another shot begins. To be asked when all frames were fed."""
        looks, cuts = list(self._looks), list(self._cuts)
        for place in range(max(1, len(looks) - WINDOW + 1), len(looks)):
            if is_cut(looks[max(0, place - WINDOW) :], min(place, WINDOW)):
                cuts.append(self._fed - len(looks) + place)
        return tuple(cuts)

    def _judge(self, looks: list[Look], place: int, frame: int) -> None:
        if is_cut(looks, place):
            self._cuts.append(frame)


def is_cut(looks: list[Look], place: int) -> bool:
    """Whether another shot begins with looks[place], of up to WINDOW frames before and WINDOW from there on."""
    before, after = looks[:place], looks[place:]
    steps = [max(one.change(other), STILL) for one, other in pairwise(looks)]
    here = steps.pop(place - 1)
    if min(one.change(other) for one in before for other in after) < LASTING * here:
        return False
    usual, largest = (float(np.median(steps)), max(steps)) if steps else (STILL, STILL)
    if here >= HARD_CHANGE and here >= HARD_SPIKE * usual:
        return True
    if here >= SAME_SET_CHANGE and here >= SAME_SET_SPIKE * largest:
        return True
    moved = before[-1].face_step(after[0]) >= JUMP_OF_FACE
    return moved and here >= JUMP_CHANGE and here >= JUMP_SPIKE * largest


def refuse_cuts(cuts: tuple[int, ...], first_frame: int) -> None:
    """Raise FootageError that names the frames, by the numbers that they have in the shot, where there are any."""
    if not cuts:
        return
    frames, places = format_frames([first_frame + cut for cut in cuts]), format_frames(list(cuts))
    raise FootageError(
        f"The clip holds {len(cuts) + 1} shots: others begin with frames {frames} ({places} counted from 0)."
        if len(cuts) > 1
        else f"The clip holds two shots: the second begins with frame {frames} ({places} counted from 0).",
        hint="Say --split to track each into a package of its own, or --one-shot if that is no cut.",
    )
