# SPDX-License-Identifier: Apache-2.0
"""Interlaced pictures, told by how their lines fit: what the file says of its fields is often wrong.

Where something moves, each line of a progressive picture fits the lines between which it lies better than those of the
picture before or after; in an interlaced one they belong to other moments, and one of the neighbouring pictures' lines
are as near in time. The comparison is that of FFmpeg's idet (see libavfilter/vf_idet.c), on moving points only.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from dubplate_shared.errors import FootageError

BANDS, BAND_PX = 6, 16  # upright bands that are looked at, spread over the width
MOVING_LEVELS = 12  # change from the picture before to the one after, of 255
LEAST_MOVING_SHARE = 0.002  # of the points looked at; with less, a frame says nothing
# Lines fit worse than the other moment's by this factor: idet's own factor for "progressive" is 1.5, on all points.
FITS_BETTER = 1.3
# Frames that have to say so before it is believed; one will do where the file says so too.
LEAST_FRAMES = 5
# Two frames of five are woven from two film frames in 3:2 pulldown.
INTERLACED_SHARE = 0.25
CERTAIN_FRAMES = 12  # so many moving frames are enough to stop early


class CombWatch:
    """Is shown every frame in turn and counts those whose two fields are of different moments."""

    def __init__(self, *, stated: bool = False) -> None:
        """stated: whether the file calls its pictures interlaced."""
        self._least = 1 if stated else LEAST_FRAMES
        self._lines: deque[np.ndarray] = deque(maxlen=3)
        self.interlaced = self.progressive = 0

    def feed(self, rgb: np.ndarray) -> None:
        """The next frame, uint8 [H, W, 3]."""
        starts = np.linspace(0, max(0, rgb.shape[1] - BAND_PX), BANDS).astype(int)
        bands = [rgb[:, start : start + BAND_PX, 1] for start in starts]
        self._lines.append(np.concatenate(bands, axis=1).astype(np.int16))
        if len(self._lines) == 3:
            verdict = woven(*self._lines)
            self.interlaced += verdict is True
            self.progressive += verdict is False

    @property
    def found(self) -> bool:
        """Whether the frames so far are interlaced."""
        return self.interlaced >= max(self._least, INTERLACED_SHARE * (self.interlaced + self.progressive))

    @property
    def certain(self) -> bool:
        """Whether so many frames say so that the rest need not be seen."""
        return self.found and self.interlaced >= CERTAIN_FRAMES


def woven(before: np.ndarray, here: np.ndarray, after: np.ndarray) -> bool | None:
    """Whether `here` holds two moments, each [H, C] luma of three frames in a row; None where too little moves."""
    middle = here[1:-1]
    moving = np.abs(after - before)[1:-1] > MOVING_LEVELS
    if moving.sum() < LEAST_MOVING_SHARE * moving.size:
        return None
    own, earlier, later = (misfit(lines, middle, moving) for lines in (here, before, after))  # (odd lines, even lines)
    # Either field may come first: its lines then lie beside the other field of the picture before, the other's beside
    # the picture after.
    first = earlier[1] + later[0]
    second = earlier[0] + later[1]
    if max(first, second) > FITS_BETTER * min(first, second) and sum(own) > min(first, second) / FITS_BETTER:
        return True
    return False if min(first, second) > FITS_BETTER * sum(own) else None


def misfit(lines: np.ndarray, middle: np.ndarray, moving: np.ndarray) -> tuple[float, float]:
    """How badly each line of `middle` lies between those above and below it in `lines`: sums of odd and even lines."""
    apart = np.abs(lines[:-2] + lines[2:] - 2 * middle) * moving
    return float(apart[0::2].sum()), float(apart[1::2].sum())


def interlaced_footage() -> FootageError:
    """What is said of it, with the command that mends it."""
    return FootageError(
        "The footage is interlaced: each picture holds two moments in alternate lines, and a face is in neither.",
        hint="Deinterlace it: ffmpeg -i INPUT -vf bwdif=mode=send_frame -c:v ffv1 -c:a copy OUTPUT.mkv (for film with "
        "3:2 pulldown -vf fieldmatch,decimate instead of bwdif).",
    )
