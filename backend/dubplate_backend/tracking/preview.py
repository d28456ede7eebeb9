# SPDX-License-Identifier: Apache-2.0
"""preview.mp4: the track to be looked at. The plate with the face's lines, and two close-ups, bare and under the head.

Green: lines of the fitted head. Red dots: lips and eyes as detected. Where they part, the fit is wrong; where they
agree and do not sit on the face, the detection is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.footage import Footage
from dubplate_backend.plates.movie import write_movie
from dubplate_backend.raster.camera import to_camera, vertices_to_screen
from dubplate_backend.raster.crop_warp import to_crop
from dubplate_backend.raster.rasterise import rasterise
from dubplate_shared.landmarks import (
    FACE_OVAL,
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    LIPS,
    OUTER_LIPS,
    RIGHT_BROW,
    RIGHT_EYE,
    inter_ocular,
    lip_gap,
)
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check
from dubplate_shared.track import Track

PICTURE_PX = 960  # height of the preview; the close-ups are half as high
HEAD_OPACITY = 0.75
QUALITY, SPEED = 23, "veryfast"  # x264's, for something that is looked at once
CLOSED_RINGS = (FACE_OVAL, RIGHT_EYE, LEFT_EYE, OUTER_LIPS, INNER_LIPS, RIGHT_BROW, LEFT_BROW)
DOTS = (*LIPS, *RIGHT_EYE, *LEFT_EYE)
GREEN, RED, WHITE, BLACK = (60, 255, 90), (255, 60, 40), (255, 255, 255), (0, 0, 0)
SUBPIXEL_BITS = 4  # cv2 draws at fractions of a pixel in fixed point


def write_preview(
    path: Path,
    footage: Footage,
    head: HeadModel,
    track: Track,
    crop: np.ndarray,
    sound: Path | None,
    *,
    progress: ProgressCallback,
    stop: Stop,
    stage: str = "preview",
) -> None:
    """Write the preview of a track.  crop: (T, 2, 3).  sound: what starts with the first frame, if there is some.

    Raises FootageError, OutputNotWritable, Cancelled.
    """

    def pictures() -> Iterator[np.ndarray]:
        for index, plate in enumerate(footage):
            check(stop)
            yield preview_picture(plate, head, track, crop[index], index)
            progress(Progress(index + 1, len(track), stage))

    write_movie(path, pictures(), footage.rate, sound, quality=QUALITY, speed=SPEED)


def preview_picture(plate: np.ndarray, head: HeadModel, track: Track, crop: np.ndarray, index: int) -> np.ndarray:
    """One picture of the preview, uint8 [960, W, 3].  plate: uint8 [H, W, 3].  crop: (2, 3).  index: of the frame."""
    scale = PICTURE_PX / plate.shape[0]
    smaller = cv2.resize(
        plate, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    )
    whole = np.array([[scale, 0, 0], [0, scale, 0]])
    side = PICTURE_PX // 2
    close = to_crop(plate.astype(np.float32) / 255, crop, side)  # [S, S, 3]
    seen = track.confidence[index] > 0
    bare = to_bytes(close)
    posed = to_bytes(under_head(close, head, track, crop, index)) if seen else bare.copy()
    if seen:
        draw_track(smaller, track, whole, index)
        draw_track(bare, track, crop * side, index)
        write(posed, read_out(track, index))
    else:
        write(smaller, ["no face"])
    write(smaller, [f"{track.frame[index]}"], bottom=True)
    return np.ascontiguousarray(np.concatenate([smaller, np.concatenate([bare, posed])], axis=1))


def under_head(close: np.ndarray, head: HeadModel, track: Track, crop: np.ndarray, index: int) -> np.ndarray:
    """The close-up with the shaded head laid over it, float32 [S, S, 3].  close: [S, S, 3], 0..1."""
    at = slice(index, index + 1)
    shape = torch.from_numpy(track.shape)
    vertices = head.vertices(
        shape,
        *(torch.from_numpy(getattr(track, name)[at]) for name in ("expression", "jaw", "neck", "eyes", "eyelids")),
    )  # [1, V, 3]
    camera = to_camera(vertices, torch.from_numpy(track.rotation[at]), torch.from_numpy(track.translation[at]))
    matrix = torch.from_numpy(np.asarray(crop, np.float32))[None]
    screen = vertices_to_screen(camera, torch.from_numpy(track.intrinsics[at]), matrix, close.shape[0])
    with torch.no_grad():
        found = rasterise(screen, head.faces, close.shape[0], close.shape[0]).pix_to_face[0].numpy()  # [S, S]
    clay = facing(camera[0, head.faces].numpy())[found][..., None]  # [S, S, 1]
    return np.where(found[..., None] >= 0, close + HEAD_OPACITY * (clay - close), close)


def facing(corners: np.ndarray) -> np.ndarray:
    """Brightness 0..1 of faces lit from the camera and a little from above, one value each so that the mesh shows;
    quicker by far than a lit picture.  corners: [F, 3, 3] metres, camera space.   Returns [F] float32."""
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
    light = np.array([-0.2, -0.4, -0.9]) / np.linalg.norm([-0.2, -0.4, -0.9])
    return (0.15 + 0.8 * np.abs(normal @ light)).astype(np.float32)


def draw_track(picture: np.ndarray, track: Track, matrix: np.ndarray, index: int) -> None:
    """Draw the head's lines and the detected dots on a picture.  matrix: (2, 3), plate px -> the picture's px."""
    lines = as_drawn(track.projected_px[index], matrix)
    dots = as_drawn(track.landmarks_px[index], matrix)
    for ring in CLOSED_RINGS:
        closed = ring not in (RIGHT_BROW, LEFT_BROW)
        cv2.polylines(picture, [lines[list(ring)]], closed, GREEN, 1, cv2.LINE_AA, SUBPIXEL_BITS)
    for x, y in dots[list(DOTS)]:
        cv2.circle(picture, (int(x), int(y)), 1 << SUBPIXEL_BITS, RED, -1, cv2.LINE_AA, SUBPIXEL_BITS)


def as_drawn(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Plate px (N, 2) to cv2's fixed-point pixels, whose centres are whole numbers."""
    placed = points @ matrix[:, :2].T + matrix[:, 2] - 0.5
    return np.round(placed * (1 << SUBPIXEL_BITS)).astype(np.int32)


def read_out(track: Track, index: int) -> list[str]:
    """Lip gap of the head and of the detection, error and jaw, as text."""
    detected, projected = track.landmarks_px[index].astype(float), track.projected_px[index].astype(float)
    error = np.linalg.norm(projected - detected, axis=1).mean() / inter_ocular(detected)
    return [
        f"lips {lip_gap(projected) * 100:4.1f} % (seen {lip_gap(detected) * 100:4.1f})",
        f"error {error * 100:.2f} %   jaw {np.rad2deg(track.jaw[index, 0]):4.1f} deg",
    ]


def write(picture: np.ndarray, lines: list[str], *, bottom: bool = False) -> None:
    """Text in the upper or lower left corner."""
    for number, line in enumerate(lines):
        place = (10, picture.shape[0] - 12 if bottom else 24 + 22 * number)
        cv2.putText(picture, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.55, BLACK, 4, cv2.LINE_AA)
        cv2.putText(picture, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.55, WHITE, 1, cv2.LINE_AA)


def to_bytes(picture: np.ndarray) -> np.ndarray:
    """0..1 float to uint8."""
    return np.clip(np.round(picture * 255), 0, 255).astype(np.uint8)
