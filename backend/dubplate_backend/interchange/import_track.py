# SPDX-License-Identifier: Apache-2.0
"""Another tool's tracked head and the plate it was tracked on, to a shot package like our own tracker's."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from dubplate_backend.head.load import STANDIN
from dubplate_backend.head.model import HeadModel
from dubplate_backend.interchange.face_codes import CROP_PX
from dubplate_backend.interchange.picture_crop import PictureCrop, whole_plate
from dubplate_backend.interchange.picture_times import OnPlate, on_plate
from dubplate_backend.interchange.pose_in_plate import pose_in_plate
from dubplate_backend.interchange.track_formats import TrackFormat, read_tracked
from dubplate_backend.interchange.tracked_frames import Edition, PerspectivePose, TrackedFrames, WeakPose
from dubplate_backend.interchange.weak_perspective import to_perspective
from dubplate_backend.plates.footage import Footage, open_footage
from dubplate_backend.plates.sequence import Sequence
from dubplate_backend.tracking.crop import crop_matrices
from dubplate_backend.tracking.faces import find_faces
from dubplate_backend.tracking.preview import write_preview
from dubplate_backend.tracking.track import projected_landmarks, unbroken
from dubplate_backend.tracking.track_shot import AUDIO_NAME, PREVIEW_NAME, shot_sound, tool_versions
from dubplate_shared.errors import HeadModelMismatch, InvalidInput
from dubplate_shared.frames import format_frames
from dubplate_shared.landmarks import COUNT
from dubplate_shared.progress import ProgressCallback, Stop, check, never, silent
from dubplate_shared.rotations import axis_angle_from_matrix
from dubplate_shared.shot import HeadIdentity, Rate, Shot, ShotInfo, write_shot
from dubplate_shared.track import Track

FIRST_FRAME = 1001
FOCAL_OF_LONGER_SIDE = 1.5
"""Where a tool has no lens and the user names none: VHAP's first guess, about 50 mm on a full frame."""


@dataclass(frozen=True)
class ImportSettings:
    """form: the tool.   edition: which FLAME it used, where its files do not say.   tool_rate: pictures a second that
    it made of the footage, None for its usual.   offset: its pictures before its number 0.   crop: the part of the
    plate that it worked on.   focal_px: of the plate, for tools without a lens.   camera: of several in a NeRF export.
    rate, colour_space: of a plate that is a sequence, where its files do not say.
    """

    form: TrackFormat = TrackFormat.AUTO
    edition: Edition | None = None
    tool_rate: float | None = None
    offset: int = 0
    crop: PictureCrop | None = None
    focal_px: float | None = None
    camera: str | None = None
    rate: Rate | None = None
    colour_space: str | None = None
    preview: bool = True
    overwrite: bool = False


def import_track(
    files: list[Path],
    video: Path | str,
    out: Path | str,
    *,
    head: HeadModel,
    name: str | None = None,
    first_frame: int | None = None,
    audio: Path | str | None = None,
    settings: ImportSettings | None = None,
    progress: ProgressCallback = silent,
    stop: Stop = never,
) -> Shot:
    """Write the shot package `out` from another tool's `files` and the plate `video`: complete, or not at all.

    What is approximated is in `shot.info.extra["tracking"]["warnings"]`, the FLAME edition in its "edition". Raises
    HeadModelMismatch where `head` is not the FLAME that was tracked, InvalidInput where a file is broken or does not
    fit the plate, UnsafePickle, FootageError, OutputNotWritable, Cancelled.
    """
    settings, video, out = settings or ImportSettings(), Path(video), Path(out)
    if out.exists() and not settings.overwrite:
        raise InvalidInput(f"{out} exists already.", hint="Choose another name, or say --overwrite to replace it.")
    require_flame(head)
    tracked = read_tracked(files, head, settings.form, settings.edition, settings.camera, progress=progress, stop=stop)
    require_edition(head, tracked)
    with (
        open_footage(video, rate=settings.rate, colour_space=settings.colour_space) as footage,
        tempfile.TemporaryDirectory(prefix="dubplate-import-") as folder,
    ):
        tool_rate = settings.tool_rate or tracked.rate
        placed = on_plate(tracked.number, tool_rate, footage.times, footage.start_s, settings.offset)
        first_frame = first_frame or footage.first_frame or FIRST_FRAME
        warnings = list(tracked.notes)
        sound = shot_sound(video, audio, footage.start_s, Path(folder), warnings)
        pose, found = _pose(head, tracked, placed, footage, settings, warnings, progress, stop)
        track = assembled(head, tracked, replace_confidence(placed, found), pose, first_frame)
        warnings += _missing(track)
        crop = crop_matrices(head, track)
        if settings.preview:
            movie = Path(folder) / PREVIEW_NAME
            write_preview(movie, footage, head, track, crop, sound.get(AUDIO_NAME), progress=progress, stop=stop)
            sound[PREVIEW_NAME] = movie
        check(stop)
        info = ShotInfo(
            name=name or out.name.removesuffix(".dubshot"),
            frame_count=footage.count,
            rate=footage.rate,
            width=footage.width,
            height=footage.height,
            plate=footage.plate,
            head=HeadIdentity(head.kind, head.sha256),
            first_frame=first_frame,
            timecode=footage.timecode,
            pixel_aspect=footage.pixel_aspect,
            audio=(AUDIO_NAME,) if AUDIO_NAME in sound else (),
            tool=tool_versions(),
            extra={"tracking": {"tool": tracked.tool, "edition": str(tracked.edition), "warnings": warnings}},
        )
        rig = head.rig(torch.from_numpy(track.shape))
        return write_shot(out, info, track, crop, rig, files=sound, overwrite=settings.overwrite)


def require_flame(head: HeadModel) -> None:
    """Codes of FLAME mean nothing on another head.   Raises HeadModelMismatch."""
    if head.kind == STANDIN:
        raise HeadModelMismatch(
            "Other trackers' codes are FLAME's, and the stand-in is another head.",
            hint="Name your FLAME with --head generic_model.pkl, or track the footage with: dubplate track",
        )


def require_edition(head: HeadModel, tracked: TrackedFrames) -> None:
    """Codes of FLAME 2020 and 2023 are not interchangeable.   Raises HeadModelMismatch."""
    if head.kind != tracked.edition:
        raise HeadModelMismatch(
            f"{tracked.tool}'s codes are of {tracked.edition}, and --head is {head.kind}: they do not fit one another.",
            hint=f"Name the model of {tracked.edition} with --head, or, if it was tracked with {head.kind}, say "
            f"--edition {head.kind}.",
        )


def replace_confidence(placed: OnPlate, found: np.ndarray | None) -> OnPlate:
    """`placed` with no confidence where the head's place could not be found.   found: [T] bool, None for all."""
    return placed if found is None else replace(placed, confidence=placed.confidence * found)


def assembled(
    head: HeadModel, tracked: TrackedFrames, placed: OnPlate, pose: PerspectivePose, first_frame: int
) -> Track:
    """The track's arrays.   pose: of the tool's pictures, its intrinsics in px of the plate.

    Nothing was detected: landmarks_px are the head's own points.
    """
    count = len(placed.time)
    arrays = {name: placed.values(getattr(tracked, name)) for name in ("expression", "jaw", "neck", "eyes", "eyelids")}
    arrays |= {
        "frame": first_frame + np.arange(count),
        "time": placed.time,
        "shape": tracked.shape,
        "rotation": unbroken(axis_angle_from_matrix(placed.rotations(pose.rotation))),
        "translation": placed.values(pose.translation),
        "intrinsics": placed.values(pose.intrinsics),
        "distortion": np.zeros(8),
        "lighting": np.zeros((count, 9, 3)),
        "texture": np.zeros(0),
        "confidence": placed.confidence,
        "landmark_index": np.arange(COUNT),
    }
    points = projected_landmarks(head, arrays)
    return Track(**arrays, landmarks_px=points, projected_px=points)


def _pose(
    head: HeadModel,
    tracked: TrackedFrames,
    placed: OnPlate,
    footage: Footage | Sequence,
    settings: ImportSettings,
    warnings: list[str],
    progress: ProgressCallback,
    stop: Stop,
) -> tuple[PerspectivePose, np.ndarray | None]:
    """The pose of the tool's pictures with the plate's lens; and [T] bool, frames whose place was found, or None."""
    plate = (footage.width, footage.height)
    if isinstance(tracked.pose, PerspectivePose):
        crop = settings.crop or whole_plate(tracked.picture, plate)
        return replace(tracked.pose, intrinsics=crop.intrinsics(tracked.pose.intrinsics, tracked.picture)), None
    focal = settings.focal_px or FOCAL_OF_LONGER_SIDE * max(plate)
    source = "as given" if settings.focal_px else "assumed: give it with --focal"
    lens = np.array([focal, focal, plate[0] / 2, plate[1] / 2])
    crops = _crops(tracked, settings)
    if isinstance(tracked.pose, WeakPose) and crops is not None:
        warnings.append(
            f"{tracked.tool}'s camera has no perspective: the head is put where a lens of {focal:.0f} px ({source}) "
            "shows it in the same place and size."
        )
        middle = _points(head, tracked).mean(axis=1)
        return to_perspective(tracked.pose, crops, CROP_PX, middle, lens), None
    warnings.append(
        f"{tracked.tool} does not say where its pictures lie in the plate: the head's place is found anew by the "
        f"plate's face landmarks, with a lens of {focal:.0f} px ({source})."
    )
    faces = find_faces(footage.iter(), footage.count, progress=progress, stop=stop)
    shown = placed.frame
    points = _points(head, tracked)[placed.picture]
    pose, found = pose_in_plate(points, faces.landmarks_px[shown], faces.seen[shown], lens)
    everywhere = np.ones(footage.count, bool)
    everywhere[shown] = found
    return _of_pictures(pose, placed, len(tracked.number)), everywhere


def _of_pictures(pose: PerspectivePose, placed: OnPlate, count: int) -> PerspectivePose:
    """A pose of the K pictures that are shown, as one of all N."""
    place = np.clip(np.searchsorted(placed.picture, np.arange(count), side="right") - 1, 0, None)
    return PerspectivePose(pose.rotation[place], pose.translation[place], pose.intrinsics[place])


def _crops(tracked: TrackedFrames, settings: ImportSettings) -> np.ndarray | None:
    """[N, 3, 3] plate px to crop px: the user's word before the file's."""
    if settings.crop is not None:
        return np.tile(settings.crop.crop_from_plate(CROP_PX), (len(tracked.number), 1, 1))
    return tracked.pose.crop_from_plate if isinstance(tracked.pose, WeakPose) else None


def _points(head: HeadModel, tracked: TrackedFrames) -> np.ndarray:
    """The 468 landmarks of the posed heads, head space, [N, 468, 3] metres."""
    parts = []
    for start in range(0, len(tracked.number), 32):
        rows = slice(start, start + 32)
        codes = (
            tracked.shape,
            *(getattr(tracked, name)[rows] for name in ("expression", "jaw", "neck", "eyes", "eyelids")),
        )
        vertices = head.vertices(*(torch.from_numpy(code).to(head.template.dtype) for code in codes))  # [B, V, 3]
        parts.append(head.landmarks(vertices).double().numpy())
    return np.concatenate(parts)


def _missing(track: Track) -> list[str]:
    """What an artist should know of frames without a tracked picture."""
    frames = [int(frame) for frame in track.frame[track.confidence == 0]]
    return [f"Frames {format_frames(frames)} were not tracked: they pass through untouched."] if frames else []
