# SPDX-License-Identifier: GPL-3.0-or-later
"""A moment of a performance moved in time while the ends of its stretch stay. No bpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.errors import InvalidInput

from .hermite import hermite

Array = npt.NDArray[Any]


def retimed(values: Array, *, start: int, stop: int, moment: int, to: int) -> Array:
    """Play the rows start to stop (excluded) such that what happened in row `moment` happens in row `to`.

    values: (T, C), read between rows on straight lines, as the curves are.  The first and the last row of the stretch
    stay, and so does the pace there as far as time may not run backwards.  Raises InvalidInput where `moment` or `to`
    is not inside.
    """
    last = stop - 1
    if not (start < moment < last and start < to < last):
        raise InvalidInput(
            f"Both frames of a retime lie inside its stretch; {moment - start} and {to - start} of "
            f"{last - start} do not.",
            hint="Widen the range, or choose frames between its ends.",
        )
    rows = np.arange(start, stop)
    source = _monotone(np.array([start, to, last]), np.array([start, moment, last]), rows)
    result = np.array(values, np.float64)
    before = np.clip(np.floor(source).astype(int), start, last - 1)
    share = (source - before)[:, None]
    result[rows] = (1.0 - share) * values[before] + share * values[before + 1]
    result[start], result[last] = values[start], values[last]
    return result


def _monotone(knots: Array, heights: Array, at: Array) -> Array:
    """A cubic through three points that never turns back (Fritsch & Carlson 1980); slope 1 at the ends if it may."""
    width, secant = np.diff(knots), np.diff(heights) / np.diff(knots)
    slopes = np.array([1.0, 2.0 / (1.0 / secant).sum(), 1.0])
    slopes[[0, -1]] = np.minimum(slopes[[0, -1]], 3.0 * secant)
    left = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(width) - 1)
    part = (at - knots[left]) / width[left]
    return hermite(part, width[left], heights[left], heights[left + 1], slopes[left], slopes[left + 1])
