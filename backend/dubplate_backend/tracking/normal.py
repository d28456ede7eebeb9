# SPDX-License-Identifier: Apache-2.0
"""Gauss-Newton's normal equations, summed term by term."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dubplate_backend.tracking.unknowns import UNKNOWNS


@dataclass
class Normal:
    """`own` [T, 114, 114], `own_gradient` [T, 114]; where shared unknowns are solved, `cross` [T, 114, G], `shared`
    [G, G], `shared_gradient` [G]. float64."""

    own: Tensor
    own_gradient: Tensor
    cross: Tensor
    shared: Tensor
    shared_gradient: Tensor
    cost: float = 0.0

    @classmethod
    def empty(cls, frames: int, shared: int) -> Normal:
        """shared: how many shared unknowns are solved; 0 where they are known."""

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.float64)

        return cls(
            zeros(frames, UNKNOWNS, UNKNOWNS),
            zeros(frames, UNKNOWNS),
            zeros(frames, UNKNOWNS, shared),
            zeros(shared, shared),
            zeros(shared),
        )

    def add(self, frames: slice, rows: Tensor, residual: Tensor) -> None:
        """rows: [B, R, 114 (+ G)] weighted derivatives of the weighted residuals [B, R] of some frames."""
        mine = rows[..., :UNKNOWNS]
        self.own[frames] += mine.mT @ mine
        self.own_gradient[frames] += (mine.mT @ residual[..., None])[..., 0]
        if self.shared.shape[0]:
            theirs = rows[..., UNKNOWNS:]
            self.cross[frames] += mine.mT @ theirs
            flat = theirs.flatten(0, 1)
            self.shared += flat.T @ flat
            self.shared_gradient += flat.T @ residual.flatten()
