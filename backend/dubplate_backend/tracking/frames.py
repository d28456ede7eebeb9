# SPDX-License-Identifier: Apache-2.0
"""What the tracker asks of footage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np


class Frames(Protocol):
    """Pictures in order, as `plates.footage.Footage` gives them. `times`: (T,) float64 seconds after the first."""

    width: int
    height: int
    times: np.ndarray
    pixel_aspect: float
    fields: bool  # whether the file calls its pictures interlaced

    @property
    def count(self) -> int: ...

    @property
    def variable_rate(self) -> bool: ...

    def frame(self, index: int) -> np.ndarray:
        """uint8 [H, W, 3] RGB."""
        ...

    def iter(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]: ...


def pictures(footage: Frames, frames: np.ndarray) -> Iterator[np.ndarray]:
    """The pictures of ascending indices (S,), decoded in one go."""
    wanted = set(frames.tolist())
    first, last = int(frames[0]), int(frames[-1])
    for index, picture in enumerate(footage.iter(first, last + 1), start=first):
        if index in wanted:
            yield picture
