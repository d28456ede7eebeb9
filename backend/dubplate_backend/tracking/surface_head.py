# SPDX-License-Identifier: Apache-2.0
"""A head model cut down to some points of its surface, exactly, so that a whole shot can be fitted in seconds.

A surface point is a fixed blend of three vertices, and skinning is linear in a vertex. With the eyes at rest two joints
are left that turn, the neck and the jaw that it carries, so each point is

    p = rooted(code) + R(neck) (still(code) + R(jaw) moved(code)),

all three affine in `code`: shape, expression, eyelids and the pose-corrective features of jaw and neck. No
approximation is made: the points equal those of `HeadModel.vertices`.  Source of the skinning: Li et al. 2017, FLAME,
eq. 2-4.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from dubplate_backend.head.model import EXPRESSION_COMPONENTS, HeadModel
from dubplate_backend.head.skinning import axis_angle_to_matrix
from dubplate_backend.tracking.surface_rows import fill_rows

NECK_JOINT, JAW_JOINT = 1, 2
NECK_FEATURES, JAW_FEATURES = slice(0, 9), slice(9, 18)  # of the 36 pose features: neck, jaw, left eye, right eye
EYELIDS = 2
FEATURES = 9
LINEAR = EXPRESSION_COMPONENTS + EYELIDS
MOTION = LINEAR + 2 * FEATURES
COLUMNS = 6 + LINEAR  # of `SurfaceHead.rows`: jaw 3, linear, neck 3


@dataclass(frozen=True)
class SurfaceHead:
    """N points. `*_base` [N, 3], `*_shape` [N, 3, S], `*_motion` [N, 3, 120], metres: expression, eyelids, features of
    the jaw, features of the neck.  jaw_weight: [N, 1], the share that the jaw carries."""

    rooted_base: Tensor
    rooted_shape: Tensor
    rooted_motion: Tensor
    still_base: Tensor
    still_shape: Tensor
    still_motion: Tensor
    moved_base: Tensor
    moved_shape: Tensor
    moved_motion: Tensor
    jaw_weight: Tensor

    @classmethod
    def of(cls, head: HeadModel, points_faces: Tensor | None = None, barycentrics: Tensor | None = None) -> SurfaceHead:
        """Reduce `head` to points on faces [N] with barycentrics [N, 3]; to MediaPipe's 468 unless told. float64."""
        head = head.double()
        points_faces = head.landmark_faces if points_faces is None else points_faces
        blend = head.landmark_barycentrics if barycentrics is None else barycentrics.double()
        corners = head.faces[points_faces]  # [N, 3]
        carried = blend * head.skin_weights[corners, JAW_JOINT]  # [N, 3] share of each corner that the jaw carries
        rooted = blend * head.skin_weights[corners, 0]
        turned = blend - rooted  # by the neck: what neck, jaw and eyes carry
        jaw_weight, neck_weight = carried.sum(-1)[:, None], turned.sum(-1)[:, None]  # [N, 1]

        def at_points(basis: Tensor, share: Tensor) -> Tensor:
            return (basis[corners] * share.reshape(*share.shape, *[1] * (basis.ndim - 1))).sum(1)

        bases = (
            head.template,
            head.shape_basis,
            torch.cat(
                (
                    head.expression_basis,
                    head.eyelid_basis,
                    head.pose_basis[..., JAW_FEATURES],
                    head.pose_basis[..., NECK_FEATURES],
                ),
                -1,
            ),
        )
        parts: dict[str, Tensor] = {}
        for name, basis in zip(("base", "shape", "motion"), bases, strict=True):
            neck, jaw = (joint_basis(head, joint, name) for joint in (NECK_JOINT, JAW_JOINT))
            to_neck = neck_weight.reshape(-1, *[1] * neck.ndim) * neck[None]  # [N, 3(, C)]
            to_jaw = jaw_weight.reshape(-1, *[1] * jaw.ndim) * jaw[None]
            parts[f"rooted_{name}"] = at_points(basis, rooted) + to_neck
            parts[f"still_{name}"] = at_points(basis, turned - carried) - to_neck + to_jaw
            parts[f"moved_{name}"] = at_points(basis, carried) - to_jaw
        return cls(**parts, jaw_weight=jaw_weight)

    def shaped(self, shape: Tensor, free: int = 0) -> SurfaceHead:
        """The head of one person: `shape` [S] folded into the bases but for its first `free` components."""
        folded = {}
        for part in ("rooted", "still", "moved"):
            basis = getattr(self, f"{part}_shape")
            folded[f"{part}_base"] = getattr(self, f"{part}_base") + basis[..., free:] @ shape[free:]
            folded[f"{part}_shape"] = basis[..., :free]
            folded[f"{part}_motion"] = getattr(self, f"{part}_motion")
        return SurfaceHead(**folded, jaw_weight=self.jaw_weight)

    def moved_by(self, offset: Tensor) -> SurfaceHead:
        """The same with its points elsewhere by `offset` [N, 3] metres, at rest; each goes with what carries it."""
        share = (self.jaw_weight, 1 - self.jaw_weight)
        return replace(
            self, moved_base=self.moved_base + share[0] * offset, still_base=self.still_base + share[1] * offset
        )

    def rest(self) -> Tensor:
        """The points of the person's face at rest, [N, 3], with what shape is not folded in at its mean."""
        return self.rooted_base + self.still_base + self.moved_base

    def single(self) -> SurfaceHead:
        """The same in float32: what thousands of points are fitted in."""
        return SurfaceHead(**{field.name: getattr(self, field.name).float() for field in fields(self)})

    def __len__(self) -> int:
        return len(self.still_base)

    @property
    def shape_components(self) -> int:
        return self.still_shape.shape[-1]

    def points(self, shape: Tensor, expression: Tensor, eyelids: Tensor, jaw: Tensor, neck: Tensor) -> Tensor:
        """Points in head space.  shape: [S].  expression: [T, 100].  eyelids: [T, 2].  jaw, neck: [T, 3].
        Returns [T, N, 3] metres."""
        return self.posed(shape, expression, eyelids, jaw, neck).points

    def posed(self, shape: Tensor, expression: Tensor, eyelids: Tensor, jaw: Tensor, neck: Tensor) -> Posed:
        """As `points`, with what its derivatives need."""
        by_jaw, by_neck = axis_angle_to_matrix(jaw), axis_angle_to_matrix(neck)  # [T, 3, 3]
        eye = torch.eye(3, dtype=jaw.dtype)
        features = ((by_jaw - eye).flatten(1), (by_neck - eye).flatten(1))
        code = torch.cat((expression, eyelids, *features), 1)  # [T, 120]
        rooted, still, moved = (
            getattr(self, f"{part}_base")
            + getattr(self, f"{part}_shape") @ shape
            + apply(getattr(self, f"{part}_motion"), code)
            for part in ("rooted", "still", "moved")
        )
        inner = still + moved @ by_jaw.mT
        return Posed(rooted + inner @ by_neck.mT, inner, moved, jaw, by_jaw, neck, by_neck)

    def rows(self, posed: Posed, left: Tensor, *, with_shape: bool = False, first: int = 0) -> Tensor:
        """left @ d points / d (jaw 3, expression 100, eyelids 2, neck 3 (, shape S)).

        left: [T, N, R, 3], what the points' derivatives are multiplied by: projections, rotations.
        Returns [T, N, R, first + 108 (+ S)], the first columns being left to the caller.
        """
        neck_left = turned(left, posed.by_neck)  # [T, N, R, 3]
        jaw_left = turned(neck_left, posed.by_jaw)
        count = self.shape_components if with_shape else 0
        rows = left.new_empty(*left.shape[:-1], first + COLUMNS + count)
        fill_rows(
            rows.numpy(),
            (left.contiguous().numpy(), neck_left.numpy(), jaw_left.numpy()),
            (self.rooted_motion.numpy(), self.still_motion.numpy(), self.moved_motion.numpy()),
            tuple(
                basis[..., :count].contiguous().numpy()
                for basis in (self.rooted_shape, self.still_shape, self.moved_shape)
            ),
            (posed.moved.contiguous().numpy(), posed.inner.contiguous().numpy()),
            (
                rotation_derivative(posed.jaw, posed.by_jaw).contiguous().numpy(),
                rotation_derivative(posed.neck, posed.by_neck).contiguous().numpy(),
            ),
            LINEAR,
            first,
        )
        return rows


@dataclass(frozen=True)
class Posed:
    """`points` [T, N, 3] of a posed head, and its parts: `inner` before the neck turns it, `moved` before the jaw does,
    both [T, N, 3]; the turns as axis-angle [T, 3] and matrices [T, 3, 3]."""

    points: Tensor
    inner: Tensor
    moved: Tensor
    jaw: Tensor
    by_jaw: Tensor
    neck: Tensor
    by_neck: Tensor


def joint_basis(head: HeadModel, joint: int, of: str) -> Tensor:
    """How a joint follows the code: [3] of the template, [3, 300] of the shape, [3, 120] of the motion."""
    regressor = head.joint_regressor[joint]  # [V]
    if of == "base":
        return regressor @ head.template
    if of == "shape":
        return torch.einsum("v,vkc->kc", regressor, head.shape_basis)
    motion = torch.zeros(3, MOTION, dtype=head.template.dtype)
    if head.joints_follow_expression:
        motion[:, :EXPRESSION_COMPONENTS] = torch.einsum("v,vkc->kc", regressor, head.expression_basis)
    return motion


def turned(rows: Tensor, matrices: Tensor) -> Tensor:
    """[T, N, R, 3] @ [T, 3, 3] frame by frame: one product a frame, not one a point."""
    return (rows.flatten(1, 2) @ matrices).unflatten(1, rows.shape[1:3])


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
