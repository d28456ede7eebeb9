# SPDX-License-Identifier: GPL-3.0-or-later
"""Cubic pieces between keys, as Blender draws them where Bezier handles lie at thirds. No bpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def hermite(part: Array, width: Array, left: Array, right: Array, left_slope: Array, right_slope: Array) -> Array:
    """A cubic from its ends and the slopes there.  part: 0..1 of the way.  width: of the way, in what slopes count."""
    squared, cubed = part * part, part * part * part
    return np.asarray(
        (2 * cubed - 3 * squared + 1) * left
        + (cubed - 2 * squared + part) * width * left_slope
        + (3 * squared - 2 * cubed) * right
        + (cubed - squared) * width * right_slope
    )
