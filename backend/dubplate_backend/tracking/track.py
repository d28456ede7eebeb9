# SPDX-License-Identifier: Apache-2.0
"""Footage to shot package: landmarks, fit, gaze, crop, preview, and everything written at once."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.colour import PlateColour
from dubplate_backend.plates.footage import Footage
from dubplate_backend.raster.camera import project, to_camera
from dubplate_backend.speech.sound import extract_wav
from dubplate_backend.tracking.crop import crop_matrices
from dubplate_backend.tracking.faces import Faces, find_faces
from dubplate_backend.tracking.figures import figures
from dubplate_backend.tracking.fit import Fit, FitSettings, fit_head
from dubplate_backend.tracking.gaze import eye_rotations
from dubplate_backend.tracking.preview import write_preview
from dubplate_shared import __version__
from dubplate_shared.errors import FootageError, InvalidInput
from dubplate_shared.frames import format_frames
from dubplate_shared.landmarks import COUNT
from dubplate_shared.progress import ProgressCallback, Stop, check, never, silent
from dubplate_shared.rotations import axis_angle_from_matrix
from dubplate_shared.shot import HeadIdentity, PlateSource, Shot, ShotInfo, write_shot
from dubplate_shared.track import Track

AUDIO_NAME, PREVIEW_NAME = "audio.wav", "preview.mp4"
FRAMES_AT_ONCE = 32  # heads in memory while projecting: 8,000 vertices each
TOOLS = ("mediapipe", "torch", "numpy", "av")
# A mean error above this share of the inter-ocular distance is worth a look before going on.
WORTH_A_LOOK_PERCENT = 2.0


@dataclass(frozen=True)
class TrackSettings:
    """fit: terms of the fit.   preview: whether to write preview.mp4.   overwrite: replace a package that is there."""

    fit: FitSettings = field(default_factory=FitSettings)
    preview: bool = True
    overwrite: bool = False


def track(
    video: Path | str,
    out: Path | str,
    *,
    head: HeadModel,
    name: str | None = None,
    first_frame: int = 1001,
    audio: Path | str | None = None,
    progress: ProgressCallback = silent,
    stop: Stop = never,
    settings: TrackSettings | None = None,
) -> Shot:
    """Track one actor through one cut and write the shot package `out`: complete, or not at all.

    `name`: of the shot, the package's own unless told.   `audio`: sound that starts with the first frame, in place of
    the video's.   Warnings and figures are in `shot.info.extra["tracking"]`.
    Raises FootageError where the video is broken or shows no face, InvalidInput where `out` exists, OutputNotWritable,
    Cancelled.
    """
    settings = settings or TrackSettings()
    video, out = Path(video), Path(out)
    if out.exists() and not settings.overwrite:
        raise InvalidInput(f"{out} exists already.", hint="Choose another name, or say --overwrite to replace it.")
    with Footage.open(video) as footage, tempfile.TemporaryDirectory(prefix="dubplate-track-") as folder:
        warnings: list[str] = []
        files = shot_sound(video, audio, footage.start_s, Path(folder), warnings)
        faces = find_faces(footage, footage.count, progress=progress, stop=stop)
        warnings += seen_warnings(footage, faces, first_frame)
        fit = fit_head(
            head,
            faces,
            footage.times,
            footage.width,
            footage.height,
            settings=settings.fit,
            progress=progress,
            stop=stop,
        )
        centre = np.array([footage.width / 2, footage.height / 2])
        eyes = eye_rotations(head, fit, faces, footage.times, centre)
        tracked = assembled(head, footage, faces, fit, eyes, first_frame)
        crop = crop_matrices(head, fit, footage.times, centre)
        measured = figures(tracked)
        if max(measured.face_error_percent, measured.lips_error_percent) > WORTH_A_LOOK_PERCENT:
            warnings.append("The head sits loosely on the face: look at preview.mp4 before going on.")
        if settings.preview:
            preview = Path(folder) / PREVIEW_NAME
            sound = files.get(AUDIO_NAME)
            write_preview(preview, footage, head, tracked, crop, sound, progress=progress, stop=stop)
            files[PREVIEW_NAME] = preview
        check(stop)
        info = ShotInfo(
            name=name or out.name.removesuffix(".dubshot"),
            frame_count=footage.count,
            rate=footage.rate,
            width=footage.width,
            height=footage.height,
            plate=PlateSource("video", os.path.abspath(video), PlateColour.named(footage.colour_space).interop_id),
            head=HeadIdentity(head.kind, head.sha256),
            first_frame=first_frame,
            timecode=footage.timecode,
            pixel_aspect=footage.pixel_aspect,
            audio=(AUDIO_NAME,) if AUDIO_NAME in files else (),
            tool=tool_versions(),
            extra={"tracking": {"figures": measured.to_json(), "warnings": warnings}},
        )
        rig = head.rig(torch.from_numpy(tracked.shape))
        return write_shot(out, info, tracked, crop, rig, files=files, overwrite=settings.overwrite)


def shot_sound(
    video: Path, audio: Path | str | None, start_s: float, folder: Path, warnings: list[str]
) -> dict[str, Path]:
    """The shot's sound as a WAV whose first sample belongs to the first frame; nothing, and a warning, where the video
    has none that can be read. Sound that was asked for by name has to be there: else FootageError."""
    path = folder / AUDIO_NAME
    if audio is not None:
        extract_wav(audio, path, start_s=0.0)
        return {AUDIO_NAME: path}
    try:
        extract_wav(video, path, start_s=start_s)
    except FootageError as error:
        warnings.append(f"{error.message} The shot has no audio: give a voice track with --audio.")
        return {}
    return {AUDIO_NAME: path}


def seen_warnings(footage: Footage, faces: Faces, first_frame: int) -> list[str]:
    """What an artist should know about the footage before trusting the track."""
    warnings = []
    missing = np.flatnonzero(~faces.seen) + first_frame
    if len(missing):
        frames = format_frames([int(frame) for frame in missing])
        warnings.append(f"No face in frames {frames}: they pass through untouched.")
    if faces.most_faces > 1:
        warnings.append(
            f"{faces.most_faces} faces were seen: the biggest and most central is tracked. Crop the video for another."
        )
    if footage.variable_rate:
        warnings.append("The frame rate varies: frames are kept by their true times.")
    return warnings


def assembled(head: HeadModel, footage: Footage, faces: Faces, fit: Fit, eyes: np.ndarray, first_frame: int) -> Track:
    """The track's arrays. Light and texture are not estimated from landmarks and are left empty."""
    count = footage.count
    intrinsics = np.tile([fit.focal_px, fit.focal_px, footage.width / 2, footage.height / 2], (count, 1))
    arrays = {
        "frame": first_frame + np.arange(count),
        "time": footage.times,
        "shape": fit.shape,
        "expression": fit.expression,
        "jaw": fit.jaw,
        "neck": np.zeros((count, 3)),
        "eyes": eyes,
        "eyelids": fit.eyelids,
        "rotation": unbroken(axis_angle_from_matrix(fit.rotation)),
        "translation": fit.translation,
        "intrinsics": intrinsics,
        "distortion": np.zeros(8),
        "lighting": np.zeros((count, 9, 3)),
        "texture": np.zeros(0),
        "confidence": faces.confidence,
        "landmarks_px": faces.landmarks_px[:, :COUNT],
        "landmark_index": np.arange(COUNT),
    }
    return Track(**arrays, projected_px=projected_landmarks(head, arrays))


def projected_landmarks(head: HeadModel, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The 468 points of the whole head model in the plate, as anything that draws it will put them, (T, 468, 2) px."""
    parts = []
    for start in range(0, len(arrays["frame"]), FRAMES_AT_ONCE):
        at = slice(start, start + FRAMES_AT_ONCE)
        motion = ("expression", "jaw", "neck", "eyes", "eyelids", "rotation", "translation", "intrinsics")
        moved = {key: torch.from_numpy(arrays[key][at].astype(np.float32)) for key in motion}
        shape = torch.from_numpy(arrays["shape"].astype(np.float32))
        vertices = head.vertices(shape, *(moved[key] for key in motion[:5]))  # [B, V, 3]
        camera = to_camera(head.landmarks(vertices), moved["rotation"], moved["translation"])
        parts.append(project(camera, moved["intrinsics"]).numpy())
    return np.concatenate(parts)


def unbroken(axis_angle: np.ndarray) -> np.ndarray:
    """(T, 3) axis-angle without jumps: a face to the camera is half a turn from the camera's axes, where the same
    rotation has two names. Each frame takes the one nearer to the frame before."""
    smooth = axis_angle.copy()
    for frame in range(1, len(smooth)):
        angle = np.linalg.norm(smooth[frame])
        other = smooth[frame] * (1 - 2 * np.pi / max(angle, 1e-9))
        before = smooth[frame - 1]
        if np.linalg.norm(other - before) < np.linalg.norm(smooth[frame] - before):
            smooth[frame] = other
    return smooth


def tool_versions() -> dict[str, str]:
    """What made the package."""
    found = {"dubplate": __version__}
    for package in TOOLS:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
