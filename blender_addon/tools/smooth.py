# SPDX-License-Identifier: GPL-3.0-or-later
"""Savitzky-Golay smoothing that keeps chosen frames as they are. No bpy.

A polynomial is fitted to the frames of a window by least squares and read in its middle (Savitzky & Golay 1964). What
shall stay weighs so much more than the rest that its neighbours' polynomials run through it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_PINNED_WEIGHT = 1e4  # in the sum of squares: neighbours pass a pinned value within a ten-thousandth


def smooth(values: Array, *, start: int, stop: int, pinned: Array, reach: int, order: int = 3) -> Array:
    """Smooth the rows start to stop (excluded); all others, and the pinned ones, are returned as they came.

    values: (T, C), whose rows outside take part as neighbours.  pinned: (T,) bool.  reach: rows on either side of the
    window's middle.  order: of the polynomial; a window with too few rows lowers it.
    """
    result = np.array(values, np.float64)
    weight = np.where(pinned, _PINNED_WEIGHT, 1.0)
    for edge in (start - 1, stop):  # so that the stretch runs into what lies beside it
        if 0 <= edge < len(values):
            weight[edge] = _PINNED_WEIGHT
    for row in range(start, stop):
        if not pinned[row]:
            first, last = max(row - reach, 0), min(row + reach + 1, len(values))
            result[row] = _middle(values[first:last], np.arange(first, last) - row, weight[first:last], order)
    return result


def _middle(values: Array, offsets: Array, weight: Array, order: int) -> Array:
    """The fitted polynomial at offset 0.  values: (W, C).  offsets, weight: (W,).  Returns (C,)."""
    powers = np.vander(offsets / max(np.abs(offsets).max(), 1), min(order, len(offsets) - 1) + 1, increasing=True)
    root = np.sqrt(weight)[:, None]
    return np.asarray(np.linalg.lstsq(powers * root, values * root, rcond=None)[0][0])
