# SPDX-License-Identifier: Apache-2.0
"""Footage and heads that benchmarks look at and that are no part of the project: named by the environment, or beside
the checkout."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dubplate_backend.plates.footage import Footage
from dubplate_backend.plates.segment import Segment

MAN_CLIP = "kitchen_man_25fps.mp4"

_CHECKOUT = Path(__file__).parents[3]
_LABELS = _CHECKOUT / "tests" / "tracking" / "labels"


def clip(name: str) -> Path | None:
    """A development clip in $DUBPLATE_CLIPS, or in shared/clips beside the checkout; None where it is not there."""
    return _found("DUBPLATE_CLIPS", "clips", name)


def real(name: str, start: int, stop: int | None) -> Iterator[Segment]:
    """Frames of a development clip; none, and a line that says so, where it is not there."""
    path = clip(name)
    if path is None:
        print(f"{name} is not here; set DUBPLATE_CLIPS to the folder that holds it", flush=True)
        return
    footage = Footage.open(path)
    yield Segment(footage, start, footage.count if stop is None else stop)


def head_file(name: str) -> Path | None:
    """A head model to test against in $DUBPLATE_HEADS, or in shared/heads beside the checkout; None where it is not
    there."""
    return _found("DUBPLATE_HEADS", "heads", name)


def lip_contact_labels(clip_name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Frames (N,) that a person labelled surely, and whether the lips touch on them (N,); None without labels."""
    path = _LABELS / f"{clip_name}_lip_contact.csv"
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["contact"] in ("yes", "no")]
    return np.array([int(row["frame"]) for row in rows]), np.array([row["contact"] == "yes" for row in rows])


def _found(variable: str, folder: str, name: str) -> Path | None:
    path = Path(os.environ.get(variable, _CHECKOUT.parent / "shared" / folder)) / name
    return path if path.is_file() else None
