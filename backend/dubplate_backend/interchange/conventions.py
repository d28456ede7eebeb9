# SPDX-License-Identifier: Apache-2.0
"""Axes and rotations of other tools, in ours: OpenCV's camera, matrices that act on columns, metres."""

from __future__ import annotations

import numpy as np
import torch

from dubplate_backend.head.flame_files import VERTICES
from dubplate_backend.head.model import HeadModel

OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0])  # x right, y up, z towards the viewer
OPENCV_FROM_PYTORCH3D = np.diag([-1.0, -1.0, 1.0])  # x left, y up, z forward
_LEAST_LENGTH = 1e-6  # of a vector that shall give a direction


def matrix_from_6d(rows: np.ndarray) -> np.ndarray:
    """Rotations from the first two rows of their matrices, made orthonormal.

    rows: [..., 6].   Returns [..., 3, 3].   Raises ValueError where two rows are parallel or nought.
    Source: Zhou et al. 2019, On the continuity of rotation representations, with PyTorch3D's choice of rows.
    """
    first, second = np.asarray(rows[..., :3], np.float64), np.asarray(rows[..., 3:], np.float64)
    x = _direction(first)
    y = _direction(second - (x * second).sum(-1, keepdims=True) * x)
    return np.stack([x, y, np.cross(x, y)], axis=-2)


def _direction(vector: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    if (length < _LEAST_LENGTH).any():
        raise ValueError("a rotation in six numbers has rows that span no plane")
    return vector / length


def root_joints(
    head: HeadModel, shape: np.ndarray, expression: np.ndarray, offset: np.ndarray | None = None
) -> np.ndarray:
    """Where FLAME's root joint lies on a shaped head, which other tools turn the head about.

    shape: [300].   expression: [N, 100].   offset: [V >= 5023, 3] metres added to the shaped head.   Returns [N, 3].
    """
    person = torch.from_numpy(np.asarray(shape)).to(head.template.dtype)
    regressor = head.joint_regressor[0]  # [V]
    joints = np.tile(head.shaped(person)[1][0, 0].double().numpy(), (len(expression), 1))  # [N, 3]
    if head.joints_follow_expression:
        moved = torch.einsum("v,vkc->ck", regressor, head.expression_basis)  # [100, 3]
        joints = joints + expression @ moved.double().numpy()
    if offset is not None:
        joints = joints + regressor[:VERTICES].double().numpy() @ offset[:VERTICES]
    return joints


def about_origin(rotation: np.ndarray, translation: np.ndarray, pivot: np.ndarray) -> np.ndarray:
    """The translation of X -> R X + t' that equals X -> R (X - pivot) + pivot + translation.

    rotation: [N, 3, 3].   translation, pivot: [N, 3].   Returns [N, 3].
    """
    return translation + pivot - np.einsum("nij,nj->ni", rotation, pivot)


def turns_between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The smallest rotations that turn directions `start` into `end`, which do not oppose one another.

    start, end: [N, 3], of any length.   Returns [N, 3, 3].   Rodrigues' formula with the cross product as its axis.
    """
    a, b = (vector / np.linalg.norm(vector, axis=-1, keepdims=True) for vector in (start, end))
    x, y, z = np.cross(a, b).T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(-1, 3, 3)
    cosine = (a * b).sum(-1)[:, None, None]
    return np.eye(3) + cross + cross @ cross / (1 + cosine)
