# SPDX-License-Identifier: GPL-3.0-or-later
"""Some points of the head under expression and jaw, for many frames at once; the skull keeps still. No bpy.

Skinning as Rig.pose (Li et al. 2017, FLAME, eq. 2-4), with neck and eyes at rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.landmarks import INNER_LIP_PAIRS
from dubplate_shared.rig import JOINTS, Rig
from dubplate_shared.rotations import matrix_from_euler_xyz

Array = npt.NDArray[Any]

_JAW = JOINTS.index("jaw")
_JAW_FEATURES = slice(9, 18)  # of the 36 entries of R - I: neck, jaw, eye.L, eye.R
_ANGLE_STEP = 1e-6  # radians, of central differences: good to 1e-11 m in float64


@dataclass(frozen=True)
class FacePoints:
    """P vertices of a rig and what weighs them together to N points.

    rest: (P, 3) m.  basis: (P, 3, 100).  correctives: (P, 3, 9) of the jaw's R - I.  jaw_weight: (P,).
    joint: (3,) m.  joint_basis: (3, 100).  weights: (N, K) of the vertices `corners` (N, K); rows sum to 1.
    """

    rest: Array
    basis: Array
    correctives: Array
    jaw_weight: Array
    joint: Array
    joint_basis: Array
    corners: Array
    weights: Array

    @classmethod
    def of_landmarks(cls, rig: Rig, landmarks: Sequence[int]) -> FacePoints:
        """MediaPipe's points, in the order given."""
        index = list(landmarks)
        used, corners = np.unique(rig.faces[rig.landmark_faces[index]], return_inverse=True)
        return cls._of(rig, used, corners.reshape(len(index), 3), rig.landmark_barycentrics[index])

    @classmethod
    def of_vertices(cls, rig: Rig, vertices: Array) -> FacePoints:
        """Vertices of the surface.  vertices: (N,) indices."""
        count = len(vertices)
        return cls._of(rig, np.asarray(vertices), np.arange(count)[:, None], np.ones((count, 1)))

    @classmethod
    def _of(cls, rig: Rig, used: Array, corners: Array, weights: Array) -> FacePoints:
        return cls(
            rest=np.asarray(rig.vertices[used], np.float64),
            basis=np.asarray(rig.expression_basis[used], np.float64),
            correctives=np.asarray(rig.pose_basis[used][:, :, _JAW_FEATURES], np.float64),
            jaw_weight=np.asarray(rig.skin_weights[used, _JAW], np.float64),
            joint=np.asarray(rig.joints[_JAW], np.float64),
            joint_basis=np.asarray(rig.joint_expression[_JAW], np.float64),
            corners=corners,
            weights=np.asarray(weights, np.float64),
        )

    def positions(self, expression: Array, jaw: Array) -> Array:
        """Where the points are.  expression: (T, 100).  jaw: (T, 3) Euler XYZ, radians.  Returns (T, N, 3) m."""
        turn, features = _turn(jaw)  # [T, 3, 3], [T, 9]
        count = len(turn)
        moved = np.asarray(expression, np.float64) @ self.basis.reshape(-1, self.basis.shape[-1]).T
        vertices = self.rest + moved.reshape(count, -1, 3)  # [T, P, 3]
        vertices += (features @ self.correctives.reshape(-1, 9).T).reshape(count, -1, 3)
        joint = (self.joint + expression @ self.joint_basis.T)[:, None]  # [T, 1, 3]
        turned = (vertices - joint) @ turn.transpose(0, 2, 1) + joint
        return self._weighed(vertices + self.jaw_weight[:, None] * (turned - vertices))

    def slopes(self, expression: Array, jaw: Array) -> tuple[Array, Array]:
        """Derivatives there.  Returns (T, N, 3, 100) m a standard deviation, and (T, N, 3, 3) m a radian."""
        turn, _ = _turn(jaw)
        joint = np.broadcast_to(self.joint_basis, self.basis.shape)
        turned = np.einsum("tij,pjk->tpik", turn, self.basis - joint) + joint
        by_expression = self.basis + self.jaw_weight[:, None, None] * (turned - self.basis)
        steps = _ANGLE_STEP * np.eye(3)
        by_jaw = [self.positions(expression, jaw + step) - self.positions(expression, jaw - step) for step in steps]
        return self._weighed(by_expression), np.stack(by_jaw, axis=-1) / (2 * _ANGLE_STEP)

    def _weighed(self, of_vertices: Array) -> Array:
        """(T, P, ...) of vertices to (T, N, ...) of points."""
        if self.weights.shape[1] == 1:
            return of_vertices
        return np.asarray(np.einsum("nk,tnk...->tn...", self.weights, of_vertices[:, self.corners]))


def _turn(jaw: Array) -> tuple[Array, Array]:
    """The jaw's rotation (T, 3, 3), and R - I row by row (T, 9)."""
    turn = matrix_from_euler_xyz(jaw)
    return turn, (turn - np.eye(3)).reshape(-1, 9)


class LipPairs:
    """The nine facing pairs of inner-lip points, by which the mouth's opening is measured."""

    def __init__(self, rig: Rig) -> None:
        uppers, lowers = zip(*INNER_LIP_PAIRS, strict=True)
        self._points = FacePoints.of_landmarks(rig, (*uppers, *lowers))

    def apart(self, expression: Array, jaw: Array) -> Array:
        """Upper minus lower point in head space, (T, 9, 3) m: y above 0 is open, below 0 overlaps."""
        return _difference(self._points.positions(expression, jaw))

    def slopes(self, expression: Array, jaw: Array) -> tuple[Array, Array]:
        """Derivatives of `apart`: (T, 9, 3, 100), (T, 9, 3, 3)."""
        by_expression, by_jaw = self._points.slopes(expression, jaw)
        return _difference(by_expression), _difference(by_jaw)

    def gap_mm(self, expression: Array, jaw: Array) -> Array:
        """How far the lips are apart where they are widest, up the skull's axis; overlap is none.  (T,) mm."""
        return 1e3 * np.maximum(self.apart(expression, jaw)[..., 1].max(axis=1), 0.0)


def _difference(points: Array) -> Array:
    half = len(INNER_LIP_PAIRS)
    return points[:, :half] - points[:, half:]
