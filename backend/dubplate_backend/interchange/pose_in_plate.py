# SPDX-License-Identifier: Apache-2.0
"""Where a head of known codes lies before the camera, by the face landmarks of the plate: for tools that keep no
camera."""

from __future__ import annotations

import cv2
import numpy as np

from dubplate_backend.interchange.tracked_frames import PerspectivePose
from dubplate_shared.errors import FootageError
from dubplate_shared.rotations import matrix_from_axis_angle

_LANDMARKS = 468


def pose_in_plate(
    points: np.ndarray, landmarks_px: np.ndarray, seen: np.ndarray, lens: np.ndarray
) -> tuple[PerspectivePose, np.ndarray]:
    """Rigid motion by least squares of the 468 landmarks' distances in the picture, each frame by itself.

    points: [N, 468, 3] metres, head space.   landmarks_px: [N, >= 468, 2], pixel centres at +0.5.   seen: [N] bool.
    lens: [4] fx fy cx cy.   Returns the pose of all N, unseen ones as the last seen before, and [N] bool which are
    found. Raises FootageError where no frame shows the face.
    """
    camera = np.array([[lens[0], 0, lens[2]], [0, lens[1], lens[3]], [0, 0, 1.0]])
    rotation, translation = np.tile(np.eye(3), (len(points), 1, 1)), np.zeros((len(points), 3))
    found = np.zeros(len(points), bool)
    for frame in np.flatnonzero(seen):
        solved = _solved(points[frame], landmarks_px[frame, :_LANDMARKS], camera)
        if solved is not None:
            rotation[frame], translation[frame] = solved
            found[frame] = True
    if not found.any():
        raise FootageError(
            "No frame of the plate shows the face that was tracked.", hint="Is it the plate that was tracked?"
        )
    nearest = np.maximum.accumulate(np.where(found, np.arange(len(found)), -1))
    nearest[nearest < 0] = np.flatnonzero(found)[0]
    pose = PerspectivePose(rotation[nearest], translation[nearest], np.tile(lens, (len(points), 1)))
    return pose, found


def _solved(points: np.ndarray, pixels: np.ndarray, camera: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    world, picture = np.ascontiguousarray(points, np.float64), np.ascontiguousarray(pixels, np.float64)
    done, turn, shift = cv2.solvePnP(world, picture, camera, None, flags=cv2.SOLVEPNP_SQPNP)
    if not done:
        return None
    turn, shift = cv2.solvePnPRefineLM(world, picture, camera, None, turn, shift)
    if shift[2, 0] <= 0 or not np.isfinite([*turn.ravel(), *shift.ravel()]).all():
        return None
    return matrix_from_axis_angle(turn[:, 0]), shift[:, 0]
