# SPDX-License-Identifier: Apache-2.0
"""From a camera without perspective to one with: the same place and size of the face, the same look along the line of
sight.

A crop is seen along the line of sight to its middle, so that a head off the plate's middle is turned by the angle of
that line (Li et al. 2022, CLIFF, section 3).  Points nearer or further than the face's middle move: that is what
perspective is, and cannot be undone without knowing the lens that the tool never asked for.
"""

from __future__ import annotations

import numpy as np

from dubplate_backend.interchange.conventions import OPENCV_FROM_OPENGL, turns_between
from dubplate_backend.interchange.tracked_frames import PerspectivePose, WeakPose

FORWARD = np.array([0.0, 0.0, 1.0])


def to_perspective(
    weak: WeakPose, crop_from_plate: np.ndarray, crop_px: int, middle: np.ndarray, lens: np.ndarray
) -> PerspectivePose:
    """The pose before a lens.

    crop_from_plate: [N, 3, 3] plate px to crop px.   middle: [N, 3] the face's middle in head space.
    lens: [4] fx fy cx cy, plate px.   Returns a pose whose intrinsics are of the plate.
    """
    half = crop_px / 2
    turned = np.einsum("nij,nj->ni", weak.rotation, middle) + weak.translation  # [N, 3]
    scale, shift = weak.camera[:, 0], weak.camera[:, 1:]
    laid = scale[:, None] * (turned[:, :2] + shift) * np.array([1.0, -1.0])  # [N, 2] over -1 .. 1, y down
    plate_from_crop = np.linalg.inv(crop_from_plate)
    seen = np.einsum("nij,nj->ni", plate_from_crop[:, :2, :2], half * (laid + 1)) + plate_from_crop[:, :2, 2]  # px
    size = np.sqrt(np.abs(np.linalg.det(plate_from_crop[:, :2, :2])))  # plate px a crop px
    depth = np.sqrt(lens[0] * lens[1]) / (scale * half * size)  # metres
    sight = np.concatenate([(seen - lens[2:]) / lens[:2], np.ones((len(seen), 1))], axis=1)  # [N, 3]
    place = sight * depth[:, None]
    rotation = (
        turns_between(np.broadcast_to(FORWARD, sight.shape), sight)
        @ _rolled(plate_from_crop)
        @ OPENCV_FROM_OPENGL
        @ weak.rotation
    )
    translation = place - np.einsum("nij,nj->ni", rotation, middle)
    return PerspectivePose(rotation, translation, np.tile(lens, (len(seen), 1)))


def _rolled(plate_from_crop: np.ndarray) -> np.ndarray:
    """The crops' turns in the picture's plane, [N, 3, 3]."""
    angle = np.arctan2(plate_from_crop[:, 1, 0], plate_from_crop[:, 0, 0])
    turn = np.tile(np.eye(3), (len(angle), 1, 1))
    turn[:, 0, 0] = turn[:, 1, 1] = np.cos(angle)
    turn[:, 1, 0], turn[:, 0, 1] = np.sin(angle), -np.sin(angle)
    return turn
