# SPDX-License-Identifier: Apache-2.0
"""Levenberg-Marquardt on the fit's two kinds of problem: frames that share unknowns, and frames joined in time.

Source of the damping rule: Nielsen 1999, Damping Parameter in Marquardt's Method, IMM-REP-1999-05, section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from scipy.linalg import solveh_banded
from torch import Tensor

from dubplate_backend.tracking.normal import Normal
from dubplate_backend.tracking.problem import Problem
from dubplate_backend.tracking.smoothness import Smoothness
from dubplate_backend.tracking.unknowns import UNKNOWNS
from dubplate_shared.progress import Stop, check

# Of the curvature's diagonal. Little: what frames share is seen through small disagreements of large terms.
FIRST_DAMPING = 1e-4
EASING = 5.0
MOST_DAMPING = 1e6
# A step that lowers the cost by less than this share ends the search.
CONVERGED = 1e-3

State = TypeVar("State")
Bundle = tuple[Problem, Tensor, Tensor]  # with the motion of each frame [T, 114] and what they share [G]


@dataclass(frozen=True)
class Search:
    """How long to search, and who watches."""

    steps: int
    stop: Stop
    on_step: Callable[[], None]


def solve_with_shared(problem: Problem, motion: Tensor, shared: Tensor, search: Search) -> Bundle:
    """Motion of each frame, what the frames share, and what the problem's terms bring along, without temporal terms.

    motion: [T, 114].  shared: [G].  What terms bring along is eliminated first (Schur complement; Triggs et al. 2000,
    Bundle Adjustment - A Modern Synthesis, 6.1).  Raises Cancelled.
    """
    frames = len(motion)

    def stepped(
        state: tuple[Problem, Tensor, Tensor], normal: Normal, damping: float
    ) -> tuple[Problem, Tensor, Tensor]:
        problem, motion, shared = state
        size = frames * UNKNOWNS
        own, cross = damped(normal.own, damping), normal.cross.flatten(0, 1)
        whole = torch.zeros(size + len(shared), size + len(shared), dtype=torch.float64)
        whole[:size, :size] = torch.block_diag(*own)
        whole[:size, size:], whole[size:, :size] = cross, cross.T
        whole[size:, size:] = damped(normal.shared, damping)
        gradient = torch.cat((normal.own_gradient.flatten(), normal.shared_gradient))
        eliminated = []
        for tied in normal.tied:
            root = torch.linalg.cholesky(damped(tied.curvature, damping))  # [P, k, k]
            rows = torch.linalg.solve_triangular(root, tied.cross, upper=False)
            pull = torch.linalg.solve_triangular(root, tied.gradient[..., None], upper=False)  # [P, k, 1]
            whole -= rows.flatten(0, 1).T @ rows.flatten(0, 1)
            gradient = gradient - rows.flatten(0, 1).T @ pull.flatten()
            eliminated.append((root, rows, pull))
        step = -torch.linalg.solve(whole, gradient)
        along = (
            -torch.linalg.solve_triangular(root.mT, pull + (rows @ step)[..., None], upper=True)[..., 0]
            for root, rows, pull in eliminated
        )
        return problem.stepped(along), motion + step[:size].reshape(motion.shape), shared + step[size:]

    def normal(state: Bundle) -> Normal:
        return state[0].normal(*state[1:], solve_shared=True)

    def cost(state: Bundle) -> float:
        return state[0].cost(*state[1:])

    return descend((problem, motion, shared), cost, normal, stepped, search)


def solve_motion(problem: Problem, motion: Tensor, shared: Tensor, smoothness: Smoothness, search: Search) -> Tensor:
    """Motion of consecutive frames with temporal terms, what they share being known.  motion: [T, 114].

    Raises Cancelled.
    """

    bands = smoothness.bands() if len(problem) > 2 else None

    def stepped(motion: Tensor, normal: Normal, damping: float) -> Tensor:
        own, gradient = damped(normal.own, damping), normal.own_gradient
        if bands is None:
            return motion - torch.linalg.solve(own, gradient)
        return motion - solve_chain(own, bands, gradient + smoothness.gradient(motion))

    def normal(motion: Tensor) -> Normal:
        return problem.normal(motion, shared, solve_shared=False)

    def cost(motion: Tensor) -> float:
        return problem.cost(motion, shared) + smoothness.cost(motion)

    return descend(motion, cost, normal, stepped, search)


def descend(
    state: State,
    cost: Callable[[State], float],
    normal: Callable[[State], Normal],
    stepped: Callable[[State, Normal, float], State],
    search: Search,
) -> State:
    """Steps that lower the cost, damped harder where one would not, until they no longer help.

    stepped: (state, the normal equations around it, damping) -> the next."""
    damping, growth = FIRST_DAMPING, 2.0
    lowest, here = cost(state), None
    for _ in range(search.steps):
        check(search.stop)
        here = here or normal(state)
        there = stepped(state, here, damping)
        tried = cost(there)
        search.on_step()
        if tried >= lowest or tried != tried:
            damping, growth = damping * growth, growth * 2
            if damping > MOST_DAMPING:
                break
            continue
        gain, lowest, state = (lowest - tried) / lowest, tried, there
        if gain < CONVERGED:
            break
        damping, growth, here = max(damping / EASING, 1e-9), 2.0, None
    return state


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
