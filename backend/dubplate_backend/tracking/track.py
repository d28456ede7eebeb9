# SPDX-License-Identifier: Apache-2.0
"""From frames to a track: landmarks, fit, gaze and crop. Nothing is written and nothing printed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.camera import project, to_camera
from dubplate_backend.tracking.crop import crop_matrices
from dubplate_backend.tracking.faces import Faces, find_faces
from dubplate_backend.tracking.figures import Figures, figures
from dubplate_backend.tracking.fit import Fit, FitSettings, fit_head
from dubplate_backend.tracking.gaze import eye_rotations
from dubplate_shared.frames import format_frames
from dubplate_shared.landmarks import COUNT
from dubplate_shared.progress import ProgressCallback, Stop, never, silent
from dubplate_shared.rotations import axis_angle_from_matrix
from dubplate_shared.track import Track

FRAMES_AT_ONCE = 32  # heads in memory while projecting: 8,000 vertices each
# A mean error above this share of the inter-ocular distance is worth a look before going on.
WORTH_A_LOOK_PERCENT = 2.0


class Frames(Protocol):
    """Pictures in order, as `plates.footage.Footage` gives them. `times`: (T,) float64 seconds after the first."""

    width: int
    height: int
    times: np.ndarray

    @property
    def count(self) -> int: ...

    @property
    def variable_rate(self) -> bool: ...

    def frame(self, index: int) -> np.ndarray:
        """uint8 [H, W, 3] RGB."""
        ...

    def iter(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]: ...


@dataclass(frozen=True)
class TrackSettings:
    """fit: terms of the fit."""

    fit: FitSettings = field(default_factory=FitSettings)


@dataclass(frozen=True)
class Tracked:
    """What came of the frames. crop: (T, 2, 3) plate px -> unit square.   warnings: sentences for an artist."""

    track: Track
    crop: np.ndarray
    figures: Figures
    warnings: tuple[str, ...]


def track(
    footage: Frames,
    *,
    head: HeadModel,
    settings: TrackSettings | None = None,
    first_frame: int = 1001,
    progress: ProgressCallback = silent,
    stop: Stop = never,
) -> Tracked:
    """Track one face through one cut.

    Raises FootageError where no frame shows a face, Cancelled where asked to stop.
    """
    settings = settings or TrackSettings()
    faces = find_faces(footage.iter(), footage.count, progress=progress, stop=stop)
    warnings = seen_warnings(footage, faces, first_frame)
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
    found = assembled(head, footage, faces, fit, eyes, first_frame)
    measured = figures(found)
    if max(measured.face_error_percent, measured.lips_error_percent) > WORTH_A_LOOK_PERCENT:
        warnings.append("The head sits loosely on the face: look at preview.mp4 before going on.")
    return Tracked(found, crop_matrices(head, found), measured, tuple(warnings))


def seen_warnings(footage: Frames, faces: Faces, first_frame: int) -> list[str]:
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


def assembled(head: HeadModel, footage: Frames, faces: Faces, fit: Fit, eyes: np.ndarray, first_frame: int) -> Track:
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
