# SPDX-License-Identifier: Apache-2.0
"""Landmarks each of which stands wrong on this face, alike in every frame, by nobody knows how much.

FaceMesh places a chin or a nose where it thinks such a face has it, 2 to 6 % of the inter-ocular distance off. Taken at
its word in a few dozen frames it would bend the shape by that much. So where each landmark sits on the head is unknown
too: FaceMesh then tells how points move, and only as much of where they are as it knows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dubplate_backend.tracking.landmark_term import PAIRS, LandmarkTerm, relief
from dubplate_backend.tracking.normal import Normal, Tied
from dubplate_backend.tracking.projection import picture_slopes, see
from dubplate_backend.tracking.surface_head import cross_matrix
from dubplate_backend.tracking.unknowns import TURN, Shared, head_rotation
from dubplate_backend.tracking.weights import Weights
from dubplate_shared.landmarks import COUNT, FACE_OVAL, LIPS


@dataclass(frozen=True, kw_only=True)
class MisplacedLandmarks(LandmarkTerm):
    """As LandmarkTerm.   offset: [468, 3] metres at rest, head axes: where each landmark sits from where it should.
    doubt: [468] its deviation, metres.   together: [1404, 3] orthonormal, in deviations: all landmarks turned as one,
    which costs nothing: FaceMesh holds a face to be tilted by degrees."""

    offset: Tensor
    doubt: Tensor
    together: Tensor

    @classmethod
    def of(cls, term: LandmarkTerm, offset: Tensor | None = None) -> MisplacedLandmarks:
        """offset: what has been found of it so far."""
        offset = torch.zeros(COUNT, 3, dtype=torch.float64) if offset is None else offset
        doubt = doubts(term.weights)
        return cls(**vars(term), offset=offset, doubt=doubt, together=as_one(term.head.rest(), doubt))

    def apart(self) -> Tensor:
        """[468, 3] deviations by which landmarks are misplaced from one another."""
        off = (self.offset / self.doubt[:, None]).flatten()
        return (off - self.together @ (self.together.T @ off)).unflatten(0, (COUNT, 3))

    def cost(self, x: Tensor, shared: Tensor) -> float:
        moved = replace(self, head=self.head.moved_by(self.offset))
        return LandmarkTerm.cost(moved, x, shared) + float(self.apart().square().sum())

    def add_to(self, normal: Normal, frames: slice, x: Tensor, shared: Tensor, *, solve_shared: bool) -> None:
        """Of all frames at once: they share the offsets."""
        head = self.head.moved_by(self.offset)
        seen = see(head, self.view, x, Shared(shared))
        picture_rows, depth_rows, raised = self._rows(seen, x, Shared(shared), solve_shared=solve_shared)
        cost, (point_weight, pair_weight, depth_weight) = self._robust(seen.projected, raised)
        difference = seen.projected - self.observed
        weight = torch.cat((point_weight[..., None].expand(-1, -1, 2), depth_weight[..., None]), -1)  # [T, N, 3]
        residual = torch.cat((difference, (raised - self.depth)[..., None]), -1) * weight
        rows = torch.cat((picture_rows, depth_rows[:, :, None]), 2) * weight[..., None]  # [T, N, 3, C]
        upper, lower = PAIRS
        pairs = (picture_rows[:, upper] - picture_rows[:, lower]) * pair_weight[..., None, None]
        gaps = (difference[:, upper] - difference[:, lower]) * pair_weight[..., None]
        apart = self.apart()
        normal.cost += cost + float(apart.square().sum())
        normal.add(
            frames,
            torch.cat((rows.flatten(1, 2), pairs.flatten(1, 2)), 1),
            torch.cat((residual.flatten(1), gaps.flatten(1)), 1),
        )
        turned = head_rotation(x[:, TURN]) @ seen.posed.by_neck  # [T, 3, 3]
        share = head.jaw_weight[:, None]  # [N, 1, 1]
        eye = torch.eye(3, dtype=share.dtype)
        carried = turned[:, None] @ ((1 - share) * eye + share * seen.posed.by_jaw[:, None])  # [T, N, 3, 3]
        depth_share = relief(seen.in_camera, seen.focal)[1][..., None]  # [T, 1, 1, 1]
        by_offset = torch.cat((picture_slopes(seen) @ carried, depth_share * carried[:, :, 2:]), 2)
        # What holds a landmark is taken as if it stood alone: more curvature than there is, the very gradient.
        hold = self.doubt[:, None].expand(-1, 3) ** -2
        off = apart * self.doubt[:, None]
        normal.tied.append(Tied.of(by_offset * weight[..., None], rows, residual, hold, off))

    def stepped(self, step: Tensor) -> MisplacedLandmarks:
        """step: [468, 3]."""
        return replace(self, offset=self.offset + step)


def doubts(weights: Weights) -> Tensor:
    """[468] metres."""
    doubt = torch.full((COUNT,), weights.misplaced_m, dtype=torch.float64)
    doubt[list(FACE_OVAL)] = weights.outline_misplaced_m
    doubt[list(LIPS)] = weights.lips_misplaced_m
    return doubt


def as_one(points: Tensor, doubt: Tensor) -> Tensor:
    """[3 N, 3] orthonormal: points [N, 3] turned together about their middle, in their deviations [N]."""
    turns = cross_matrix(points - points.mean(0))  # [N, 3, 3]
    return torch.linalg.qr((turns / doubt[:, None, None]).flatten(0, 1)).Q
