# SPDX-License-Identifier: Apache-2.0
"""The priors: what is likely of a face before it is seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dubplate_backend.head.model import HeadModel
from dubplate_backend.tracking.normal import Normal
from dubplate_backend.tracking.surface_head import SurfaceHead
from dubplate_backend.tracking.unknowns import EXPRESSION, EYELIDS, JAW, NECK, Shared
from dubplate_backend.tracking.weights import Weights
from dubplate_shared.landmarks import CHIN, LOWER_INNER_LIP, UPPER_INNER_LIP


@dataclass(frozen=True)
class Priors:
    """landmarks: the head at MediaPipe's points, for what an expression does to lips and chin.   faces: [100, 100], see
    `likely_faces`.   focal_px: where the focal length is expected.   diagonal: of the picture, px."""

    landmarks: SurfaceHead
    faces: Tensor
    focal_px: float
    diagonal: float
    weights: Weights

    def cost(self, x: Tensor, shared: Tensor) -> float:
        precision = self._precision(x)
        faces = x[:, EXPRESSION]
        total = float((precision * x.square()).sum()) + float(((faces @ self.faces) * faces).sum())
        for row in self._openings():
            total += float((x[:, EXPRESSION] @ row).square().sum())
        off, deviation = self._shared(shared)
        return total + float((off / deviation).square().sum())

    def add_to(self, normal: Normal, x: Tensor, shared: Tensor, *, solve_shared: bool) -> None:
        precision = self._precision(x)
        normal.cost += self.cost(x, shared)
        normal.own += torch.diag_embed(precision)
        normal.own_gradient += precision * x
        normal.own[:, EXPRESSION, EXPRESSION] += self.faces
        normal.own_gradient[:, EXPRESSION] += x[:, EXPRESSION] @ self.faces
        for row in self._openings():
            amount = x[:, EXPRESSION] @ row  # [T]
            normal.own_gradient[:, EXPRESSION] += amount[:, None] * row
            normal.own[:, EXPRESSION, EXPRESSION] += row[:, None] * row
        if solve_shared:
            off, deviation = self._shared(shared)
            normal.shared += torch.diag(deviation**-2)
            normal.shared_gradient += off / deviation**2

    def _precision(self, x: Tensor) -> Tensor:
        """1 / deviation^2 of each unknown, [T, 114]; none where only the picture says."""
        weights = self.weights
        precision = torch.zeros_like(x)
        opening = JAW.start
        open_ = torch.where(x[:, opening] < 0, weights.jaw_shut_rad, weights.jaw_open_rad)
        precision[:, opening] = open_**-2
        precision[:, opening + 1 : JAW.stop] = weights.jaw_twist_rad**-2
        precision[:, EYELIDS] = weights.eyelids**-2
        precision[:, NECK] = weights.neck_rad**-2
        return precision

    def _openings(self) -> tuple[Tensor, Tensor]:
        """Rows [100]: how far each expression component alone opens the lips and drops the chin, in deviations."""
        head, points = self.landmarks, [UPPER_INNER_LIP, LOWER_INNER_LIP, CHIN]
        upper, lower, chin = sum(
            part[points, 1, :100] for part in (head.rooted_motion, head.still_motion, head.moved_motion)
        )  # [100] metres each
        return (upper - lower) / self.weights.gap_by_expression_m, -chin / self.weights.chin_by_expression_m

    def _shared(self, shared: Tensor) -> tuple[Tensor, Tensor]:
        """How far shape, log focal and principal point are from where they are expected, and their deviations, [G]."""
        of = Shared(shared)
        deviation = torch.full_like(shared, self.weights.shape)
        deviation[len(of.shape)] = self.weights.log_focal
        deviation[len(of.shape) + 1 :] = self.weights.principal_share * self.diagonal
        off = shared.clone()
        off[len(of.shape)] -= torch.log(torch.tensor(self.focal_px, dtype=torch.float64))
        return off, deviation


def likely_faces(head: HeadModel, weights: Weights) -> Tensor:
    """Inverse covariance of a talking face's expression, [100, 100] float64: little of anything, and much of what the
    semantic controls do. Components have unit deviation over all that faces can do; while talking they move by far
    less, and what moves then goes the controls' ways: lips forward with the corners inward, and so on."""
    ways = torch.stack([expression for expression, _ in head.controls.values()]).double()  # [C, 100]
    covariance = weights.expression**2 * torch.eye(ways.shape[1], dtype=torch.float64)
    return torch.linalg.inv(covariance + weights.control**2 * ways.T @ ways)
