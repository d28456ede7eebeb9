# SPDX-License-Identifier: GPL-3.0-or-later
"""How an edit comes in and goes out over the frames around it. No bpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def ramp(count: int, start: int, stop: int, blend_in: int, blend_out: int) -> Array:
    """The share of an edit in each of `count` rows: 1 from start to stop (excluded), smoothly from and to 0 beside it.

    Cut off where the rows end.  Returns (count,).
    """
    rows = np.arange(count)
    rising = np.clip(1.0 - (start - rows) / (blend_in + 1), 0.0, 1.0)
    falling = np.clip(1.0 - (rows - (stop - 1)) / (blend_out + 1), 0.0, 1.0)
    share = np.minimum(rising, falling)
    return np.asarray(share * share * (3.0 - 2.0 * share))
