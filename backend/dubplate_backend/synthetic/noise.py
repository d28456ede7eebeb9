# SPDX-License-Identifier: Apache-2.0
"""Solid noise: smooth random functions of points in space, the same in the seed.

Value noise on a lattice (Perlin 1985, "An image synthesizer"), summed over octaves as fractional Brownian motion.
"""

from __future__ import annotations

import numba
import numpy as np

_LATTICE = 64  # a power of two: wrapping is a mask
_OCTAVE_GAIN = 0.55
_EVEN_OUT = 1.5  # blending flattens the lattice's values by about this much


class Noise:
    """A solid texture.  Sampling is pure: the lattice is drawn once from the seed."""

    def __init__(self, seed: int) -> None:
        self._lattice = np.random.default_rng((seed, 0x4015E)).uniform(-1, 1, (_LATTICE,) * 3).astype(np.float32)

    def __call__(self, points: np.ndarray, size: float | tuple[float, float, float], *, octaves: int = 1) -> np.ndarray:
        """(N,) in about -1..1.  points: (N, 3).  size: of the largest blobs, in the points' unit, per axis if three."""
        cells = np.ascontiguousarray(np.asarray(points, np.float64) / np.asarray(size, np.float64))
        return _octaves(cells, self._lattice, octaves)

    def gradient(self, points: np.ndarray, size: float | tuple[float, float, float], *, octaves: int = 1) -> np.ndarray:
        """(N, 3) slope, per unit of the points."""
        step = 0.25 * float(np.min(size)) / 2 ** (octaves - 1)
        slopes = []
        for axis in range(3):
            shift = np.zeros(3)
            shift[axis] = step
            slopes.append(self(points + shift, size, octaves=octaves) - self(points - shift, size, octaves=octaves))
        return np.stack(slopes, axis=1) / (2 * step)


@numba.njit(cache=True, nogil=True)
def _octaves(cells: np.ndarray, lattice: np.ndarray, octaves: int) -> np.ndarray:
    values = np.zeros(len(cells), np.float32)
    mask = lattice.shape[0] - 1
    for index in range(len(cells)):
        total, weight, norm, frequency = 0.0, 1.0, 0.0, 1.0
        for octave in range(octaves):
            value = 0.0
            x = cells[index, 0] * frequency + 17.3 * octave
            y = cells[index, 1] * frequency + 17.3 * octave
            z = cells[index, 2] * frequency + 17.3 * octave
            i, j, k = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
            p, q, r = _ease(x - i), _ease(y - j), _ease(z - k)
            for a in (0, 1):
                for b in (0, 1):
                    for c in (0, 1):
                        share = (p if a else 1 - p) * (q if b else 1 - q) * (r if c else 1 - r)
                        value += share * lattice[(i + a) & mask, (j + b) & mask, (k + c) & mask]
            total += weight * value
            norm += weight * weight
            weight *= _OCTAVE_GAIN
            frequency *= 2.0
        values[index] = _EVEN_OUT * total / np.sqrt(norm)
    return values


@numba.njit(cache=True, nogil=True)
def _ease(t: float) -> float:
    return t * t * (3 - 2 * t)
