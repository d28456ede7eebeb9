# SPDX-License-Identifier: Apache-2.0
"""What stands behind the synthetic actor: a room out of focus."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

_APERTURE = 0.022  # radius of the blur disc over the picture's width: a portrait lens opened wide
_WORK_SIZE = 384  # px: nothing here is sharp


def backdrop(size: int, *, seed: int) -> np.ndarray:
    """(size, size, 3) float32 linear light: a wall, a window, shelves, a plant and lamps, blurred by the lens."""
    random = np.random.default_rng((seed, 0xB0CE))
    y, x = np.mgrid[0:_WORK_SIZE, 0:_WORK_SIZE] / _WORK_SIZE
    wall = np.array([0.150, 0.152, 0.150])
    room = wall * (1.25 - 0.75 * x - 0.25 * y)[..., None]
    _fill(room, (x < 0.20) & (y < 0.60), np.array([1.05, 1.10, 1.15]))  # the window that the key comes from
    for bar in (0.085, 0.205):
        _fill(room, (np.abs(x - bar) < 0.012) & (y < 0.61), np.array([0.20, 0.19, 0.18]))
    _fill(room, (np.abs(y - 0.31) < 0.010) & (x < 0.2), np.array([0.20, 0.19, 0.18]))
    for shelf in (0.24, 0.48, 0.72):
        _shelf(room, x, y, shelf, random)
    for _ in range(26):  # leaves
        centre = np.array([0.27, 0.72]) + random.normal(0, [0.045, 0.085])
        turn = random.uniform(0, np.pi)
        u = (x - centre[0]) * np.cos(turn) + (y - centre[1]) * np.sin(turn)
        v = -(x - centre[0]) * np.sin(turn) + (y - centre[1]) * np.cos(turn)
        _fill(room, (u / 0.045) ** 2 + (v / 0.014) ** 2 < 1, np.array([0.035, 0.085, 0.035]) * random.uniform(0.5, 1.8))
    for centre_x, centre_y, level in ((0.74, 0.12, 5.0), (0.93, 0.36, 3.0), (0.83, 0.60, 2.0), (0.62, 0.05, 1.6)):
        _fill(room, (x - centre_x) ** 2 + (y - centre_y) ** 2 < 0.008**2, level * np.array([1.6, 0.95, 0.45]))
    blurred = np.stack([fftconvolve(_padded(room[..., c]), _disc(), mode="same") for c in range(3)], axis=-1)
    pad = _WORK_SIZE // 8
    blurred = gaussian_filter(blurred[pad:-pad, pad:-pad], (1.2, 1.2, 0))
    return _resize(np.maximum(blurred, 0.0), size).astype(np.float32)


def _shelf(room: np.ndarray, x: np.ndarray, y: np.ndarray, height: float, random: np.random.Generator) -> None:
    _fill(room, (x > 0.66) & (np.abs(y - height - 0.012) < 0.012), np.array([0.085, 0.055, 0.035]))
    left = 0.68
    while left < 0.98:
        width, tall = random.uniform(0.012, 0.035), random.uniform(0.06, 0.15)
        colour = random.uniform(0.02, 0.16) * random.uniform([0.8, 0.55, 0.35], [1.2, 0.9, 0.9])
        _fill(room, (x > left) & (x < left + width) & (y < height) & (y > height - tall), colour)
        left += width + random.choice([0.002, 0.002, 0.03])


def _fill(room: np.ndarray, where: np.ndarray, colour: np.ndarray) -> None:
    room[where] = colour


def _padded(channel: np.ndarray) -> np.ndarray:
    return np.pad(channel, _WORK_SIZE // 8, mode="edge")


def _disc() -> np.ndarray:
    radius = _APERTURE * _WORK_SIZE
    reach = int(np.ceil(radius)) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius - np.hypot(x, y) + 0.5, 0, 1)
    return disc / disc.sum()


def _resize(picture: np.ndarray, size: int) -> np.ndarray:
    """Bilinear, pixel centres at +0.5."""
    at = np.clip((np.arange(size) + 0.5) * len(picture) / size - 0.5, 0, len(picture) - 1)
    low = np.minimum(at.astype(int), len(picture) - 2)
    blend = at - low
    rows = picture[low] * (1 - blend)[:, None, None] + picture[low + 1] * blend[:, None, None]
    return rows[:, low] * (1 - blend)[None, :, None] + rows[:, low + 1] * blend[None, :, None]
