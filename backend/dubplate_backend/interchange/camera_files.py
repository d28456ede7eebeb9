# SPDX-License-Identifier: Apache-2.0
"""A solved camera from a matchmove's file: Nuke's .chan, Alembic, USD."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dubplate_backend.interchange.alembic_camera import read_alembic
from dubplate_backend.interchange.chan import read_chan
from dubplate_backend.interchange.film_camera import FilmCamera
from dubplate_backend.interchange.usd_camera import read_usd
from dubplate_backend.tracking.solved_camera import SolvedCamera
from dubplate_shared.errors import InvalidInput

UNITS_M = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254, "ft": 0.3048}
USD_SUFFIXES = (".usd", ".usda", ".usdc", ".usdz")


def load_camera(
    path: Path,
    *,
    width: int,
    height: int,
    frames: np.ndarray,
    filmback_mm: float | tuple[float, float] | None = None,
    focal_mm: float | None = None,
    units: str | None = None,
    pixel_aspect: float = 1.0,
    fps: float | None = None,
    camera: str | None = None,
    rotation_order: str = "ZXY",
) -> SolvedCamera:
    """The camera at a shot's frames, by number.

    width, height: the plate, px.   frames: (T,) whole numbers.   filmback_mm: the film back's width, or width and
    height, where the file does not say or says wrong; the width is what fits the plate's.   focal_mm: likewise; held.
    units: the file's unit of length, "m", "cm", "mm", "in" or "ft"; None: what the file says, else metres.
    pixel_aspect: a pixel's width over its height.   fps: the shot's rate, for Alembic, which counts in seconds.
    camera: its path, where a file has several.   rotation_order: of a .chan; Nuke's is ZXY.
    The world keeps the file's axes; of Alembic and USD it has y up.  Distortion is nought: solved cameras are of
    undistorted plates.
    Raises InvalidInput where the file cannot be read, lacks a frame or a lens, or what is given makes no sense.
    """
    path = Path(path)
    numbers = np.asarray(frames, np.float64)
    if numbers.ndim != 1 or len(numbers) == 0 or (numbers != np.rint(numbers)).any():
        raise InvalidInput("Parts of frames are not read.", hint="Give whole frame numbers.")
    if units is not None and units not in UNITS_M:
        raise InvalidInput(f"{units!r} is no unit of length.", hint=f"It is one of {', '.join(UNITS_M)}.")
    if width < 1 or height < 1 or not pixel_aspect > 0:
        raise InvalidInput("The plate's size or pixel aspect makes no sense.", hint="Give pixels, and 1 or 2.")
    filmback = _filmback(filmback_mm, width, height, pixel_aspect)
    if focal_mm is not None and not focal_mm > 0:
        raise InvalidInput(f"A focal length of {focal_mm:g} mm makes no sense.", hint="Give millimetres.")
    if fps is not None and not fps > 0:
        raise InvalidInput(f"{fps:g} frames a second make no sense.", hint="Give the shot's true rate.")
    if not path.is_file():
        raise InvalidInput(f"{path} does not exist.", hint="Check the path.")
    suffix = path.suffix.lower()
    if suffix == ".chan":
        film = read_chan(
            path,
            numbers,
            picture_aspect=width * pixel_aspect / height,
            filmback_mm=filmback,
            focal_mm=focal_mm,
            rotation_order=rotation_order,
        )
    elif suffix == ".abc":
        film = _with_lens(read_alembic(path, numbers, fps=fps, camera=camera), filmback, focal_mm)
    elif suffix in USD_SUFFIXES:
        film = _with_lens(read_usd(path, numbers, camera=camera, in_metres=units is None), filmback, focal_mm)
    else:
        raise InvalidInput(f"{path.name} is no known camera file.", hint="Give .chan, .abc, .usd, .usda or .usdc.")
    return film.solved(width, height, pixel_aspect, UNITS_M[units] if units else film.unit_m or 1.0)


def _filmback(
    given: float | tuple[float, float] | None, width: int, height: int, pixel_aspect: float
) -> tuple[float, float] | None:
    """Width and height, mm; of the plate's shape where the width alone is given."""
    if given is None:
        return None
    back = (float(given), float(given) * height / (width * pixel_aspect)) if np.isscalar(given) else tuple(given)
    if len(back) != 2 or not min(back) > 0:
        raise InvalidInput(f"A film back of {given} mm makes no sense.", hint="Give its width in millimetres.")
    return back


def _with_lens(film: FilmCamera, filmback: tuple[float, float] | None, focal_mm: float | None) -> FilmCamera:
    """What the user says in place of what the file says."""
    count = len(film.focal_mm)
    width = film.width_mm if filmback is None else np.full(count, filmback[0])
    shift = film.shift * (film.width_mm / width)[:, None]
    focal = film.focal_mm if focal_mm is None else np.full(count, focal_mm)
    return FilmCamera(film.world_from_camera, focal, width, shift, film.unit_m)
