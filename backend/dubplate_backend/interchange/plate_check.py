# SPDX-License-Identifier: Apache-2.0
"""Whether an imported head lies on the face that the plate shows: crops, clocks and offsets are easily wrong.

The plate's own face landmarks are stored with the track, as our tracker stores those that it was made from.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dubplate_backend.plates.footage import Footage
from dubplate_backend.plates.sequence import Sequence
from dubplate_backend.tracking.face_choice import FaceChoice
from dubplate_backend.tracking.faces import Faces, find_faces
from dubplate_shared.errors import FootageError
from dubplate_shared.landmarks import COUNT, landmark_error
from dubplate_shared.progress import ProgressCallback, Stop
from dubplate_shared.track import Track

MISPLACED_PERCENT = 6.0
"""Of the inter-ocular distance, median over frames: trackers agree with FaceMesh to 2 to 3; a picture too late in
speech or a crop off by a tenth is above it."""

ANOTHER_FACE_PERCENT = 100.0
"""Above it the landmarks are of somebody else, or of nobody."""


def faces_of(footage: Footage | Sequence, choice: FaceChoice | None, progress: ProgressCallback, stop: Stop) -> Faces:
    """The plate's face landmarks.   Raises FootageError where it shows no face, SeveralFaces, Cancelled."""
    return find_faces(footage.iter(), footage.count, progress=progress, stop=stop, choice=choice)


def checked(
    track: Track,
    footage: Footage | Sequence,
    faces: Faces | None,
    choice: FaceChoice | None,
    progress: ProgressCallback,
    stop: Stop,
) -> tuple[Track, list[str]]:
    """The track with the landmarks that the plate shows, and what an artist should know.

    faces: where they are known already.   choice: which face is meant.   Raises Cancelled.
    """
    try:
        faces = faces or faces_of(footage, choice, progress, stop)
    except FootageError as error:
        return track, [f"Where the head lies could not be checked: {error.message}"]
    return compared(track, faces)


def compared(track: Track, faces: Faces) -> tuple[Track, list[str]]:
    """As checked, of faces that were found.   Frames where none was, or another, keep the head's own points."""
    both = faces.seen & (track.confidence > 0)
    if not both.any():
        return track, ["Where the head lies could not be checked: no tracked frame shows a face."]
    seen, own = faces.landmarks_px[:, :COUNT], track.projected_px
    error = np.full(len(track), np.inf)
    error[both] = landmark_error(own[both], seen[both]) * 100
    landmarks = np.where((error < ANOTHER_FACE_PERCENT)[:, None, None], seen, own)
    off = float(np.median(error[both]))
    warnings = []
    if off > MISPLACED_PERCENT:
        warnings.append(
            f"The head lies {off:.0f} % of the inter-ocular distance off the face that the plate shows: look at "
            "preview.mp4; --crop, --tool-fps and --offset say where and when the tool looked."
        )
    return replace(track, landmarks_px=landmarks), warnings
