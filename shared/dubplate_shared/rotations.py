# SPDX-License-Identifier: Apache-2.0
"""Rotations in numpy: axis-angle (files), matrices, and Euler XYZ (Blender's jaw bone). Angles in radians."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def matrix_from_axis_angle(axis_angle: Array) -> Array:
    """Rodrigues' formula.  axis_angle: [..., 3].  Returns [..., 3, 3] float64."""
    vector = np.asarray(axis_angle, np.float64)
    squared = np.sum(vector * vector, axis=-1)[..., None, None]
    angle = np.sqrt(squared)
    small = squared < 1e-12  # below, the series is exact in float64 and the quotients are not
    safe = np.where(small, 1.0, angle)
    first = np.where(small, 1.0 - squared / 6.0, np.sin(safe) / safe)
    second = np.where(small, 0.5 - squared / 24.0, (1.0 - np.cos(safe)) / (safe * safe))
    cross = _cross_matrix(vector)
    return np.asarray(np.eye(3) + first * cross + second * (cross @ cross))


def _cross_matrix(vector: Array) -> Array:
    x, y, z = np.moveaxis(vector, -1, 0)
    zero = np.zeros_like(x)
    rows = [zero, -z, y, z, zero, -x, -y, x, zero]
    return np.asarray(np.stack(rows, axis=-1).reshape(*vector.shape[:-1], 3, 3))


def axis_angle_from_matrix(matrix: Array) -> Array:
    """Inverse of matrix_from_axis_angle, stable up to half a turn (through a quaternion).  Returns [..., 3],
    angle in [0, pi].
    """
    matrix = np.asarray(matrix, np.float64)
    quaternion = _quaternion_from_matrix(matrix)  # [..., 4] w x y z, w >= 0
    vector = quaternion[..., 1:]
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(length, quaternion[..., :1])
    scale = np.where(length < 1e-9, 2.0, angle / np.where(length < 1e-9, 1.0, length))
    return np.asarray(vector * scale)


def _quaternion_from_matrix(matrix: Array) -> Array:
    """The largest eigenvector of Bar-Itzhack's symmetric 4x4 form: no branches, and exact near half turns."""
    m = matrix
    k = np.zeros((*m.shape[:-2], 4, 4))
    k[..., 0, 0] = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    k[..., 0, 1] = k[..., 1, 0] = m[..., 2, 1] - m[..., 1, 2]
    k[..., 0, 2] = k[..., 2, 0] = m[..., 0, 2] - m[..., 2, 0]
    k[..., 0, 3] = k[..., 3, 0] = m[..., 1, 0] - m[..., 0, 1]
    k[..., 1, 1] = m[..., 0, 0] - m[..., 1, 1] - m[..., 2, 2]
    k[..., 2, 2] = m[..., 1, 1] - m[..., 0, 0] - m[..., 2, 2]
    k[..., 3, 3] = m[..., 2, 2] - m[..., 0, 0] - m[..., 1, 1]
    k[..., 1, 2] = k[..., 2, 1] = m[..., 1, 0] + m[..., 0, 1]
    k[..., 1, 3] = k[..., 3, 1] = m[..., 2, 0] + m[..., 0, 2]
    k[..., 2, 3] = k[..., 3, 2] = m[..., 2, 1] + m[..., 1, 2]
    _, vectors = np.linalg.eigh(k)
    quaternion = vectors[..., -1]  # eigenvalues ascend
    return np.asarray(np.where(quaternion[..., :1] < 0, -quaternion, quaternion))


def matrix_from_euler_xyz(euler: Array) -> Array:
    """R = Rz Ry Rx, as Blender's rotation mode XYZ.  euler: [..., 3].  Returns [..., 3, 3]."""
    x, y, z = np.moveaxis(np.asarray(euler, np.float64), -1, 0)
    cx, sx, cy, sy, cz, sz = np.cos(x), np.sin(x), np.cos(y), np.sin(y), np.cos(z), np.sin(z)
    rows = [
        cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz,
        cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz,
        -sy, sx * cy, cx * cy,
    ]  # fmt: skip
    return np.asarray(np.stack(rows, axis=-1).reshape(*np.shape(x), 3, 3))


def euler_xyz_from_matrix(matrix: Array) -> Array:
    """Inverse of matrix_from_euler_xyz with y in [-pi/2, pi/2]; z is 0 at gimbal lock.  Returns [..., 3]."""
    m = np.asarray(matrix, np.float64)
    y = np.arcsin(np.clip(-m[..., 2, 0], -1.0, 1.0))
    locked = np.abs(m[..., 2, 0]) > 1.0 - 1e-12
    x = np.where(locked, np.arctan2(-m[..., 1, 2], m[..., 1, 1]), np.arctan2(m[..., 2, 1], m[..., 2, 2]))
    z = np.where(locked, 0.0, np.arctan2(m[..., 1, 0], m[..., 0, 0]))
    return np.stack([x, y, z], axis=-1)
