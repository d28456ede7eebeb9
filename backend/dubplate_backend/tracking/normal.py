# SPDX-License-Identifier: Apache-2.0
"""Gauss-Newton's normal equations, summed term by term."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dubplate_backend.tracking.unknowns import UNKNOWNS


@dataclass(frozen=True)
class Tied:
    """P unknowns of k numbers each that a term brings along (a landmark's place, a point's albedo): each is seen by all
    frames and has nothing to do with the others, so that it can be solved away.   curvature: [P, k, k].   gradient:
    [P, k].   cross: [P, k, T * 114 + G], with all other unknowns, frame by frame, then shared. float64."""

    curvature: Tensor
    gradient: Tensor
    cross: Tensor

    @classmethod
    def of(cls, by_tied: Tensor, rows: Tensor, residual: Tensor, hold: Tensor, off: Tensor) -> Tied:
        """by_tied: [T, P, R, k], weighted derivatives of the weighted residuals [T, P, R] by the tied unknowns, and
        rows: [T, P, R, 114 + G] by the others.   hold: [P, k], what holds them to where they are `off` from, [P, k]."""
        cross = torch.einsum("tprk,tprc->ptkc", by_tied, rows)  # [P, T, k, 114 + G]
        own = cross[..., :UNKNOWNS].permute(0, 2, 1, 3).flatten(2)
        return cls(
            (torch.einsum("tprk,tprl->pkl", by_tied, by_tied) + torch.diag_embed(hold)).double(),
            (torch.einsum("tprk,tpr->pk", by_tied, residual) + hold * off).double(),
            torch.cat((own, cross[..., UNKNOWNS:].sum(1)), -1).double(),
        )


@dataclass
class Normal:
    """`own` [T, 114, 114], `own_gradient` [T, 114]; where shared unknowns are solved, `cross` [T, 114, G], `shared`
    [G, G], `shared_gradient` [G], and what terms bring along, in the terms' order. float64."""

    own: Tensor
    own_gradient: Tensor
    cross: Tensor
    shared: Tensor
    shared_gradient: Tensor
    cost: float = 0.0
    tied: list[Tied] = field(default_factory=list)

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
