# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place where Dubplate's axes meet Blender's.

Dubplate's camera looks along +z with y down (OpenCV). Blender's scene has z up, and here the shot's camera stands at
the origin and looks along +Y, so that depth is Y and height is Z. The head's own space (Y up, Z out of the face) is
kept inside the armature: a bone's local rotation is then the head model's rotation, number for number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.rotations import (
    axis_angle_from_matrix,
    euler_xyz_from_matrix,
    matrix_from_axis_angle,
    matrix_from_euler_xyz,
)

Array = npt.NDArray[Any]

WORLD_FROM_CAMERA = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])  # OpenCV x y z -> X, depth, up
CAMERA_EULER = (np.pi / 2.0, 0.0, 0.0)  # Blender's cameras look along their own -Z; this one shall look along +Y
_LARGEST_STEP = 1.0  # rad between frames; above it the Euler angles jumped, and the other solution is looked at


def object_transform(rotation: Array, translation: Array) -> tuple[Array, Array]:
    """Head to camera, OpenCV axes, to the transform of Blender's object.

    rotation: (T, 3) axis-angle.  translation: (T, 3) metres.  Returns Euler XYZ (T, 3) [rad] without jumps and
    location (T, 3) [m].
    """
    euler = continuous_euler(WORLD_FROM_CAMERA @ matrix_from_axis_angle(rotation))
    return euler, np.asarray(translation, np.float64) @ WORLD_FROM_CAMERA.T


def head_pose(euler: Array, location: Array) -> tuple[Array, Array]:
    """Inverse of object_transform.  Returns rotation (T, 3) axis-angle and translation (T, 3), OpenCV axes."""
    rotation = axis_angle_from_matrix(WORLD_FROM_CAMERA.T @ matrix_from_euler_xyz(euler))
    return rotation, np.asarray(location, np.float64) @ WORLD_FROM_CAMERA


def euler_from_axis_angle(axis_angle: Array) -> Array:
    """Curves of a bone.  axis_angle: (T, 3).  Returns Euler XYZ (T, 3) without jumps."""
    return continuous_euler(matrix_from_axis_angle(axis_angle))


def axis_angle_from_euler(euler: Array) -> Array:
    """Inverse of euler_from_axis_angle.  euler: (T, 3).  Returns (T, 3)."""
    return axis_angle_from_matrix(matrix_from_euler_xyz(euler))


def continuous_euler(matrices: Array) -> Array:
    """Euler XYZ of (T, 3, 3) rotations such that neighbouring frames stay near each other.  Returns (T, 3)."""
    euler = euler_xyz_from_matrix(matrices)
    unwrapped = np.unwrap(euler, axis=0)
    if len(euler) < 2 or np.abs(np.diff(unwrapped, axis=0)).max() < _LARGEST_STEP:
        return np.asarray(unwrapped)
    return _nearest_solutions(euler)


def _nearest_solutions(euler: Array) -> Array:
    """Of the two Euler solutions of every rotation, and their full turns, the one nearest to the frame before."""
    x, y, z = np.moveaxis(euler, -1, 0)
    solutions = np.stack([euler, np.stack([x + np.pi, np.pi - y, z + np.pi], axis=-1)], axis=1)  # (T, 2, 3)
    chosen = euler.copy()
    for index in range(1, len(euler)):
        turns = np.round((chosen[index - 1] - solutions[index]) / (2.0 * np.pi))
        near = solutions[index] + 2.0 * np.pi * turns  # (2, 3)
        chosen[index] = near[np.argmin(np.abs(near - chosen[index - 1]).sum(axis=-1))]
    return chosen
