# SPDX-License-Identifier: Apache-2.0
"""Levenberg-Marquardt on the fit's two kinds of problem: frames that share unknowns, and frames joined in time.

Source of the damping rule: Nielsen 1999, Damping Parameter in Marquardt's Method, IMM-REP-1999-05, section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import solveh_banded
from torch import Tensor

from dubplate_backend.tracking.normal import Normal
from dubplate_backend.tracking.problem import Problem
from dubplate_backend.tracking.smoothness import Smoothness
from dubplate_shared.progress import Stop, check

FIRST_DAMPING = 1e-3  # of the curvature's diagonal
MOST_DAMPING = 1e6
# A step that lowers the cost by less than this share ends the search.
CONVERGED = 1e-3

# (motion [T, 114], normal equations around it, damping) -> steps of motion [T, 114] and of what is shared [G]
Step = Callable[[Tensor, Normal, float], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Search:
    """How long to search, and who watches."""

    steps: int
    stop: Stop
    on_step: Callable[[], None]


def solve_with_shared(problem: Problem, motion: Tensor, shared: Tensor, search: Search) -> tuple[Tensor, Tensor]:
    """Motion of each frame and what the frames share, without temporal terms.

    motion: [T, 114].  shared: [G].  The frames' unknowns are eliminated first (Schur complement).  Raises Cancelled.
    """

    def step(_: Tensor, normal: Normal, damping: float) -> tuple[Tensor, Tensor]:
        factor = torch.linalg.cholesky(damped(normal.own, damping))  # [T, 114, 114]
        solved = torch.cholesky_solve(torch.cat((normal.cross, normal.own_gradient[..., None]), -1), factor)
        reduced = damped(normal.shared, damping) - (normal.cross.mT @ solved[..., :-1]).sum(0)  # [G, G]
        gradient = normal.shared_gradient - (normal.cross.mT @ solved[..., -1:]).sum(0)[:, 0]
        by_shared = torch.linalg.solve(reduced, gradient)  # [G]
        return solved[..., :-1] @ by_shared - solved[..., -1], -by_shared

    def normal(motion: Tensor, shared: Tensor) -> Normal:
        return problem.normal(motion, shared, solve_shared=True)

    return descend(normal, problem.cost, step, motion, shared, search)


def solve_motion(problem: Problem, motion: Tensor, shared: Tensor, smoothness: Smoothness, search: Search) -> Tensor:
    """Motion of consecutive frames with temporal terms, what they share being known.  motion: [T, 114].

    Raises Cancelled.
    """

    bands = smoothness.bands() if len(problem) > 2 else None

    def step(motion: Tensor, normal: Normal, damping: float) -> tuple[Tensor, Tensor]:
        own, gradient = damped(normal.own, damping), normal.own_gradient
        if bands is None:
            solved = torch.linalg.solve(own, gradient)
        else:
            solved = solve_chain(own, bands, gradient + smoothness.gradient(motion))
        return -solved, torch.zeros_like(shared)

    def normal(motion: Tensor, shared: Tensor) -> Normal:
        return problem.normal(motion, shared, solve_shared=False)

    def cost(motion: Tensor, shared: Tensor) -> float:
        return problem.cost(motion, shared) + smoothness.cost(motion)

    return descend(normal, cost, step, motion, shared, search)[0]


def descend(
    normal: Callable[[Tensor, Tensor], Normal],
    cost: Callable[[Tensor, Tensor], float],
    step: Step,
    motion: Tensor,
    shared: Tensor,
    search: Search,
) -> tuple[Tensor, Tensor]:
    """Steps that lower the cost, damped harder where one would not, until they no longer help."""
    damping, growth = FIRST_DAMPING, 2.0
    lowest = cost(motion, shared)
    here = normal(motion, shared)
    for _ in range(search.steps):
        check(search.stop)
        by_motion, by_shared = step(motion, here, damping)
        tried = cost(motion + by_motion, shared + by_shared)
        search.on_step()
        if tried >= lowest or tried != tried:
            damping, growth = damping * growth, growth * 2
            if damping > MOST_DAMPING:
                break
            continue
        gain, lowest = (lowest - tried) / lowest, tried
        motion, shared = motion + by_motion, shared + by_shared
        if gain < CONVERGED:
            break
        damping, growth = max(damping / 3, 1e-9), 2.0
        here = normal(motion, shared)
    return motion, shared


def damped(curvature: Tensor, damping: float) -> Tensor:
    """[..., N, N] with its diagonal enlarged by the share `damping`."""
    diagonal = curvature.diagonal(dim1=-2, dim2=-1)
    return curvature + torch.diag_embed(diagonal * damping)


def solve_chain(own: Tensor, bands: tuple[Tensor, Tensor, Tensor], right: Tensor) -> Tensor:
    """Solve for frames whose unknowns are dense within a frame and tied one by one to those of the next two.

    own: [T, N, N].   bands: [T, N], [T - 1, N], [T - 2, N], as `Smoothness.bands`.   right: [T, N].   Returns [T, N].
    Banded Cholesky (LAPACK pbsv): exact, and in time proportional to the frames.
    """
    frames, size = right.shape
    total = frames * size
    lower = np.zeros((2 * size + 1, total))
    blocks = own.numpy()
    for distance in range(size):
        diagonal = np.zeros((frames, size))
        diagonal[:, : size - distance] = np.diagonal(blocks, -distance, 1, 2)
        lower[distance] = diagonal.reshape(-1)
    for step, band in enumerate(bands):
        values = band.numpy().reshape(-1)
        lower[step * size, : len(values)] += values
    return torch.from_numpy(solveh_banded(lower, right.numpy().reshape(-1), lower=True)).unflatten(0, (frames, size))
