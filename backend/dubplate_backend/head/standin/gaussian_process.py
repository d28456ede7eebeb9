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
    """One Gaussian of a kernel: its standard deviation in millimetres, times strength(point) where given."""

    deviation_mm: float
    strength: Callable[[Points], np.ndarray] | None = None


@dataclass(frozen=True)
class Kernel:
    """A sum of Gaussians, the first reaching `reach_mm` and each further one half as far as the one before, and of
    random affine maps of deviation `affine` (per unit) about the origin.
    """

    reach_mm: float
    scales: tuple[Scale, ...]
    affine: float = 0.0

    def __call__(self, a: Points, b: Points) -> np.ndarray:
        """Covariance in mm^2.   a [N, 3], b [M, 3] millimetres -> [N, M]."""
        squared = np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0)
        gaussian = np.exp(squared / (-2 * self.reach_mm**2))
        total = self.affine**2 * (a @ b.T)
        for level, scale in enumerate(self.scales):
            if level:  # half the reach is the fourth power
                np.square(gaussian, out=gaussian)
                np.square(gaussian, out=gaussian)
            here, there = (1.0, 1.0) if scale.strength is None else (scale.strength(a), scale.strength(b))
            total += (scale.deviation_mm**2 * here * np.ones(len(a)))[:, None] * gaussian * (there * np.ones(len(b)))
        return total


@dataclass(frozen=True)
class Modes:
    """Eigenfunctions of falling variance: values [V, K] millimetres at one standard deviation, variances [K]."""

    values: np.ndarray
    variances: np.ndarray


def even_and_odd_modes(kernel: Kernel, samples: Points, at: Points, count: int) -> tuple[Modes, Modes]:
    """Leading eigenfunctions of a kernel's even and odd part in x.

    samples: [S, 3], points of the half x >= 0.   at: [V, 3].   Variances are mean squares over the samples.
    """
    found = []
    within, across = kernel(samples, samples), kernel(samples, samples * MIRROR)
    to_same, to_other = kernel(at, samples), kernel(at, samples * MIRROR)
    for sign in (1, -1):
        variances, vectors = np.linalg.eigh((within + sign * across) / 2)
        variances, vectors = variances[::-1][:count], vectors[:, ::-1][:, :count]
        # An eigenvector's sign is the library's whim: fix it, so that every machine builds the same head.
        vectors = vectors * np.where(np.cos(1.7 * np.arange(len(samples))) @ vectors < 0, -1, 1)
        variances = np.maximum(variances, 1e-9)
        values = (to_same + sign * to_other) / 2 @ (vectors / np.sqrt(variances))
        found.append(Modes(values, variances / len(samples)))
    return found[0], found[1]


def components(kernel: Kernel, samples: Points, at: Points, count: int, lopsided: float) -> np.ndarray:
    """The `count` components of greatest variance, symmetric ones and (at `lopsided` times the size) asymmetric ones.

    A symmetric displacement is odd in x and even in y and z.   Returns [V, 3, count] millimetres, variance falling.
    """
    even, odd = even_and_odd_modes(kernel, samples, at, count)
    candidates = []
    for axis in range(3):
        for modes in (even, odd):
            size = 1.0 if (modes is even) == (axis > 0) else lopsided
            candidates += [(size**2 * v, size, axis, modes, k) for k, v in enumerate(modes.variances)]
    candidates.sort(key=lambda candidate: -candidate[0])
    basis = np.zeros((len(at), 3, count))
    for k, (_, size, axis, modes, mode) in enumerate(candidates[:count]):
        basis[:, axis, k] = size * modes.values[:, mode]
    return basis


def spread(points: Points, count: int, density: np.ndarray) -> np.ndarray:
    """Indices of `count` points far from each other, closer where density [N] is higher (farthest-point sampling)."""
    chosen = [int(np.argmax(points[:, 2]))]
    nearest = np.full(len(points), np.inf)
    for _ in range(count - 1):
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(1) * density**2)
        chosen.append(int(np.argmax(nearest)))
    return np.array(chosen)
