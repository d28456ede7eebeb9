# SPDX-License-Identifier: Apache-2.0
"""A shot's tracked head as VHAP's `tracked_flame_params.npz`: the inverse of `vhap.read_vhap`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dubplate_backend.head.load import STANDIN
from dubplate_backend.interchange.conventions import OPENCV_FROM_OPENGL
from dubplate_backend.interchange.vhap import CAMERA_FROM_WORLD
from dubplate_shared.errors import HeadModelMismatch, InvalidInput
from dubplate_shared.files import save_npz
from dubplate_shared.rig import Rig
from dubplate_shared.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from dubplate_shared.shot import Shot

_SAME_PX = 0.01  # what a camera may differ by from one that VHAP can hold, at the picture's edge
_UNIFORM_LIGHT = np.sqrt(4 * np.pi)  # of the first band: VHAP's own first guess (`init_params`)


def export_vhap(shot: Shot, out: Path | str) -> tuple[str, ...]:
    """Write `out`.   Returns sentences on what VHAP's format cannot hold.

    Frames are its pictures from 0 on; `fps` and `flame` are two arrays more than VHAP writes, which it passes over.
    Raises HeadModelMismatch where the shot's head is not FLAME, InvalidInput where its camera is none that VHAP knows,
    OutputNotWritable.
    """
    track, info = shot.track, shot.info
    if info.head.kind == STANDIN or not info.head.kind.startswith("flame") or shot.rig is None:
        raise HeadModelMismatch(
            f"Shot {info.name} was tracked with {info.head.kind}: its codes mean nothing to FLAME.",
            hint="Track it with your FLAME: dubplate track VIDEO -o NAME.dubshot --head generic_model.pkl",
        )
    rotation = OPENCV_FROM_OPENGL @ matrix_from_axis_angle(track.rotation)  # [T, 3, 3]
    pivot = _root_joints(shot.rig, track.expression)
    world = track.translation.astype(np.float64) @ OPENCV_FROM_OPENGL - CAMERA_FROM_WORLD
    arrays = {
        "rotation": axis_angle_from_matrix(rotation),
        "translation": world - pivot + np.einsum("tij,tj->ti", rotation, pivot),
        "neck_pose": track.neck,
        "jaw_pose": track.jaw,
        "eyes_pose": track.eyes,
        "shape": track.shape,
        "expr": track.expression,
        "focal_length": np.array([_focal(shot) / max(info.width, info.height)]),
        "lights": np.concatenate([np.full((1, 3), _UNIFORM_LIGHT), np.zeros((8, 3))]),
    }
    save_npz(
        out,
        {name: np.asarray(array, np.float32) for name, array in arrays.items()}
        | {
            "timestep_id": np.array([f"{index:06d}" for index in range(len(track))]),
            "n_processed_frames": np.array(len(track)),
            "image_size": np.array([info.height, info.width]),
            "fps": np.array(info.rate.fps),
            "flame": np.array(info.head.kind),
        },
    )
    notes = []
    if np.abs(track.eyelids).max(initial=0.0) > 0:
        notes.append("VHAP has no eyelids: they are left out.")
    if (track.confidence == 0).any():
        notes.append("Frames without a face are written with the values that the track holds there.")
    return tuple(notes)


def _root_joints(rig: Rig, expression: np.ndarray) -> np.ndarray:
    """FLAME's root joint in each frame, [T, 3] metres."""
    return rig.joints[0] + expression.astype(np.float64) @ rig.joint_expression[0].T.astype(np.float64)


def _focal(shot: Shot) -> float:
    """The one focal length, px, of a camera with square pixels and its principal point in the middle."""
    info, lens = shot.info, shot.track.intrinsics.astype(np.float64)
    focal = float(lens[0, 0])
    held = np.array([focal, focal, info.width / 2, info.height / 2])
    reach = np.array([info.width, info.height]) / 2 / focal  # of the picture's edge, in focal lengths
    off = np.abs(lens - held) * np.array([*reach, 1.0, 1.0])
    if off.max() > _SAME_PX or shot.track.distortion.any():
        raise InvalidInput(
            "The shot's camera is none that VHAP's npz can hold: it has one focal length, square pixels and the "
            "principal point in the picture's middle, and no distortion.",
            hint="Track the plate itself, not a crop of it, and with such a camera.",
        )
    return focal
