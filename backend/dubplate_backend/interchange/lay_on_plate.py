# SPDX-License-Identifier: Apache-2.0
"""What a tool tracked, frame by frame of the plate: its clock, its crop and its camera turned into the plate's."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.interchange.face_codes import CROP_PX
from dubplate_backend.interchange.picture_crop import PictureCrop, whole_plate
from dubplate_backend.interchange.picture_times import OnPlate
from dubplate_backend.interchange.plate_check import faces_of
from dubplate_backend.interchange.pose_in_plate import pose_in_plate
from dubplate_backend.interchange.tracked_frames import PerspectivePose, TrackedFrames, WeakPose
from dubplate_backend.interchange.weak_perspective import to_perspective
from dubplate_backend.plates.footage import Footage
from dubplate_backend.plates.sequence import Sequence
from dubplate_backend.tracking.face_choice import FaceChoice
from dubplate_backend.tracking.faces import Faces
from dubplate_backend.tracking.track import projected_landmarks, unbroken
from dubplate_shared.errors import InvalidInput
from dubplate_shared.landmarks import COUNT
from dubplate_shared.progress import ProgressCallback, Stop
from dubplate_shared.rotations import axis_angle_from_matrix
from dubplate_shared.track import Track

FOCAL_OF_LONGER_SIDE = 1.5
"""Where a tool has no lens and the user names none: VHAP's first guess, about 50 mm on a full frame."""

_HEADS_AT_ONCE = 32  # in memory: 8,000 vertices each


@dataclass(frozen=True)
class Laid:
    """pose: of the tool's N pictures, its lens in px of the plate.   found: (T,) bool, frames whose place is known.
    faces: the plate's, where they were looked for.   notes: sentences on what was approximated."""

    pose: PerspectivePose
    found: np.ndarray
    faces: Faces | None = None
    notes: tuple[str, ...] = ()


def lay_on_plate(
    head: HeadModel,
    tracked: TrackedFrames,
    placed: OnPlate,
    footage: Footage | Sequence,
    *,
    crop: PictureCrop | None,
    focal_px: float | None,
    face: FaceChoice | None,
    progress: ProgressCallback,
    stop: Stop,
) -> Laid:
    """Where the head lies before the plate's camera.

    A tool's perspective camera is kept.  One without perspective is met by a lens of `focal_px`, and where the tool
    keeps no camera, or not the crop that it is of, the place is found by the plate's face landmarks.
    Raises InvalidInput where a crop is needed and not given, FootageError where the plate shows no face, SeveralFaces
    where `face` does not say which, Cancelled.
    """
    everywhere = np.ones(footage.count, bool)
    if isinstance(tracked.pose, PerspectivePose):
        crop = crop or whole_plate(tracked.picture, (footage.width, footage.height))
        lens = crop.intrinsics(tracked.pose.intrinsics, tracked.picture)
        return Laid(replace(tracked.pose, intrinsics=lens), everywhere)
    if focal_px is not None and not focal_px > 0:
        raise InvalidInput(f"A focal length of {focal_px:g} px is none.", hint="Give it in pixels of the plate.")
    focal = focal_px or FOCAL_OF_LONGER_SIDE * max(footage.width, footage.height)
    said = f"a lens of {focal:.0f} px ({'as given' if focal_px else 'assumed: give it with --focal'})"
    # A pixel twice as wide as high counts half as many columns.
    lens = np.array([focal, focal * footage.pixel_aspect, footage.width / 2, footage.height / 2])
    crops = _crops(tracked, crop)
    points = _landmarks(head, tracked)
    if isinstance(tracked.pose, WeakPose) and crops is not None:
        note = (
            f"{tracked.tool}'s camera has no perspective: the head is put where {said} shows it in the same place and "
            "size."
        )
        return Laid(to_perspective(tracked.pose, crops, CROP_PX, points.mean(axis=1), lens), everywhere, notes=(note,))
    faces = faces_of(footage, face, progress, stop)
    pose, found = pose_in_plate(
        points[placed.picture], faces.landmarks_px[placed.frame], faces.seen[placed.frame], lens
    )
    everywhere[placed.frame] = found
    note = (
        f"{tracked.tool} does not say where its pictures lie in the plate: the head's place is found anew by the "
        f"plate's face landmarks, with {said}."
    )
    return Laid(_of_pictures(pose, placed, len(tracked.number)), everywhere, faces, (note,))


def assembled(head: HeadModel, tracked: TrackedFrames, placed: OnPlate, laid: Laid, first_frame: int) -> Track:
    """The track's arrays.   Nothing is detected here: landmarks_px are the head's own points."""
    count = len(placed.time)
    arrays = {name: placed.values(getattr(tracked, name)) for name in ("expression", "jaw", "neck", "eyes", "eyelids")}
    arrays |= {
        "frame": first_frame + np.arange(count),
        "time": placed.time,
        "shape": tracked.shape,
        "rotation": unbroken(axis_angle_from_matrix(placed.rotations(laid.pose.rotation))),
        "translation": placed.values(laid.pose.translation),
        "intrinsics": placed.values(laid.pose.intrinsics),
        "distortion": np.zeros(8),
        "lighting": np.zeros((count, 9, 3)),
        "texture": np.zeros(0),
        "confidence": placed.confidence * laid.found,
        "landmark_index": np.arange(COUNT),
    }
    points = projected_landmarks(head, arrays)
    return Track(**arrays, landmarks_px=points, projected_px=points)


def _of_pictures(pose: PerspectivePose, placed: OnPlate, count: int) -> PerspectivePose:
    """A pose of the K pictures that are shown, as one of all N."""
    place = np.clip(np.searchsorted(placed.picture, np.arange(count), side="right") - 1, 0, None)
    return PerspectivePose(pose.rotation[place], pose.translation[place], pose.intrinsics[place])


def _crops(tracked: TrackedFrames, crop: PictureCrop | None) -> np.ndarray | None:
    """[N, 3, 3] plate px to crop px: the user's word before the file's."""
    if crop is not None:
        return np.tile(crop.crop_from_plate(CROP_PX), (len(tracked.number), 1, 1))
    return tracked.pose.crop_from_plate if isinstance(tracked.pose, WeakPose) else None


def _landmarks(head: HeadModel, tracked: TrackedFrames) -> np.ndarray:
    """The 468 landmarks of the posed heads, head space, [N, 468, 3] metres."""
    names = ("expression", "jaw", "neck", "eyes", "eyelids")
    parts = []
    for start in range(0, len(tracked.number), _HEADS_AT_ONCE):
        rows = slice(start, start + _HEADS_AT_ONCE)
        codes = (tracked.shape, *(getattr(tracked, name)[rows] for name in names))
        vertices = head.vertices(*(torch.from_numpy(code).to(head.template.dtype) for code in codes))  # [B, V, 3]
        parts.append(head.landmarks(vertices).double().numpy())
    return np.concatenate(parts)
