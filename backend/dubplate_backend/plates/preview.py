# SPDX-License-Identifier: Apache-2.0
"""Finished plates as people look at them: a movie with the dub's sound, and a contact sheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np

from dubplate_backend.plates.colour import PlateColour
from dubplate_backend.plates.display import srgb_curve
from dubplate_backend.plates.exr import read_exr
from dubplate_backend.plates.movie import write_movie
from dubplate_backend.plates.source import Plate
from dubplate_backend.speech.sound import audio, write_wav
from dubplate_shared.files import atomic_path
from dubplate_shared.shot import Rate

MOVIE_SIDE = 1280  # px, the longer side of a preview at most
SHEET_SIDE = 320  # px, one picture of the contact sheet
SHEET_DIFFERENCE = 8  # differences are shown that many times over
SHEET_MARGIN = 0.15  # of the matte's box
CAPTION_PX = 22


def as_seen(rgb: np.ndarray, colour: PlateColour) -> np.ndarray:
    """uint8 [H, W, 3]: display-referred pixels as they are, scene-linear ones through the sRGB curve, clipped at 1."""
    values = np.clip(np.nan_to_num(rgb.astype(np.float32), nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    if colour.scene_linear:
        values = srgb_curve(values)
    return np.round(values * 255).astype(np.uint8)


def write_preview(path: Path, plates: Iterator[np.ndarray], rate: Rate, sound: Path | None, start_s: float) -> None:
    """A movie of pictures that follow one another.

    plates: uint8 [H, W, 3] each.  sound: the voice of the whole shot, of which the part from `start_s` is heard.
    """
    pictures = (_fitted(picture) for picture in plates)
    if sound is None or start_s <= 0:
        write_movie(path, pictures, rate, sound)
        return
    samples, per_second = audio(sound)
    with TemporaryDirectory(prefix="dubplate-preview-") as folder:
        part = Path(folder) / "sound.wav"
        rest = samples[round(start_s * per_second) :]
        write_wav(part, rest if len(rest) else np.zeros(per_second, np.float32), per_second)
        write_movie(path, pictures, rate, part)


def contact_sheet(path: Path, rows: Sequence[tuple[Plate, Path]]) -> None:
    """One row a frame: plate, finished plate, matte, difference times eight; all around the matte.

    rows: each plate and its finished EXR.  Raises InvalidInput where one cannot be read, OutputNotWritable.
    """
    drawn = [_row(plate, finished) for plate, finished in rows]
    heading = _caption(("plate", "dubbed", "matte", f"difference x{SHEET_DIFFERENCE}"), drawn[0].shape[1])
    sheet = np.vstack([heading, *drawn])
    with atomic_path(path) as temporary:
        _, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
        temporary.write_bytes(data.tobytes())


def _row(plate: Plate, finished: Path) -> np.ndarray:
    exr = read_exr(finished)
    alpha = exr.part("dp_elem").channels["dp_elem.A"].astype(np.float32)
    area = _around(alpha)
    before, after = as_seen(plate.rgb, plate.colour)[area], as_seen(exr.parts[0].rgb(), plate.colour)[area]
    matte = np.repeat(np.round(alpha[area] * 255).astype(np.uint8)[..., None], 3, axis=2)
    difference = np.abs(after.astype(np.int16) - before.astype(np.int16)) * SHEET_DIFFERENCE
    pictures = (before, after, matte, np.minimum(difference, 255).astype(np.uint8))
    row = np.hstack([_squared(picture) for picture in pictures])
    cv2.putText(row, str(plate.frame), (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return row


def _around(alpha: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of a square around what is drawn, or the whole plate where nothing is."""
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    if not len(rows):
        return slice(None), slice(None)
    half = round((0.5 + SHEET_MARGIN) * max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1)
    y, x = (rows[0] + rows[-1]) // 2, (columns[0] + columns[-1]) // 2
    return slice(max(0, y - half), y + half), slice(max(0, x - half), x + half)


def _squared(picture: np.ndarray) -> np.ndarray:
    """Fitted into a square of SHEET_SIDE on black."""
    scale = SHEET_SIDE / max(picture.shape[:2])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    fitted = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    square = np.zeros((SHEET_SIDE, SHEET_SIDE, 3), np.uint8)
    square[: size[1], : size[0]] = fitted
    return square


def _caption(texts: Sequence[str], width: int) -> np.ndarray:
    line = np.zeros((CAPTION_PX, width, 3), np.uint8)
    for column, text in enumerate(texts):
        place = (column * SHEET_SIDE + 6, CAPTION_PX - 7)
        cv2.putText(line, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (200, 200, 200), 1, cv2.LINE_AA)
    return line


def _fitted(picture: np.ndarray) -> np.ndarray:
    scale = MOVIE_SIDE / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
