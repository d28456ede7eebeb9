# SPDX-License-Identifier: Apache-2.0
"""A shot's tracked head as VHAP's `tracked_flame_params.npz`: the inverse of `vhap.read_vhap`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dubplate_backend.head.load import STANDIN
from dubplate_backend.interchange.conventions import OPENCV_FROM_OPENGL, turns_between
from dubplate_backend.interchange.tracked_frames import PerspectivePose
from dubplate_backend.interchange.vhap import CAMERA_FROM_WORLD
from dubplate_shared.errors import HeadModelMismatch, InvalidInput
from dubplate_shared.files import save_npz
from dubplate_shared.rig import Rig
from dubplate_shared.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from dubplate_shared.shot import Shot

_SAME_PX = 0.01  # what a focal length may differ by from one that VHAP can hold, at the picture's edge
_LARGEST_SHIFT_PX = 0.5  # of any landmark, where the head is turned for a principal point that VHAP has not
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
    focal = _focal(shot)
    pose, notes = _before_a_centred_lens(shot, shot.rig, focal)
    rotation = OPENCV_FROM_OPENGL @ pose.rotation
    pivot = _root_joints(shot.rig, track.expression)
    world = pose.translation @ OPENCV_FROM_OPENGL - CAMERA_FROM_WORLD
    arrays = {
        "rotation": axis_angle_from_matrix(rotation),
        "translation": world - pivot + np.einsum("tij,tj->ti", rotation, pivot),
        "neck_pose": track.neck,
        "jaw_pose": track.jaw,
        "eyes_pose": track.eyes,
        "shape": track.shape,
        "expr": track.expression,
        "focal_length": np.array([focal / max(info.width, info.height)]),
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
    if np.abs(track.eyelids).max(initial=0.0) > 0:
        notes.append("VHAP has no eyelids: they are left out.")
    if (track.confidence == 0).any():
        notes.append("Frames without a face are written with the values that the track holds there.")
    return tuple(notes)


def _root_joints(rig: Rig, expression: np.ndarray) -> np.ndarray:
    """FLAME's root joint in each frame, [T, 3] metres."""
    return rig.joints[0] + expression.astype(np.float64) @ rig.joint_expression[0].T.astype(np.float64)


def _before_a_centred_lens(shot: Shot, rig: Rig, focal: float) -> tuple[PerspectivePose, list[str]]:
    """The head turned about the camera so that it lies where it did, though the principal point is the middle.

    Raises InvalidInput where that cannot be had: turning is no shift, and the further the principal point, the less.
    """
    info, track = shot.info, shot.track
    rotation, translation = matrix_from_axis_angle(track.rotation), track.translation.astype(np.float64)
    lens = track.intrinsics.astype(np.float64)
    middle = np.array([info.width / 2, info.height / 2])
    points = rig.landmarks(rig.vertices).astype(np.float64)  # [468, 3]
    before = _projected(points, rotation, translation, lens)  # [T, 468, 2]
    place = np.einsum("tij,j->ti", rotation, points.mean(0)) + translation  # [T, 3]
    pixel = place[:, :2] / place[:, 2:] * lens[:, :2] + lens[:, 2:]
    turn = turns_between(place, np.concatenate([(pixel - middle) / focal, np.ones((len(pixel), 1))], axis=1))
    turned, moved = turn @ rotation, np.einsum("tij,tj->ti", turn, translation)
    centred = np.tile([focal, focal, *middle], (len(lens), 1))
    shift = float(np.linalg.norm(_projected(points, turned, moved, centred) - before, axis=-1).max())
    off = float(np.linalg.norm(lens[:, 2:] - middle, axis=1).max())
    if shift > _LARGEST_SHIFT_PX:
        raise InvalidInput(
            f"The shot's camera is none that VHAP's npz can hold: its principal point lies {off:.0f} px from "
            f"the picture's middle, and a head before a lens without that would be {shift:.1f} px off.",
            hint="Track the whole plate and not a crop of it.",
        )
    notes = []
    if off > _SAME_PX:
        notes.append(
            f"VHAP's principal point is the picture's middle, and the shot's lies {off:.1f} px from it: the head is "
            f"turned a little instead, and its points stay within {shift:.2f} px."
        )
    return PerspectivePose(turned, moved, centred), notes


def _projected(points: np.ndarray, rotation: np.ndarray, translation: np.ndarray, lens: np.ndarray) -> np.ndarray:
    camera = np.einsum("tij,pj->tpi", rotation, points) + translation[:, None]  # [T, P, 3]
    return camera[..., :2] / camera[..., 2:] * lens[:, None, :2] + lens[:, None, 2:]


def _focal(shot: Shot) -> float:
    """The one focal length, px, of a camera as VHAP has it.   Raises InvalidInput saying what is otherwise."""
    info, lens = shot.info, shot.track.intrinsics.astype(np.float64)  # [T, 4] fx fy cx cy
    focal = float(lens[0, 0])
    reach = max(info.width, info.height) / 2 / focal  # of the picture's edge, in focal lengths
    faults = {
        "it zooms": np.ptp(lens[:, :2], axis=0).max() * reach,
        "its pixels are not square": np.abs(lens[:, 0] - lens[:, 1]).max() * reach,
        "it has distortion": np.inf if shot.track.distortion.any() else 0.0,
    }
    found = [fault for fault, off_px in faults.items() if off_px > _SAME_PX]
    if found:
        raise InvalidInput(
            f"The shot's camera is none that VHAP's npz can hold: {', and '.join(found)}.",
            hint="Track the whole plate, of square pixels, with one focal length and no distortion.",
        )
    return focal
