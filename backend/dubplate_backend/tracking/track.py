# SPDX-License-Identifier: Apache-2.0
"""From frames to a track: landmarks, fit, gaze and crop. Nothing is written and nothing printed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.camera import project, to_camera
from dubplate_backend.tracking.albedo import GAUSSIAN_PROCESS
from dubplate_backend.tracking.checkpoint import Checkpoint
from dubplate_backend.tracking.crop import crop_matrices
from dubplate_backend.tracking.faces import Faces, find_faces
from dubplate_backend.tracking.figures import Figures, figures
from dubplate_backend.tracking.fit import Fit, fit_head
from dubplate_backend.tracking.flags import find_flags
from dubplate_backend.tracking.frames import Frames
from dubplate_backend.tracking.gaze import eye_rotations
from dubplate_backend.tracking.lens import Lens
from dubplate_backend.tracking.quality import Quality, Seen, measure
from dubplate_backend.tracking.settings import TrackSettings
from dubplate_shared.errors import InvalidInput
from dubplate_shared.flags import Flag
from dubplate_shared.frames import format_frames
from dubplate_shared.landmarks import COUNT
from dubplate_shared.progress import ProgressCallback, Stop, never, silent
from dubplate_shared.rotations import axis_angle_from_matrix
from dubplate_shared.track import Track

FRAMES_AT_ONCE = 32  # heads in memory while projecting: 8,000 vertices each
# A mean distance from FaceMesh's points above this share of the inter-ocular distance is worth a look before going on:
# FaceMesh itself is off by 2.4 % on faces whose truth is known.
WORTH_A_LOOK_PERCENT = 3.0


@dataclass(frozen=True)
class Tracked:
    """What came of the frames. crop: (T, 2, 3) plate px -> unit square.   albedo: (V, 3) linear RGB of the head's
    vertices, None where colours were not fitted.   albedo_model: whose components `track.texture` has.   quality: of
    each frame.   flags: what to look at.   warnings: sentences for an artist."""

    track: Track
    crop: np.ndarray
    albedo: np.ndarray | None
    albedo_model: str
    figures: Figures
    quality: Quality
    flags: tuple[Flag, ...]
    warnings: tuple[str, ...]


def track(
    footage: Frames,
    *,
    head: HeadModel,
    settings: TrackSettings | None = None,
    first_frame: int = 1001,
    checkpoint: Checkpoint | None = None,
    progress: ProgressCallback = silent,
    stop: Stop = never,
) -> Tracked:
    """Track one face through one cut.   checkpoint: where finished pieces are kept for a run that goes on.

    Raises FootageError where no frame shows a face, the pictures are interlaced or another shot begins among them;
    SeveralFaces where it is not clear which face is meant; InvalidInput where the settings do not fit the footage;
    Cancelled where asked to stop.
    """
    settings, checkpoint = settings or TrackSettings(), checkpoint or Checkpoint()
    lens = lens_of(footage, settings)

    def look() -> dict[str, np.ndarray]:
        return found_arrays(
            find_faces(
                footage.iter(),
                footage.count,
                progress=progress,
                stop=stop,
                choice=settings.face,
                one_shot=settings.one_shot,
                fields=footage.fields,
                first_frame=first_frame,
            )
        )

    faces = faces_of(checkpoint.once("faces", look))
    warnings = seen_warnings(footage, faces, first_frame)
    fit = fit_head(head, faces, footage, lens, settings=settings, checkpoint=checkpoint, progress=progress, stop=stop)
    eyes = eye_rotations(head, fit, faces, footage.times, lens)
    seen = Seen(faces.confidence.astype(np.float64), fit.colour_error, fit.hidden)
    found = assembled(head, footage, faces, fit, eyes, lens, first_frame, seen)
    quality = measure(head, found, seen)
    flags = find_flags(quality, found.frame, found.time)
    measured = figures(found)
    if max(measured.face_error_percent, measured.lips_error_percent) > WORTH_A_LOOK_PERCENT:
        warnings.append("The head sits loosely on the face: look at preview.mp4 before going on.")
    model = settings.albedo.kind if settings.albedo else GAUSSIAN_PROCESS
    crop = crop_matrices(head, found)
    return Tracked(found, crop, fit.albedo, model, measured, quality, flags, tuple(warnings))


def lens_of(footage: Frames, settings: TrackSettings) -> Lens:
    """What is known of the lens.  Raises InvalidInput where a solved camera is of other frames."""
    camera = settings.camera
    if camera is None:
        lens = Lens.unknown(footage.width, footage.height, footage.count, pixel_aspect=footage.pixel_aspect)
        return replace(lens, focal_px=settings.focal_px)
    if len(camera) != footage.count:
        raise InvalidInput(
            f"The camera has {len(camera)} frames, the footage {footage.count}.",
            hint="Export the camera over all frames of the footage.",
        )
    return Lens.solved(footage.width, footage.height, camera)


def found_arrays(faces: Faces) -> dict[str, np.ndarray]:
    """Faces as arrays of a file."""
    return {
        "landmarks_px": faces.landmarks_px,
        "depth_px": faces.depth_px,
        "confidence": faces.confidence,
        "most_faces": np.array(faces.most_faces),
    }


def faces_of(arrays: dict[str, np.ndarray]) -> Faces:
    """The inverse of `found_arrays`."""
    return Faces(**{**arrays, "most_faces": int(arrays["most_faces"])})


def seen_warnings(footage: Frames, faces: Faces, first_frame: int) -> list[str]:
    """What an artist should know about the footage before trusting the track."""
    warnings = []
    missing = np.flatnonzero(~faces.seen) + first_frame
    if len(missing):
        frames = format_frames([int(frame) for frame in missing])
        warnings.append(f"No face in frames {frames}: they pass through untouched.")
    if faces.most_faces > 1:
        warnings.append(f"{faces.most_faces} faces were seen: say which with --face if the wrong one is tracked.")
    if footage.variable_rate:
        warnings.append("The frame rate varies: frames are kept by their true times.")
    return warnings


def assembled(
    head: HeadModel,
    footage: Frames,
    faces: Faces,
    fit: Fit,
    eyes: np.ndarray,
    lens: Lens,
    first_frame: int,
    seen: Seen,
) -> Track:
    """The track's arrays."""
    count = footage.count
    arrays = {
        "frame": first_frame + np.arange(count),
        "time": footage.times,
        "shape": fit.shape,
        "expression": fit.expression,
        "jaw": fit.jaw,
        "neck": fit.neck,
        "eyes": eyes,
        "eyelids": fit.eyelids,
        "rotation": unbroken(axis_angle_from_matrix(fit.rotation)),
        "translation": fit.translation,
        "intrinsics": fit.intrinsics,
        "distortion": np.zeros(8) if lens.distortion is None else lens.distortion,
        "lighting": fit.lighting,
        "texture": fit.texture,
        "confidence": seen.combined_confidence(),
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
