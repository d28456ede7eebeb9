# SPDX-License-Identifier: Apache-2.0
"""A head model cut down to MediaPipe's 468 points, exactly, so that a whole shot can be fitted in seconds.

With neck and eyes at rest, skinning has one joint left that turns, the jaw. A landmark is a fixed blend of three
vertices, and skinning is linear in a vertex, so each landmark is

    p = still(shape, motion) + R(jaw) moved(shape, motion),

both affine, `motion` being expression, eyelids and the jaw's pose-corrective features. No approximation is made: the
points equal `HeadModel.landmarks(HeadModel.vertices(...))`.  Source of the skinning: Li et al. 2017, FLAME, eq. 2-4.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dubplate_backend.head.model import EXPRESSION_COMPONENTS, HeadModel
from dubplate_backend.head.skinning import axis_angle_to_matrix

JAW_JOINT = 2
JAW_FEATURES = slice(9, 18)  # of the 36 pose features: neck, jaw, left eye, right eye
EYELIDS = 2
FEATURES = 9
MOTION = EXPRESSION_COMPONENTS + EYELIDS + FEATURES


@dataclass(frozen=True)
class LandmarkHead:
    """float64 tensors. `*_base` [468, 3], `*_shape` [468, 3, 300], `*_motion` [468, 3, 111], metres."""

    still_base: Tensor
    still_shape: Tensor
    still_motion: Tensor
    moved_base: Tensor
    moved_shape: Tensor
    moved_motion: Tensor

    @classmethod
    def of(cls, head: HeadModel) -> LandmarkHead:
        """Reduce `head`."""
        head = head.double()
        corners = head.faces[head.landmark_faces]  # [468, 3]
        blend = head.landmark_barycentrics  # [468, 3]
        carried = blend * head.skin_weights[corners, JAW_JOINT]  # [468, 3] share of each corner that the jaw carries
        weight = carried.sum(-1)[:, None]  # [468, 1]

        def at_landmarks(basis: Tensor, share: Tensor) -> Tensor:
            return (basis[corners] * share.reshape(*share.shape, *[1] * (basis.ndim - 1))).sum(1)

        motion = torch.cat((head.expression_basis, head.eyelid_basis, head.pose_basis[..., JAW_FEATURES]), -1)
        regressor = head.joint_regressor[JAW_JOINT]  # [V]
        joint_base = regressor @ head.template  # [3]
        joint_shape = torch.einsum("v,vkc->kc", regressor, head.shape_basis)  # [3, 300]
        joint_motion = torch.zeros(3, MOTION, dtype=torch.float64)
        if head.joints_follow_expression:
            joint_motion[:, :EXPRESSION_COMPONENTS] = torch.einsum("v,vkc->kc", regressor, head.expression_basis)

        parts = []
        for share, sign in ((blend - carried, 1.0), (carried, -1.0)):
            for basis, joint in (
                (head.template, joint_base),
                (head.shape_basis, joint_shape),
                (motion, joint_motion),
            ):
                offset = weight.reshape(-1, *[1] * joint.ndim) * joint[None]  # [468, 3(, C)]
                parts.append(at_landmarks(basis, share) + sign * offset)
        return cls(*parts)

    def shaped(self, shape: Tensor) -> LandmarkHead:
        """The head of one person: `shape` [300] folded into the base, and nothing left of its basis."""
        nothing = self.still_shape[..., :0]
        return LandmarkHead(
            still_base=self.still_base + self.still_shape @ shape,
            still_shape=nothing,
            still_motion=self.still_motion,
            moved_base=self.moved_base + self.moved_shape @ shape,
            moved_shape=nothing,
            moved_motion=self.moved_motion,
        )

    @property
    def shape_components(self) -> int:
        return self.still_shape.shape[-1]

    def points(self, shape: Tensor, expression: Tensor, eyelids: Tensor, jaw: Tensor) -> Tensor:
        """Landmarks in head space.  shape: [S].  expression: [T, 100].  eyelids: [T, 2].  jaw: [T, 3].
        Returns [T, 468, 3] metres."""
        still, moved, turn = self.parts(shape, expression, eyelids, jaw)
        return still + moved @ turn.transpose(-1, -2)

    def parts(self, shape: Tensor, expression: Tensor, eyelids: Tensor, jaw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """still [T, 468, 3], moved [T, 468, 3] and the jaw's rotation [T, 3, 3]."""
        turn = axis_angle_to_matrix(jaw)  # [T, 3, 3]
        features = (turn - torch.eye(3, dtype=turn.dtype)).flatten(1)  # [T, 9]
        motion = torch.cat((expression, eyelids, features), 1)  # [T, 111]
        still = self.still_base + self.still_shape @ shape + apply(self.still_motion, motion)
        moved = self.moved_base + self.moved_shape @ shape + apply(self.moved_motion, motion)
        return still, moved, turn

    def jacobian(self, shape: Tensor, expression: Tensor, eyelids: Tensor, jaw: Tensor) -> tuple[Tensor, Tensor]:
        """Landmarks [T, 468, 3] and their derivatives [T, 468, 3, 105 + S]: jaw, expression, eyelids, shape."""
        still, moved, turn = self.parts(shape, expression, eyelids, jaw)
        points = still + moved @ turn.transpose(-1, -2)
        turn_by_jaw = rotation_derivative(jaw, turn)  # [T, 3 (component), 3, 3]
        by_feature = self.still_motion[..., -FEATURES:] + torch.einsum(
            "tij,njf->tnif", turn, self.moved_motion[..., -FEATURES:]
        )  # [T, 468, 3, 9]
        by_jaw = torch.einsum("tcij,tnj->tnic", turn_by_jaw, moved)
        by_jaw = by_jaw + torch.einsum("tnif,tcf->tnic", by_feature, turn_by_jaw.flatten(2))
        linear_still = torch.cat((self.still_motion[..., :-FEATURES], self.still_shape), -1)  # [468, 3, 102 + S]
        linear_moved = torch.cat((self.moved_motion[..., :-FEATURES], self.moved_shape), -1)
        by_linear = linear_still + torch.einsum("tij,njc->tnic", turn, linear_moved)
        return points, torch.cat((by_jaw, by_linear), -1)


def apply(basis: Tensor, code: Tensor) -> Tensor:
    """basis: [N, 3, C].  code: [T, C].  Returns [T, N, 3]."""
    return (code @ basis.flatten(0, 1).T).unflatten(1, (-1, 3))


def cross_matrix(vector: Tensor) -> Tensor:
    """[..., 3] -> [..., 3, 3], so that cross_matrix(a) b = a x b."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).unflatten(-1, (3, 3))


def rotation_derivative(axis_angle: Tensor, rotation: Tensor) -> Tensor:
    """d R / d axis_angle: [T, 3] and its matrices [T, 3, 3] -> [T, 3 (component), 3, 3].

    R(w + d) = R(w) exp(J_r(w) d) to first order, J_r being the right Jacobian of the rotation group; Solà et al. 2018,
    A micro Lie theory for state estimation in robotics, eq. 143.
    """
    cross = cross_matrix(axis_angle)  # [T, 3, 3]
    squared = axis_angle.square().sum(-1)
    small = squared < 1e-8
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    versine = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / safe)[:, None, None]
    excess = torch.where(small, 1 / 6 - squared / 120, (angle - angle.sin()) / (safe * angle))[:, None, None]
    right = torch.eye(3, dtype=axis_angle.dtype) - versine * cross + excess * cross @ cross  # [T, 3, 3]
    return torch.einsum("tij,tcjk->tcik", rotation, cross_matrix(right.transpose(-1, -2)))
