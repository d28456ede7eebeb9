# SPDX-License-Identifier: Apache-2.0
"""The landmark term: FaceMesh's points in the picture, the gaps of the lips, and FaceMesh's depth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dubplate_backend.tracking.normal import Normal
from dubplate_backend.tracking.projection import Seen, View, camera_rows, motion_rows, picture_slopes, see
from dubplate_backend.tracking.surface_head import SurfaceHead
from dubplate_backend.tracking.unknowns import CAMERA_UNKNOWNS, Shared
from dubplate_backend.tracking.weights import Weights
from dubplate_shared.landmarks import (
    COUNT,
    FACE_OVAL,
    INNER_LIP_PAIRS,
    LEFT_EYE,
    LEFT_EYE_OUTER,
    LEFT_MOUTH_CORNER,
    LIPS,
    RIGHT_EYE,
    RIGHT_EYE_OUTER,
    RIGHT_MOUTH_CORNER,
)

PAIRS = ([upper for upper, _ in INNER_LIP_PAIRS], [lower for _, lower in INNER_LIP_PAIRS])
MOUTH = (*LIPS,)
CARRIED = 0.2  # of a point's motion


@dataclass(frozen=True)
class LandmarkTerm:
    """observed: [T, 468, 2] px of the ideal picture.  depth: [T, 468] px at the face's scale, of mean 0.  trust: [T]
    multiplies each frame's terms.  lips_trust: [T] those of its lips once more: low where something hides them.
    pinned: [T, 468] bool, points that a person placed: believed far above the others, however far
    they are from where the head is."""

    head: SurfaceHead
    view: View
    observed: Tensor
    depth: Tensor
    trust: Tensor
    lips_trust: Tensor
    weights: Weights
    pinned: Tensor | None = None

    def at(self, frames: slice | Tensor) -> LandmarkTerm:
        return replace(
            self,
            view=self.view.at(frames),
            observed=self.observed[frames],
            depth=self.depth[frames],
            trust=self.trust[frames],
            lips_trust=self.lips_trust[frames],
            pinned=None if self.pinned is None else self.pinned[frames],
        )

    def shaped(self, shape: Tensor) -> LandmarkTerm:
        return replace(self, head=self.head.shaped(shape))

    def cost(self, x: Tensor, shared: Tensor) -> float:
        seen = see(self.head, self.view, x, Shared(shared))
        return self._robust(seen.projected, relief(seen.in_camera, seen.focal)[0])[0]

    def add_to(self, normal: Normal, frames: slice, x: Tensor, shared: Tensor, *, solve_shared: bool) -> None:
        """Add the term's equations around (x [B, 114], shared [G]) for the frames that it holds."""
        seen = see(self.head, self.view, x, Shared(shared))
        picture_rows, depth_rows, raised = self._rows(seen, x, Shared(shared), solve_shared=solve_shared)
        cost, (point_weight, pair_weight, depth_weight) = self._robust(seen.projected, raised)
        upper, lower = PAIRS
        difference = seen.projected - self.observed
        residual = torch.cat((difference, difference[:, upper] - difference[:, lower]), 1)
        rows = torch.cat((picture_rows, picture_rows[:, upper] - picture_rows[:, lower]), 1)
        weight = torch.cat((point_weight, pair_weight), 1)[..., None]  # [T, N + pairs, 1]
        normal.cost += cost
        normal.add(
            frames,
            torch.cat(((rows * weight[..., None]).flatten(1, 2), depth_rows * depth_weight[..., None]), 1),
            torch.cat(((residual * weight).flatten(1), (raised - self.depth) * depth_weight), 1),
        )

    def _rows(self, seen: Seen, x: Tensor, shared: Shared, *, solve_shared: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Derivatives of places [T, 468, 2, C] and of depths [T, 468, C], and the depths [T, 468], px."""
        raised, share_of_depth, share_of_mean = relief(seen.in_camera, seen.focal)
        ahead = seen.in_camera.new_tensor([0.0, 0.0, 1.0]).expand(*seen.in_camera.shape[:2], 1, 3)
        left = torch.cat((picture_slopes(seen), ahead), -2)  # [T, N, 3, 3]
        rows = motion_rows(self.head, x, seen, left, with_shape=solve_shared)
        depth_rows = rows[:, :, 2]
        mean_rows = depth_rows.mean(1, keepdim=True)
        depth_rows = share_of_depth * (depth_rows - mean_rows) - share_of_mean * mean_rows
        picture_rows = rows[:, :, :2]
        if solve_shared:
            picture_rows = torch.cat((picture_rows, camera_rows(seen, self.view, shared)), -1)
            nothing = depth_rows.new_zeros(*depth_rows.shape[:2], CAMERA_UNKNOWNS)
            nothing[..., 0] = raised  # relief grows with the focal length
            depth_rows = torch.cat((depth_rows, nothing), -1)
        return picture_rows, depth_rows, raised

    def _robust(self, projected: Tensor, raised: Tensor) -> tuple[float, tuple[Tensor, Tensor, Tensor]]:
        """Pseudo-Huber cost, and the weights by which residuals are multiplied: of points [T, 468], of pairs [T, 9], of
        depths [T, 468]."""
        upper, lower = PAIRS
        difference = projected - self.observed
        size = torch.linalg.norm(self.observed[:, RIGHT_EYE_OUTER] - self.observed[:, LEFT_EYE_OUTER], dim=-1).clamp(
            min=1.0
        )
        scale = self.trust.sqrt()[:, None] / size[:, None]  # [T, 1] per px
        lips = self.lips_trust.sqrt()[:, None]
        points = scale / landmark_shares(self.weights, self.head.jaw_weight[:, 0])  # [T, 468]
        points[:, list(MOUTH)] *= lips
        depths = (scale / self.weights.depth_share).expand(-1, COUNT)
        pairs = (scale * lips / pair_shares(self.weights, self.observed, size)[:, None]).expand(-1, len(upper))
        if self.pinned is not None:
            points = torch.where(self.pinned, 1 / (self.weights.pin_share * size[:, None]), points)
            pairs = torch.where(self.pinned[:, upper] | self.pinned[:, lower], 0.0, pairs)
        terms = (
            (difference, points),
            (difference[:, upper] - difference[:, lower], pairs),
            ((raised - self.depth)[..., None], depths),
        )
        cost, weights, knee = 0.0, [], self.weights.robust_from
        for residual, precision in terms:
            share = (torch.linalg.norm(residual, dim=-1) * precision / knee).square()
            loss, weight = 2 * ((1 + share).sqrt() - 1), (1 + share).pow(-0.25)
            if self.pinned is not None and precision is points:
                loss, weight = torch.where(self.pinned, share, loss), weight.masked_fill(self.pinned, 1.0)
            cost += float((knee**2 * loss).sum())
            weights.append(precision * weight)
        return cost, (weights[0], weights[1], weights[2])


def relief(points: Tensor, focal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How far points lie behind their mean, in px at its scale: what FaceMesh calls depth.

    points: [T, N, 3] camera space.   focal: [T] px.   Returns it, [T, N], and how it follows depths measured from
    their mean ([T, 1, 1]) and the mean depth ([T, N, 1], to be subtracted).
    """
    mean = points[..., 2].mean(1, keepdim=True).clamp(min=1e-3)  # [T, 1]
    per_metre = focal[:, None] / mean
    raised = (points[..., 2] - mean) * per_metre
    return raised, per_metre[..., None], (raised / mean)[..., None]


def pair_shares(weights: Weights, observed: Tensor, size: Tensor) -> Tensor:
    """Standard deviation of the lips' gaps as a share of the inter-ocular distance `size` [T] px, [T]: smaller where
    lips are seen to touch.   observed: [T, 468, 2] px."""
    upper, lower = PAIRS
    gap = torch.linalg.norm(observed[:, upper] - observed[:, lower], dim=-1).median(-1).values / size
    touching = (-(gap / weights.touching_share).square()).exp()
    return weights.lip_pair_share + touching * (weights.lip_contact_share - weights.lip_pair_share)


def landmark_shares(weights: Weights, jaw_weight: Tensor) -> Tensor:
    """Standard deviation of each landmark as a share of the inter-ocular distance, [468].   jaw_weight: [468]."""
    shares = torch.full((COUNT,), weights.face_share, dtype=torch.float64)
    for points, share in (
        (FACE_OVAL, weights.outline_share),
        (RIGHT_EYE + LEFT_EYE, weights.eyes_share),
        (LIPS, weights.lips_share),
        ((RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER), weights.mouth_corner_share),
    ):
        shares[list(points)] = share
    beside = torch.where(jaw_weight > CARRIED, weights.carried_by_jaw, 1.0)
    beside[list(LIPS)] = 1.0
    return shares * beside
