# SPDX-License-Identifier: Apache-2.0
"""Flicker: how much a picture jumps between frames, beside how much the filmed one does.

A frame's jump is its difference from the mean of the frame before and the frame after, so that steady motion and slow
changes of light count for nothing.  The same lips move in both, so 1 is as steady as filmed; below it lies what is
smoother (no grain, for one), above it what flickers.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from dubplate_backend.compositing.bands import LUMA


class Steadiness:
    """Fed frame by frame, in order.  A gap in the frames begins anew."""

    def __init__(self) -> None:
        self._last: deque[tuple[int, np.ndarray, np.ndarray, np.ndarray]] = deque(maxlen=3)
        self._sums = np.zeros((2, 2))  # [inside, border] x [shown, filmed]

    def add(self, index: int, shown: np.ndarray, filmed: np.ndarray, matte: np.ndarray) -> None:
        """shown, filmed: [S, S, 3] crops, 0..1.   matte: [S, S] 0..1."""
        if self._last and self._last[-1][0] != index - 1:
            self._last.clear()
        self._last.append((index, shown @ LUMA, filmed @ LUMA, matte))
        if len(self._last) < 3:
            return
        before, now, after = self._last
        jumps = [np.square(now[k] - (before[k] + after[k]) / 2) for k in (1, 2)]
        for place, where in enumerate((now[3] >= 0.98, (now[3] > 0.02) & (now[3] < 0.98))):
            self._sums[place] += [float(jump[where].sum()) for jump in jumps]

    def ratios(self) -> tuple[float, float]:
        """(inside the matte, on its border); not a number where no three frames in a row were seen."""
        shown, filmed = self._sums[:, 0], self._sums[:, 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            inside, border = np.sqrt(shown / filmed)
        return float(inside), float(border)
