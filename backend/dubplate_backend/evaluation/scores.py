# SPDX-License-Identifier: Apache-2.0
"""The figures of one way to make a face, on one shot."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dubplate_shared.files import atomic_path

NAN = float("nan")


@dataclass(frozen=True)
class Scores:
    """One row of the table; what was not measured is not a number.

    shot, method: names.   frames: how many were scored.   crop_px: side of the crop in which the first three are taken.
    psnr [dB], ssim, mouth_psnr [dB]: inside the redraw mask before compositing.   The others are taken on finished
    plates: lip_error_percent, gap_error_percent, gap_correlation, shape_drift_percent, colour_drift (face_points.py),
    flicker, border_flicker (steadiness.py), seam (seam.py), fid, fvd.
    """

    shot: str
    method: str
    frames: int
    crop_px: int = 0
    psnr: float = NAN
    ssim: float = NAN
    mouth_psnr: float = NAN
    lip_error_percent: float = NAN
    gap_error_percent: float = NAN
    gap_correlation: float = NAN
    shape_drift_percent: float = NAN
    colour_drift: float = NAN
    flicker: float = NAN
    border_flicker: float = NAN
    seam: float = NAN
    fid: float = NAN
    fvd: float = NAN

    def to_json(self) -> dict[str, Any]:
        """Values by name; None for what was not measured."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }


def write_table(path: Path, rows: Sequence[Scores]) -> None:
    """scores.csv; what was not measured stays empty. Raises OutputNotWritable."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0].to_json()), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.to_json().items()})
    with atomic_path(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
