# SPDX-License-Identifier: Apache-2.0
"""Levenberg-Marquardt on the fit's two kinds of problem: frames that share unknowns, and frames joined in time.

Source of the damping rule: Nielsen 1999, Damping Parameter in Marquardt's Method, IMM-REP-1999-05, section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dubplate_backend.tracking.normal import Normal
from dubplate_backend.tracking.problem import Problem
from dubplate_backend.tracking.smoothness import Smoothness
from dubplate_shared.progress import Stop, check

FIRST_DAMPING = 1e-3  # of the curvature's diagonal
MOST_DAMPING = 1e6
# A step that lowers the cost by less than this share ends the search.
CONVERGED = 1e-3
# Conjugate gradients stop at this share of the first residual: Gauss-Newton needs no more of an inner step.
INNER_CONVERGED = 1e-5
INNER_STEPS = 200

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

    def step(motion: Tensor, normal: Normal, damping: float) -> tuple[Tensor, Tensor]:
        own = damped(normal.own, damping)
        factor = torch.linalg.cholesky(own + torch.diag_embed(smoothness.diagonal()))

        def curvature(vector: Tensor) -> Tensor:
            return (own @ vector[..., None])[..., 0] + smoothness.gradient(vector)

        def precondition(vector: Tensor) -> Tensor:
            return torch.cholesky_solve(vector[..., None], factor)[..., 0]

        gradient = normal.own_gradient + smoothness.gradient(motion)
        return -conjugate_gradients(curvature, precondition, gradient), torch.zeros_like(shared)

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


def conjugate_gradients(
    curvature: Callable[[Tensor], Tensor], precondition: Callable[[Tensor], Tensor], right: Tensor
) -> Tensor:
    """Solve curvature(v) = right, both positive definite.  Source: Nocedal & Wright 2006, algorithm 5.3."""
    solution = torch.zeros_like(right)
    residual = right.clone()
    conditioned = precondition(residual)
    direction = conditioned
    energy = first = (residual * conditioned).sum()
    for _ in range(INNER_STEPS):
        if energy <= first * INNER_CONVERGED**2:
            break
        curved = curvature(direction)
        length = energy / (direction * curved).sum()
        solution = solution + length * direction
        residual = residual - length * curved
        conditioned = precondition(residual)
        before, energy = energy, (residual * conditioned).sum()
        direction = conditioned + energy / before * direction
    return solution
