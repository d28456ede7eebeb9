# SPDX-License-Identifier: Apache-2.0
"""Recordings of Live Link Face (Epic Games): a CSV of ARKit's shapes and of head and eye angles.

Columns are read by name: their order is not Apple's, and the case of `BlendShapeCount` varies.  Time codes are
HH:MM:SS:FF.mmm, with frames counted at the app's rate.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np

from dubplate_backend.head.unpickle import read_limited
from dubplate_backend.interchange.arkit import NAMES, arkit_name
from dubplate_backend.interchange.eye_looks import SIDES, eyes_of
from dubplate_backend.interchange.face_performance import FacePerformance
from dubplate_shared.errors import InvalidInput

WHAT = "a recording of Live Link Face"
MAX_FILE_BYTES = 256 << 20
"""An hour at 60 frames a second is 130 MB."""
TIMECODE_RATES = (24, 25, 30, 48, 50, 60)
USUAL_RATE = 60
_TIMECODE = re.compile(r"^(\d{1,2}):(\d\d):(\d\d)[:;](\d\d(?:\.\d+)?)$")
_DAY_S = 86400
_ANGLES = {(side, turn): f"{side}eye{turn}" for side in SIDES for turn in ("yaw", "pitch")}  # columns, in lower case


def read_live_link(path: Path, *, fps: float | None = None) -> FacePerformance:
    """A recording.

    fps: the rate of the rows, where the time codes are missing or wrong; None: as the time codes say.
    Raises InvalidInput where it is none, or broken.
    """
    header, rows = _table(path)
    columns = {name: index for index, text in enumerate(header) if (name := arkit_name(text)) is not None}
    if not columns:
        raise InvalidInput(
            f"{path.name} has no columns of face shapes.", hint="Give the CSV that Live Link Face recorded."
        )
    numbers = {name: _column(path, rows, index) for name, index in columns.items()}
    times, sample_s, timecode_s, kept = _clock(path, header, rows, fps)
    weights = {name: values[kept] for name, values in numbers.items()}
    places = {text.lower(): index for index, text in enumerate(header)}
    angles = {key: _column(path, rows, places[name])[kept] for key, name in _ANGLES.items() if name in places}
    notes = []
    absent = [name for name in NAMES if name not in columns]
    if absent:
        notes.append(f"{path.name} lacks {len(absent)} of ARKit's 52 shapes, taken as 0: {', '.join(absent[:6])} ...")
    return FacePerformance(times, sample_s, weights, eyes_of(weights, angles), timecode_s, tuple(notes))


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        text = read_limited(path, WHAT, MAX_FILE_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path.name} is no text.", hint="Give the CSV that Live Link Face recorded.") from error
    lines = [row for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)]
    if len(lines) < 2:
        raise InvalidInput(f"{path.name} holds no rows.", hint="Record again: the app may have been stopped at once.")
    header = [cell.strip() for cell in lines[0]]
    for number, row in enumerate(lines[1:], 2):
        if len(row) != len(header):
            raise InvalidInput(
                f"{path.name}, line {number}: {len(row)} cells under {len(header)} columns.",
                hint="The file may have been cut off: delete that line, or record again.",
            )
    return header, lines[1:]


def _column(path: Path, rows: list[list[str]], index: int) -> np.ndarray:
    try:
        values = np.array([float(row[index]) for row in rows])
    except ValueError as error:
        raise InvalidInput(f"{path.name}: {error}.", hint="Mend that cell, or record again.") from error
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise InvalidInput(f"{path.name}, line {bad[0] + 2}: no number.", hint="Mend that cell, or record again.")
    return values


def _clock(
    path: Path, header: list[str], rows: list[list[str]], fps: float | None
) -> tuple[np.ndarray, float, float | None, np.ndarray]:
    """Times (N,) from the first row, seconds of a row, time of day of the first, and the rows kept."""
    column = next((index for index, text in enumerate(header) if text.lower() == "timecode"), None)
    cells = [row[column].strip() for row in rows] if column is not None else []
    found = [_TIMECODE.match(cell) for cell in cells]
    every = np.arange(len(rows))
    if not found or any(match is None for match in found):
        if fps is None:
            raise InvalidInput(
                f"{path.name} has no time codes of the form HH:MM:SS:FF.",
                hint=f"Say at what rate it was recorded: --fps {USUAL_RATE}.",
            )
        return every / fps, 1.0 / fps, None, every
    fields = np.array([[float(part) for part in match.groups()] for match in found if match is not None])  # [N, 4]
    rate = next((rate for rate in TIMECODE_RATES if rate > fields[:, 3].max()), None)
    whole_seconds = len(np.unique(fields[:, 2])) > 2  # a shorter recording need not show its highest frame number
    if rate is None or not whole_seconds:
        rate = USUAL_RATE
    day_s = fields[:, :3] @ (3600, 60, 1) + fields[:, 3] / rate
    if fps is not None:
        return every / fps, 1.0 / fps, float(day_s[0]), every
    day_s += _DAY_S * np.cumsum(np.concatenate([[0], np.diff(day_s) < -_DAY_S / 2]))
    kept = np.flatnonzero(np.concatenate([np.diff(day_s) > 0, [True]]))  # of rows with one time code the last
    times = day_s[kept] - day_s[kept[0]]
    if (np.diff(times) <= 0).any():
        raise InvalidInput(
            f"{path.name}: its time codes run backwards.", hint=f"Say at what rate it was recorded: --fps {USUAL_RATE}."
        )
    sample_s = float(np.median(np.diff(times))) if len(times) > 1 else 1.0 / rate
    return times, sample_s, float(day_s[kept[0]]), kept
