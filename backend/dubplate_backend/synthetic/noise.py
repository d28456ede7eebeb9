# SPDX-License-Identifier: Apache-2.0
"""Solid noise: smooth random functions of points in space, the same in the seed.

Value noise on a lattice (Perlin 1985, "An image synthesizer"), summed over octaves as fractional Brownian motion.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates

_LATTICE = 48


class Noise:
    """A solid texture.  Sampling is pure: the lattice is drawn once from the seed."""

    def __init__(self, seed: int) -> None:
        self._lattice = np.random.default_rng((seed, 0x4015E)).uniform(-1, 1, (_LATTICE,) * 3).astype(np.float32)

    def __call__(self, points: np.ndarray, size: float | tuple[float, float, float], *, octaves: int = 1) -> np.ndarray:
        """(N,) in about -1..1.  points: (N, 3).  size: of the largest blobs, in the points' unit, per axis if three."""
        total, weight, norm = np.zeros(len(points), np.float32), 1.0, 0.0
        cell = np.asarray(points, np.float64) / np.asarray(size, np.float64)
        for octave in range(octaves):
            where = cell * 2.0**octave + 17.3 * octave
            total += weight * map_coordinates(self._lattice, where.T, order=1, mode="grid-wrap")
            norm += weight**2
            weight *= 0.55
        return (total * 1.6 / np.sqrt(norm)).astype(np.float32)  # trilinear blending evens the lattice out by about 1.6

    def gradient(self, points: np.ndarray, size: float | tuple[float, float, float], *, octaves: int = 1) -> np.ndarray:
        """(N, 3) slope, per unit of the points."""
        step = 0.25 * float(np.min(size)) / 2 ** (octaves - 1)
        slopes = []
        for axis in range(3):
            shift = np.zeros(3)
            shift[axis] = step
            slopes.append(self(points + shift, size, octaves=octaves) - self(points - shift, size, octaves=octaves))
        return np.stack(slopes, axis=1) / (2 * step)
