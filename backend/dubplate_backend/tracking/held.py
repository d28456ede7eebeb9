# SPDX-License-Identifier: Apache-2.0
"""The term that holds what is known: a pose that a person keyed, and the frames around a stretch solved again."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dubplate_backend.tracking.normal import Normal


@dataclass(frozen=True)
class Held:
    """target: [T, 114].  precision: [T, 114], 1 / deviation^2; 0 where nothing is known."""

    target: Tensor
    precision: Tensor

    def cost(self, x: Tensor) -> float:
        """x: [T, 114]."""
        return float(((x - self.target).square() * self.precision).sum())

    def add_to(self, normal: Normal, x: Tensor) -> None:
        """Add the term's equations around x [T, 114]."""
        normal.cost += self.cost(x)
        normal.own += torch.diag_embed(self.precision)
        normal.own_gradient += self.precision * (x - self.target)
