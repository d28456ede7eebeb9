# SPDX-License-Identifier: Apache-2.0
"""Footage to test on: pictures that carry their own number, and the development clips, which are not part of the
project: tests that need one skip, saying so, where it is absent."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

WIDTH, HEIGHT = 96, 64
BITS = 6
BIT_PX = WIDTH // BITS
SEPARATOR = 120


def clips_folder() -> Path:
    """$DUBPLATE_CLIPS, or the folder shared/clips beside the checkout."""
    return Path(os.environ.get("DUBPLATE_CLIPS", Path(__file__).parents[2] / "shared" / "clips"))


def clip(name: str) -> Path:
    """Path of a development clip. Skips the running test where the folder does not hold it."""
    path = clips_folder() / name
    if not path.is_file():
        pytest.skip(
            f"development clip {name} is not in {clips_folder()} (set DUBPLATE_CLIPS to the folder that holds it)"
        )
    return path


def numbered(number: int) -> np.ndarray:
    """uint8 [64, 96, 3]: the number in six black and white bars, over a band of colours that tell a wrong matrix."""
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for bit in range(BITS):
        rgb[:32, bit * BIT_PX : (bit + 1) * BIT_PX] = 235 if number >> bit & 1 else 20
    for place, colour in enumerate([(200, 40, 40), (40, 180, 40), (40, 40, 200), (200, 140, 110)]):
        rgb[32:, place * 24 : (place + 1) * 24] = colour
    return rgb


def number_of(rgb: np.ndarray) -> int:
    """The number that `numbered` drew."""
    return sum(1 << bit for bit in range(BITS) if rgb[16, bit * BIT_PX + BIT_PX // 2].mean() > SEPARATOR)
