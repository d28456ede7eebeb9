# SPDX-License-Identifier: Apache-2.0
"""Nuke's channel files: a line for each frame, `frame tx ty tz rx ry rz [vfov]`, degrees.

Nuke turns about z first, then x, then y (its order ZXY), unless the camera said otherwise: the file does not.
Source: Foundry's and Blender's manuals of the format.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dubplate_backend.head.unpickle import read_limited
from dubplate_backend.interchange.film_camera import LARGEST, FilmCamera
from dubplate_shared.errors import InvalidInput

WHAT = "a .chan file"
MAX_FILE_BYTES = 64 << 20
ORDERS = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")
_COLUMNS = (7, 8)
_WIDTH_MM = 36.0  # of a film back that nobody names: what counts is the angle


def read_chan(
    path: Path,
    frames: np.ndarray,
    *,
    picture_aspect: float,
    filmback_mm: tuple[float, float] | None,
    focal_mm: float | None,
    rotation_order: str,
) -> FilmCamera:
    """The camera at frame numbers.

    frames: (T,).   picture_aspect: the picture's width over its height as it is seen.   filmback_mm: width and height
    of the film back; None: of the picture's shape.   focal_mm: where the file has no angle, or a wrong one.
    Raises InvalidInput where the file is none, lacks frames, or no lens is known.
    """
    if rotation_order not in ORDERS:
        raise InvalidInput(f"{rotation_order} is no order of turns.", hint=f"It is one of {', '.join(ORDERS)}.")
    table = _at_frames(path, _table(path), frames)
    lens_mm = filmback_mm or (_WIDTH_MM, _WIDTH_MM / picture_aspect)
    if focal_mm is not None:
        if filmback_mm is None:
            raise InvalidInput("A focal length without a film back says nothing.", hint="Give the film back's width.")
        focal = np.full(len(table), focal_mm)
    elif table.shape[1] == max(_COLUMNS):
        angle = table[:, 7]
        if ((angle <= 0) | (angle >= 180)).any():
            raise InvalidInput(
                f"{path.name}: an angle of view is not between 0 and 180 degrees.", hint="Export the camera again."
            )
        focal = 0.5 * lens_mm[1] / np.tan(0.5 * np.radians(angle))
    else:
        raise InvalidInput(
            f"{path.name} has no angle of view.", hint="Give the focal length and the film back's width, millimetres."
        )
    matrix = np.tile(np.eye(4), (len(table), 1, 1))
    for axis in rotation_order:
        matrix[:, :3, :3] = _turn("XYZ".index(axis), np.radians(table[:, 4 + "XYZ".index(axis)])) @ matrix[:, :3, :3]
    matrix[:, :3, 3] = table[:, 1:4]
    return FilmCamera(matrix, focal, np.full(len(table), lens_mm[0]), np.zeros((len(table), 2)))


def _table(path: Path) -> np.ndarray:
    """[N, 7 or 8] numbers, comments left out."""
    lines = read_limited(path, WHAT, MAX_FILE_BYTES).decode("utf-8", "replace").splitlines()
    rows = []
    for number, line in enumerate(lines, 1):
        cells = line.partition("#")[0].replace(",", " ").split()
        if not cells:
            continue
        try:
            row = [float(cell) for cell in cells]
        except ValueError as error:
            raise InvalidInput(
                f"{path.name}, line {number}: {error}.", hint="Is it a .chan file of a camera?"
            ) from error
        if len(row) not in _COLUMNS or (rows and len(row) != len(rows[0])) or not (np.abs(row) < LARGEST).all():
            raise InvalidInput(
                f"{path.name}, line {number}: {len(row)} numbers where 7, or 8 with the angle of view, are due.",
                hint="Export the camera again.",
            )
        rows.append(row)
    if not rows:
        raise InvalidInput(f"{path.name} holds no frames.", hint="Export the camera again.")
    return np.array(rows)


def _at_frames(path: Path, table: np.ndarray, frames: np.ndarray) -> np.ndarray:
    whole = np.rint(table[:, 0])
    if (whole != table[:, 0]).any():
        part = table[whole != table[:, 0], 0][0]
        raise InvalidInput(
            f"{path.name} has a frame {part:g}: parts of frames are not read.", hint="Export one line for each frame."
        )
    places = {int(number): row for row, number in enumerate(whole)}
    missing = [int(frame) for frame in frames if int(frame) not in places]
    if missing:
        raise InvalidInput(
            f"{path.name} lacks frame {missing[0]} (it has {int(whole.min())}-{int(whole.max())}).",
            hint="Export the camera over the shot's frame numbers, or give the shot the plate's first frame.",
        )
    return table[[places[int(frame)] for frame in frames]]


def _turn(axis: int, angle: np.ndarray) -> np.ndarray:
    """[T, 3, 3] about one axis."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.tile(np.eye(3), (len(angle), 1, 1))
    matrix[:, first, first] = matrix[:, second, second] = np.cos(angle)
    matrix[:, second, first] = np.sin(angle)
    matrix[:, first, second] = -np.sin(angle)
    return matrix
