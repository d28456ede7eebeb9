# SPDX-License-Identifier: Apache-2.0
"""Smooth random deformations of a symmetric head as a basis of independent unit-variance components.

A Gaussian-process morphable model (Luethi et al. 2018): a kernel says how far displacements of two points go together;
its leading eigenfunctions, found at sample points and carried to all others (Nystroem), are the components. The kernel
is split into its even and odd part in x, so that every component is exactly symmetric or exactly antisymmetric.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dubplate_backend.head.standin.surface import Points

MIRROR = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Scale:
    """One Gaussian of a kernel: points within `reach_mm` move together, by `deviation_mm` times strength(point)."""

    reach_mm: float
    deviation_mm: float
    strength: Callable[[Points], np.ndarray] | None = None


@dataclass(frozen=True)
class Kernel:
    """A sum of Gaussians, and of random affine maps of deviation `affine` (per unit) about the origin."""

    scales: tuple[Scale, ...]
    affine: float = 0.0

    def __call__(self, a: Points, b: Points) -> np.ndarray:
        """Covariance in mm^2.   a [N, 3], b [M, 3] millimetres -> [N, M]."""
        squared = np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0)
        total = self.affine**2 * (a @ b.T)
        for scale in self.scales:
            part = scale.deviation_mm**2 * np.exp(-squared / (2 * scale.reach_mm**2))
            if scale.strength is not None:
                part = scale.strength(a)[:, None] * part * scale.strength(b)[None]
            total = total + part
        return total


def modes(kernel: Kernel, samples: Points, at: Points, count: int, sign: int) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenfunctions of the even (sign +1) or odd (-1) part of a kernel, scaled to one standard deviation.

    samples: [S, 3], points of the half x >= 0.   at: [V, 3].
    Returns values [V, count] millimetres and variances [count], mean square over the samples, falling.
    """

    def part(a: Points, b: Points) -> np.ndarray:
        return (kernel(a, b) + sign * kernel(a, b * MIRROR)) / 2

    variances, vectors = np.linalg.eigh(part(samples, samples))
    variances, vectors = variances[::-1][:count], vectors[:, ::-1][:, :count]
    # An eigenvector's sign is the library's whim: fix it, so that every machine builds the same head.
    vectors = vectors * np.where(np.cos(1.7 * np.arange(len(samples))) @ vectors < 0, -1, 1)
    variances = np.maximum(variances, 1e-9)
    return part(at, samples) @ (vectors / np.sqrt(variances)), variances / len(samples)


def components(kernel: Kernel, samples: Points, at: Points, count: int, lopsided: float) -> np.ndarray:
    """The `count` components of greatest variance, symmetric ones and (at `lopsided` times the size) asymmetric ones.

    A symmetric displacement is odd in x and even in y and z.   Returns [V, 3, count] millimetres, variance falling.
    """
    even, even_variance = modes(kernel, samples, at, count, 1)
    odd, odd_variance = modes(kernel, samples, at, count, -1)
    candidates = []
    for axis in range(3):
        for functions, variances, of_even in ((even, even_variance, True), (odd, odd_variance, False)):
            size = 1.0 if of_even == (axis > 0) else lopsided
            candidates += [(size**2 * v, size, axis, functions, k) for k, v in enumerate(variances)]
    candidates.sort(key=lambda candidate: -candidate[0])
    basis = np.zeros((len(at), 3, count))
    for k, (_, size, axis, functions, mode) in enumerate(candidates[:count]):
        basis[:, axis, k] = size * functions[:, mode]
    return basis


def regress(kernel: Kernel, known: Points, values: np.ndarray, at: Points, noise_mm: float = 0.05) -> np.ndarray:
    """The most likely smooth displacement through given ones.   known [N, 3], values [N, 3] -> [V, 3] at `at` [V, 3]."""
    system = kernel(known, known) + noise_mm**2 * np.eye(len(known))
    return kernel(at, known) @ np.linalg.solve(system, values)


def spread(points: Points, count: int, density: np.ndarray) -> np.ndarray:
    """Indices of `count` points far from each other, closer where density [N] is higher (farthest-point sampling)."""
    chosen = [int(np.argmax(points[:, 2]))]
    nearest = np.full(len(points), np.inf)
    for _ in range(count - 1):
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(1) * density**2)
        chosen.append(int(np.argmax(nearest)))
    return np.array(chosen)
