# SPDX-License-Identifier: Apache-2.0
"""The fit's terms: what a head, a camera and per-frame motion predict of the landmarks, with derivatives.

Per frame 111 unknowns: turn 3, shift 3, jaw 3, expression 100, eyelids 2. Shared by the shot: shape 300, log focal 1.
The head's rotation is R = exp(turn) diag(1, -1, -1): `turn` is measured from a face that looks straight into the
camera, so that it stays far from the half turn at which axis-angle breaks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dubplate_backend.head.skinning import axis_angle_to_matrix
from dubplate_backend.tracking.landmark_head import LandmarkHead, rotation_derivative
from dubplate_backend.tracking.weights import Weights
from dubplate_shared.landmarks import (
    CHIN,
    COUNT,
    FACE_OVAL,
    INNER_LIP_PAIRS,
    LEFT_EYE,
    LEFT_EYE_OUTER,
    LEFT_MOUTH_CORNER,
    LIPS,
    LOWER_INNER_LIP,
    RIGHT_EYE,
    RIGHT_EYE_OUTER,
    RIGHT_MOUTH_CORNER,
    UPPER_INNER_LIP,
)

TURN, SHIFT, JAW, EXPRESSION, EYELIDS = slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 109), slice(109, 111)
UNKNOWNS = 111
# Frames whose derivatives are in memory at once: 16 of them with the shape's are 50 MB.
FRAMES_AT_ONCE = 16


@dataclass(frozen=True)
class Normal:
    """Gauss-Newton's normal equations. `own` [T, 111, 111], `own_gradient` [T, 111]; where shared unknowns are solved,
    `cross` [T, 111, G], `shared` [G, G], `shared_gradient` [G]."""

    cost: float
    own: Tensor
    own_gradient: Tensor
    cross: Tensor
    shared: Tensor
    shared_gradient: Tensor


@dataclass(frozen=True)
class Problem:
    """observed: [T, 468, 2] px.  depth: [T, 468] px at the face's scale, of mean 0.  trust: [T] multiplies each frame's
    landmark terms.  centre: [2] principal point, px.  diagonal: of the picture, px."""

    head: LandmarkHead
    observed: Tensor
    depth: Tensor
    trust: Tensor
    centre: Tensor
    diagonal: float
    weights: Weights

    def __len__(self) -> int:
        return len(self.observed)

    @property
    def shared_count(self) -> int:
        """Shape components and log focal; 0 shape components where the head is shaped already."""
        return self.head.shape_components + 1

    def at(self, frames: slice | Tensor) -> Problem:
        return replace(self, observed=self.observed[frames], depth=self.depth[frames], trust=self.trust[frames])

    def cost(self, x: Tensor, shared: Tensor) -> float:
        """Sum of all terms but the temporal ones.  x: [T, 111].  shared: [G]."""
        in_camera = self._in_camera(x, shared)
        focal = shared[-1].exp()
        projected, _ = project(in_camera, focal, self.centre)
        residual, _ = self._robust(projected, relief(in_camera, focal)[0])
        return residual + self._prior(x)[0] + self._shared_prior(shared)[0]

    def normal(self, x: Tensor, shared: Tensor, *, solve_shared: bool) -> Normal:
        """Normal equations around (x [T, 111], shared [G])."""
        count, extra = len(self), self.shared_count if solve_shared else 0
        own = torch.zeros(count, UNKNOWNS, UNKNOWNS, dtype=torch.float64)
        gradient = torch.zeros(count, UNKNOWNS, dtype=torch.float64)
        cross = torch.zeros(count, UNKNOWNS, extra, dtype=torch.float64)
        both = torch.zeros(extra, extra, dtype=torch.float64)
        both_gradient = torch.zeros(extra, dtype=torch.float64)
        cost = 0.0
        for start in range(0, count, FRAMES_AT_ONCE):
            frames = slice(start, start + FRAMES_AT_ONCE)
            part_cost, residual, jacobian = self.at(frames)._linearised(x[frames], shared, solve_shared)
            mine, theirs = jacobian[..., :UNKNOWNS], jacobian[..., UNKNOWNS:]
            cost += part_cost
            own[frames] = mine.mT @ mine
            gradient[frames] = (mine.mT @ residual[..., None])[..., 0]
            if solve_shared:
                cross[frames] = mine.mT @ theirs
                flat = theirs.flatten(0, 1)
                both += flat.T @ flat
                both_gradient += flat.T @ residual.flatten()
        prior_cost, prior_gradient, prior_own = self._prior(x)
        shared_cost, shared_gradient, shared_diagonal = self._shared_prior(shared)
        if solve_shared:
            both += torch.diag(shared_diagonal)
            both_gradient += shared_gradient
        total = float(cost + prior_cost + shared_cost)
        return Normal(total, own + prior_own, gradient + prior_gradient, cross, both, both_gradient)

    def _in_camera(self, x: Tensor, shared: Tensor) -> Tensor:
        """Landmarks in camera space, [T, 468, 3] metres."""
        points = self.head.points(shared[:-1], x[:, EXPRESSION], x[:, EYELIDS], x[:, JAW])
        return points @ head_rotation(x[:, TURN]).mT + x[:, None, SHIFT]

    def _linearised(self, x: Tensor, shared: Tensor, solve_shared: bool) -> tuple[float, Tensor, Tensor]:
        """Robust cost, weighted residuals [T, R] and their derivatives [T, R, 111 (+ G)]."""
        points, by_head = self.head.jacobian(shared[:-1], x[:, EXPRESSION], x[:, EYELIDS], x[:, JAW])
        turn = axis_angle_to_matrix(x[:, TURN])
        rotation = turn * FACING
        in_camera = points @ rotation.mT + x[:, None, SHIFT]
        focal = shared[-1].exp()
        projected, to_picture = project(in_camera, focal, self.centre)  # [T, N, 2], [T, N, 2, 3]
        raised, share_of_depth, share_of_mean = relief(in_camera, focal)
        ahead = in_camera.new_tensor([0.0, 0.0, 1.0]).expand(*to_picture.shape[:2], 1, 3)
        by_camera = torch.cat((to_picture, ahead), -2)  # [T, N, 3, 3]
        by_turn = torch.einsum("tcij,tnj->tnic", rotation_derivative(x[:, TURN], turn) * FACING, points)
        components = by_head if solve_shared else by_head[..., : 3 + 100 + 2]
        by_motion = (by_camera @ rotation[:, None]) @ components  # [T, N, 3, 105 (+ S)]
        jacobian = torch.cat((by_camera @ by_turn, by_camera, by_motion), -1)  # [T, N, 3, 111 (+ S)]
        depth_rows = jacobian[:, :, 2]
        mean_rows = depth_rows.mean(1, keepdim=True)
        depth_rows = share_of_depth * (depth_rows - mean_rows) - share_of_mean * mean_rows  # [T, N, 111 (+ S)]
        picture_rows = jacobian[:, :, :2]
        if solve_shared:  # by log focal
            picture_rows = torch.cat((picture_rows, (projected - self.centre)[..., None]), -1)
            depth_rows = torch.cat((depth_rows, raised[..., None]), -1)

        cost, (point_weight, pair_weight, depth_weight) = self._robust(projected, raised)
        upper, lower = PAIRS
        difference = projected - self.observed
        residual = torch.cat((difference, difference[:, upper] - difference[:, lower]), 1)
        rows = torch.cat((picture_rows, picture_rows[:, upper] - picture_rows[:, lower]), 1)
        weight = torch.cat((point_weight, pair_weight), 1)[..., None]  # [T, N + pairs, 1]
        return (
            cost,
            torch.cat(((residual * weight).flatten(1), (raised - self.depth) * depth_weight), 1),
            torch.cat(((rows * weight[..., None]).flatten(1, 2), depth_rows * depth_weight[..., None]), 1),
        )

    def _robust(self, projected: Tensor, raised: Tensor) -> tuple[float, tuple[Tensor, Tensor, Tensor]]:
        """Pseudo-Huber cost, and the weights by which residuals are multiplied: of points [T, 468], of pairs [T, 9], of
        depths [T, 468]."""
        upper, lower = PAIRS
        difference = projected - self.observed
        size = torch.linalg.norm(self.observed[:, RIGHT_EYE_OUTER] - self.observed[:, LEFT_EYE_OUTER], dim=-1).clamp(
            min=1.0
        )
        scale = self.trust.sqrt()[:, None] / size[:, None]  # [T, 1] per px
        terms = (
            (difference, scale / landmark_shares(self.weights)),
            (difference[:, upper] - difference[:, lower], scale / self.weights.lip_pair_share),
            ((raised - self.depth)[..., None], scale / self.weights.depth_share),
        )
        cost, weights, knee = 0.0, [], self.weights.robust_from
        for residual, precision in terms:
            share = (torch.linalg.norm(residual, dim=-1) * precision / knee).square()
            cost += float((2 * knee**2 * ((1 + share).sqrt() - 1)).sum())
            weights.append(precision * (1 + share).pow(-0.25))
        return cost, (weights[0], weights[1], weights[2])

    def _prior(self, x: Tensor) -> tuple[float, Tensor, Tensor]:
        """Cost, gradient [T, 111] and curvature [T, 111, 111] of the priors on motion."""
        weights = self.weights
        precision = torch.zeros_like(x)  # [T, 111], 1 / deviation^2
        open_ = torch.where(x[:, 6] < 0, weights.jaw_shut_rad, weights.jaw_open_rad)
        precision[:, 6] = open_**-2
        precision[:, 7:9] = weights.jaw_twist_rad**-2
        precision[:, EXPRESSION] = weights.expression**-2
        precision[:, EYELIDS] = weights.eyelids**-2
        own = torch.diag_embed(precision)
        gradient = precision * x
        cost = float((precision * x.square()).sum())
        for direction, deviation in (
            (self._opening(UPPER_INNER_LIP, LOWER_INNER_LIP), weights.gap_by_expression_m),
            (self._opening(None, CHIN), weights.chin_by_expression_m),
        ):
            row = direction / deviation  # [100]
            amount = x[:, EXPRESSION] @ row  # [T]
            cost += float(amount.square().sum())
            gradient[:, EXPRESSION] += amount[:, None] * row
            own[:, EXPRESSION, EXPRESSION] += row[:, None] * row
        return cost, gradient, own

    def _opening(self, upper: int | None, lower: int) -> Tensor:
        """Height [m] that each expression component puts between two landmarks, [100]; None: the head's origin."""
        basis = (self.head.still_motion + self.head.moved_motion)[:, 1, :100]  # [468, 100]
        return -basis[lower] if upper is None else basis[upper] - basis[lower]

    def _shared_prior(self, shared: Tensor) -> tuple[float, Tensor, Tensor]:
        """Cost, gradient [G] and curvature's diagonal [G] of the priors on shape and focal length."""
        weights = self.weights
        deviation = torch.full_like(shared, weights.shape)
        deviation[-1] = weights.log_focal
        off = shared.clone()
        off[-1] -= torch.log(torch.tensor(weights.focal_per_diagonal * self.diagonal, dtype=torch.float64))
        return float((off / deviation).square().sum()), off / deviation**2, deviation**-2


FACING = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)  # columns of diag(1, -1, -1): head axes to camera axes
PAIRS = ([upper for upper, _ in INNER_LIP_PAIRS], [lower for _, lower in INNER_LIP_PAIRS])


def head_rotation(turn: Tensor) -> Tensor:
    """[T, 3] -> [T, 3, 3]: head axes (Y up, Z out of the face) to camera axes (y down, z forward)."""
    return axis_angle_to_matrix(turn) * FACING


def project(points: Tensor, focal: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
    """Camera space [T, N, 3] to px [T, N, 2], and the derivative [T, N, 2, 3]."""
    depth = points[..., 2:].clamp(min=1e-3)
    unit = points[..., :2] / depth
    slope = focal / depth[..., 0]
    zero = torch.zeros_like(slope)
    rows = (
        torch.stack((slope, zero, -slope * unit[..., 0]), -1),
        torch.stack((zero, slope, -slope * unit[..., 1]), -1),
    )
    return unit * focal + centre, torch.stack(rows, -2)


def relief(points: Tensor, focal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How far points lie behind their mean, in px at its scale: what FaceMesh calls depth.

    points: [T, N, 3] camera space.   Returns it, [T, N], and how it follows depths measured from their mean
    ([T, 1, 1]) and the mean depth ([T, N, 1], to be subtracted).
    """
    mean = points[..., 2].mean(1, keepdim=True).clamp(min=1e-3)  # [T, 1]
    per_metre = focal / mean
    raised = (points[..., 2] - mean) * per_metre
    return raised, per_metre[..., None], (raised / mean)[..., None]


def landmark_shares(weights: Weights) -> Tensor:
    """Standard deviation of each landmark as a share of the inter-ocular distance, [468]."""
    shares = torch.full((COUNT,), weights.face_share, dtype=torch.float64)
    for points, share in (
        (FACE_OVAL, weights.outline_share),
        (RIGHT_EYE + LEFT_EYE, weights.eyes_share),
        (LIPS, weights.lips_share),
        ((RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER), weights.mouth_corner_share),
    ):
        shares[list(points)] = share
    return shares
