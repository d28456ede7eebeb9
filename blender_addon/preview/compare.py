# SPDX-License-Identifier: GPL-3.0-or-later
"""What a preview shows, as one picture with its place on the plate: dubbed, beside or against what was filmed. No bpy.

Where a picture is transparent the plate itself is seen, and the head before it. What was filmed comes with the first
finished picture of a frame; until then wipe and A/B make do with what is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.messages import Stage
from dubplate_shared.tiles import Pixels

from .cache import FramePictures

Array = npt.NDArray[Any]

DIFFERENCE_GAIN = 8.0
_WIPE_LINE = 1 / 300  # of the picture's width


class Mode(StrEnum):
    """What is shown."""

    OFF = "OFF"
    DUBBED = "DUBBED"
    WIPE = "WIPE"
    SIDE = "SIDE"
    DIFFERENCE = "DIFFERENCE"
    FILMED = "FILMED"  # A/B: not chosen, but flipped to


@dataclass(frozen=True)
class Placed:
    """rgba: float32 [h, w, 4], rows from the top, display-referred.

    corners: (4, 2) plate pixels of its top left, top right, bottom right and bottom left.
    """

    rgba: Array
    corners: Array


def arrange(mode: Mode, pictures: FramePictures, filmed: Pixels | None, wipe: float = 0.5) -> Placed | None:
    """The picture to show; None where nothing can be. wipe: 0 shows all of the dub, 1 none of it."""
    drawn = pictures.best
    if drawn is None or mode == Mode.OFF:
        return None
    if mode == Mode.DUBBED:
        return _as_drawn(drawn)
    if filmed is None:
        return _wiped(_as_drawn(drawn), wipe) if mode == Mode.WIPE else None
    if mode == Mode.FILMED:
        return _as_drawn(filmed)
    high, wide = filmed.array.shape[:2]
    dub = _in_pixels_of(filmed, drawn)
    alpha = _plane(dub, 3) if drawn.header.stage == Stage.CROP else None
    edge = _edge(wide, wipe)
    rgba = np.empty((high, 2 * wide if mode == Mode.SIDE else wide, 4), np.float32)
    for channel in range(3):  # planes fit into the processor's cache: these are the milliseconds of a drag
        before, after, shown = _plane(filmed.array, channel), _plane(dub, channel), rgba[..., channel]
        if alpha is not None:
            after -= before
            after *= alpha
            after += before
        if mode == Mode.SIDE:
            shown[:, :wide], shown[:, wide:] = before, after
        elif mode == Mode.WIPE:
            shown[:, :edge], shown[:, edge:] = before[:, :edge], after[:, edge:]
        else:
            after -= before
            np.abs(after, out=after)
            after *= DIFFERENCE_GAIN
            np.minimum(after, 1.0, out=shown)
    rgba[..., 3] = 1.0
    if mode == Mode.WIPE:
        _draw_line(rgba, edge)
    return Placed(rgba, _doubled(_box(filmed)) if mode == Mode.SIDE else _box(filmed))


class Arranged:
    """The last picture that was arranged, for as long as nothing that it shows is another: a window redraws often."""

    def __init__(self) -> None:
        self._of: tuple[object, ...] = ()
        self._held: tuple[Pixels | None, ...] = ()
        self._placed: Placed | None = None

    def __call__(
        self,
        mode: Mode,
        pictures: FramePictures,
        filmed: Pixels | None,
        wipe: float,
        scale: tuple[float, float],
    ) -> Placed | None:
        """As `arrange`, in pixels of the scene.  scale: how many of them one of the plate's is, across and down."""
        of = (mode, wipe if mode == Mode.WIPE else 0.0, id(pictures.best), id(filmed), scale)
        if of != self._of:
            placed = arrange(mode, pictures, filmed, wipe)
            self._of, self._placed = of, placed and Placed(placed.rgba, placed.corners * scale)
            self._held = (pictures.best, filmed)  # so that no other picture gets the same id
        return self._placed


def onto_plate(placed: Placed, width: int, height: int) -> tuple[Array, int, int]:
    """The picture in the plate's own pixels, nearest ones taken: float32 [h, w, 4], and the first one's x and y."""
    (left, top), (right, bottom) = np.floor(placed.corners.min(axis=0)), np.ceil(placed.corners.max(axis=0))
    columns = np.arange(max(0, int(left)), max(0, min(width, int(right))))
    rows = np.arange(max(0, int(top)), max(0, min(height, int(bottom))))
    return _sampled(placed.rgba, placed.corners, columns, rows), max(0, int(left)), max(0, int(top))


def _sampled(rgba: Array, corners: Array, columns: Array, rows: Array) -> Array:
    """A placed picture's pixels at plate pixels: [rows, columns, 4] of its own type, transparent outside it."""
    high, wide = rgba.shape[:2]
    origin, across, down = corners[0], corners[1], corners[3]
    to_picture = np.linalg.inv(np.stack([(across - origin) / wide, (down - origin) / high], axis=1))  # (2, 2)
    x, y = columns + 0.5 - origin[0], rows + 0.5 - origin[1]
    if abs(to_picture[0, 1]) + abs(to_picture[1, 0]) < 1e-9:  # upright, as nearly all crops are
        u, v = np.floor(to_picture[0, 0] * x).astype(int), np.floor(to_picture[1, 1] * y).astype(int)
        found = rgba.take(v, axis=0, mode="clip").take(u, axis=1, mode="clip")
        found[(v < 0) | (v >= high)] = 0.0
        found[:, (u < 0) | (u >= wide)] = 0.0
        return found
    u = np.floor(to_picture[0, 0] * x[None, :] + to_picture[0, 1] * y[:, None]).astype(int)
    v = np.floor(to_picture[1, 0] * x[None, :] + to_picture[1, 1] * y[:, None]).astype(int)
    found = rgba[np.clip(v, 0, high - 1), np.clip(u, 0, wide - 1)]
    found[(u < 0) | (u >= wide) | (v < 0) | (v >= high)] = 0.0
    return found


def _as_drawn(drawn: Pixels) -> Placed:
    if drawn.header.stage == Stage.CROP:
        return Placed(drawn.array.astype(np.float32), _crop_corners(drawn))
    rgba = np.empty((*drawn.array.shape[:2], 4), np.float32)
    for channel in range(3):
        rgba[..., channel] = _plane(drawn.array, channel)
    rgba[..., 3] = 1.0
    return Placed(rgba, _box(drawn))


def _in_pixels_of(filmed: Pixels, drawn: Pixels) -> Array:
    """The drawn picture's part that filmed shows, float16 [h, w, channels]."""
    header, (high, wide) = filmed.header, filmed.array.shape[:2]
    if drawn.header.stage == Stage.CROP:
        columns, rows = header.x + np.arange(wide), header.y + np.arange(high)
        return _sampled(drawn.array, _crop_corners(drawn), columns, rows)
    left, top = header.x - drawn.header.x, header.y - drawn.header.y
    return drawn.array[top : top + high, left : left + wide]


def _plane(halves: Array, channel: int) -> Array:
    """One channel, float32 [h, w]."""
    return np.ascontiguousarray(halves[..., channel]).astype(np.float32)


def _edge(wide: int, wipe: float) -> int:
    return round(np.clip(wipe, 0.0, 1.0) * wide)


def _wiped(placed: Placed, wipe: float) -> Placed:
    """The dub right of a line, and left of it nothing."""
    edge = _edge(placed.rgba.shape[1], wipe)
    placed.rgba[:, :edge] = 0.0
    _draw_line(placed.rgba, edge)
    return placed


def _draw_line(rgba: Array, edge: int) -> None:
    wide = rgba.shape[1]
    if 0 < edge < wide:
        rgba[:, edge : edge + max(1, round(wide * _WIPE_LINE))] = 1.0


def _box(pixels: Pixels) -> Array:
    header, (high, wide) = pixels.header, pixels.array.shape[:2]
    left, top = header.x, header.y
    return np.array([[left, top], [left + wide, top], [left + wide, top + high], [left, top + high]], np.float64)


def _doubled(corners: Array) -> Array:
    """A box twice as wide around the same middle."""
    half = 0.5 * (corners[1] - corners[0])
    return corners + np.stack([-half, half, half, -half])


def _crop_corners(pixels: Pixels) -> Array:
    matrix = np.reshape(np.asarray(pixels.header.matrix, np.float64), (2, 3))  # plate px -> unit square
    unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
    return np.linalg.solve(matrix[:, :2], (unit - matrix[:, 2]).T).T
