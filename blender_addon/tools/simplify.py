# SPDX-License-Identifier: GPL-3.0-or-later
"""Fewer keys for the curves of a face, as few as a bound in millimetres at the lips allows. No bpy.

All curves are keyed on the same frames, so that a key is a whole mouth; between keys they run as Blender's Bezier
curves with handles at thirds: cubics with the slopes that the performance has in its keys. Keys are added where a
stretch between two is worst, in all stretches at once, until none is beyond the bound (Ramer 1972, Douglas & Peucker
1973, measured on the head's skin).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.rig import Rig

from .face_points import FacePoints
from .hermite import hermite
from .mouth import UPPER_FACE
from .mouths import Mouths

Array = npt.NDArray[Any]

_FEW_VERTICES = 120
_LEAST_ROWS = 5  # that the five-point rule reads


def key_rows(rig: Rig, mouths: Mouths, curves: Array, effect: Array, *, most_mm: float, keep: Array) -> Array:
    """Rows to key `curves` on such that no point of lips, lids and brows is off by more than `most_mm` in any row.

    mouths: what the face does.  curves: (T, K), a part of it, or all.  effect: (K, 103), what a unit of each adds to
    jaw and expression.  keep: rows that get a key in any case; the first and the last always do.  Returns ascending
    rows.
    """
    vertices = np.union1d(np.flatnonzero(rig.masks["lips"]), rig.faces[rig.landmark_faces[list(UPPER_FACE)]])
    keyed = np.zeros(len(mouths), bool)
    keyed[[0, -1]] = True
    keyed[np.asarray(keep, int)] = True
    # Neighbouring vertices are off alike: a few tell where keys are needed, and all of them whether it was enough.
    few = vertices[:: max(len(vertices) // _FEW_VERTICES, 1)]
    for some in (few, vertices):
        keyed = _added(FacePoints.of_vertices(rig, some), mouths, curves, effect, keyed, most_mm)
    return np.flatnonzero(keyed)


def _added(points: FacePoints, mouths: Mouths, curves: Array, effect: Array, keyed: Array, most_mm: float) -> Array:
    """`keyed` and the rows that the bound asks for at these points."""
    columns, slopes = mouths.columns(), slopes_of(curves)
    wanted = points.positions(mouths.expression, mouths.jaw)
    keyed = keyed.copy()
    loose = ~keyed  # rows whose stretch may be beyond the bound
    while loose.any():
        keys, rows = np.flatnonzero(keyed), np.flatnonzero(loose)
        drawn = between_keys(curves[keys], slopes[keys], keys, rows)
        found = Mouths.of_columns(columns[rows] + (drawn - curves[rows]) @ effect)
        apart = points.positions(found.expression, found.jaw) - wanted[rows]
        error_mm = np.zeros(len(keyed))
        error_mm[rows] = 1e3 * np.linalg.norm(apart, axis=-1).max(axis=1)
        worst = _worst_of_each(error_mm, keys, most_mm)
        keyed[worst] = True
        loose = _split(keyed, worst)
    return keyed


def between_keys(values: Array, slopes: Array, keys: Array, rows: Array) -> Array:
    """What curves with these keys have in `rows`.  values, slopes: (K, C).  keys: (K,) ascending.  Returns (R, C)."""
    left = np.clip(np.searchsorted(keys, rows, side="right") - 1, 0, len(keys) - 2)
    width = np.diff(keys)[left][:, None].astype(float)
    part = (rows - keys[left])[:, None] / width
    return hermite(part, width, values[left], values[left + 1], slopes[left], slopes[left + 1])


def slopes_of(values: Array) -> Array:
    """Derivatives a row by the five-point rule, (T, C); beyond the ends the curve goes on mirrored in them."""
    if len(values) < _LEAST_ROWS:
        return np.gradient(values, axis=0) if len(values) > 1 else np.zeros_like(values)
    padded = np.pad(values, ((2, 2), (0, 0)), mode="reflect", reflect_type="odd")
    return np.asarray((8 * (padded[3:-1] - padded[1:-3]) - (padded[4:] - padded[:-4])) / 12)


def _worst_of_each(error: Array, keys: Array, most: float) -> Array:
    """The worst row of every stretch that is beyond the bound."""
    worst = [first + int(np.argmax(error[first:last])) for first, last in pairwise(keys)]
    return np.array([row for row in worst if error[row] > most], int)


def _split(keyed: Array, new: Array) -> Array:
    """Rows of the stretches that the new keys have made."""
    keys, split = np.flatnonzero(keyed), np.zeros(len(keyed), bool)
    for place in np.searchsorted(keys, new):
        split[keys[place - 1] : keys[place + 1]] = True
    return split & ~keyed
