# SPDX-License-Identifier: Apache-2.0
"""The temporal terms: velocities of head, jaw and face do not jump.

What is held small is the change of velocity and not the velocity: a head may move as fast as it likes, it just does not
jitter. Times are the frames' true ones, so variable frame rates need nothing further.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dubplate_backend.tracking.unknowns import EXPRESSION, EYELIDS, JAW, NECK, SHIFT, TURN, UNKNOWNS
from dubplate_backend.tracking.weights import REFERENCE_GAP_S, Weights


@dataclass(frozen=True)
class Smoothness:
    """precision: [T - 2, 114] of the change of velocity around each inner frame.   per_gap: [T - 1], reference gaps of
    1/25 s over true ones."""

    precision: Tensor
    per_gap: Tensor

    @classmethod
    def of(cls, weights: Weights, times: Tensor, joined: Tensor) -> Smoothness:
        """times: [T] seconds.   joined: [T - 1] bool, whether frame t + 1 follows frame t without a hole."""
        deviation = torch.empty(UNKNOWNS, dtype=torch.float64)
        deviation[TURN] = weights.turn_change_rad
        deviation[SHIFT] = deviation.new_tensor(
            (weights.shift_change_m, weights.shift_change_m, weights.depth_change_m)
        )
        deviation[JAW] = deviation.new_tensor((weights.jaw_change_rad, *[weights.jaw_twist_change_rad] * 2))
        deviation[EXPRESSION] = weights.expression_change
        deviation[EYELIDS] = weights.eyelids_change
        deviation[NECK] = weights.neck_change_rad
        gaps = (times[1:] - times[:-1]) / REFERENCE_GAP_S  # [T - 1]
        whole = (joined[1:] & joined[:-1]).double()  # [T - 2]
        precision = (whole * 2 / (gaps[1:] + gaps[:-1]))[:, None] / deviation**2
        return cls(precision, 1 / gaps)

    def cost(self, motion: Tensor) -> float:
        """motion: [T, 114]."""
        return float((self._change(motion).square() * self.precision).sum())

    def gradient(self, motion: Tensor) -> Tensor:
        """Half the cost's gradient, [T, 114]; being linear in the motion, it is the curvature times it as well."""
        change = self._change(motion) * self.precision  # [T - 2, 114]
        velocity = torch.zeros(len(motion) - 1, motion.shape[1], dtype=motion.dtype)
        velocity[1:] += change
        velocity[:-1] -= change
        velocity = velocity * self.per_gap[:, None]
        gradient = torch.zeros_like(motion)
        gradient[1:] += velocity
        gradient[:-1] -= velocity
        return gradient

    def bands(self) -> tuple[Tensor, Tensor, Tensor]:
        """The curvature: of each frame with itself [T, 114], with the next [T - 1, 114], with the one after it
        [T - 2, 114]; all else is zero."""
        count = len(self.per_gap) + 1
        own, following, after = (torch.zeros(max(count - step, 0), UNKNOWNS, dtype=torch.float64) for step in range(3))
        first, last = self.per_gap[:-1, None], self.per_gap[1:, None]  # [T - 2, 1]
        middle = first + last
        own[: count - 2] += self.precision * first**2
        own[1 : count - 1] += self.precision * middle**2
        own[2:] += self.precision * last**2
        following[: count - 2] -= self.precision * first * middle
        following[1:] -= self.precision * middle * last
        after += self.precision * first * last
        return own, following, after

    def _change(self, motion: Tensor) -> Tensor:
        velocity = (motion[1:] - motion[:-1]) * self.per_gap[:, None]
        return velocity[1:] - velocity[:-1]
