# SPDX-License-Identifier: Apache-2.0
"""MediaPipe's 478 face landmarks on every frame of a shot: full-range detector, square crop, FaceMesh.

FaceMesh finds no face on a whole 1080p plate, so it is only ever given a square around one. That square comes from the
frame before, or from the full-range detector where there is none. FaceMesh runs without memory (its "static" mode), so
a frame's landmarks depend on its picture and its square alone; its own tracking mode was steadier to the eye but closed
lips that were open (docs/decisions/0032-landmarks.md).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType

import cv2
import numpy as np

from dubplate_shared.errors import FootageError
from dubplate_shared.landmarks import COUNT, COUNT_WITH_IRISES, inter_ocular
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check

# FaceMesh looks at 192 px; this leaves it room to choose its own region and costs nothing to fill.
CROP_PX = 512
# Side of the crop over the longer side of the landmarks' box, and over the detector's box (which is tighter).
CROP_AROUND_LANDMARKS = 1.6
CROP_AROUND_DETECTION = 2.0
# Each frame is measured in two slightly different squares and averaged: (shift right, shift down, scale), shares of the
# side. One measurement repeats to 0.8 % of the inter-ocular distance on the development clip, the mean of two to 0.5 %.
VIEWS = ((0.0, 0.0, 1.0), (0.02, -0.015, 1.1))
# MediaPipe's own default for both models.
DETECTION_CONFIDENCE = 0.5
# The full-range detector finds faces down to 6 % of the width; smaller ones are searched in overlapping quarters.
TILE_SHARE = 0.6
# A face that jumps further than this share of its crop between two frames is another face.
LARGEST_JUMP = 0.35
# Views that disagree by this share of the inter-ocular distance mean that FaceMesh does not see what it measures.
DISAGREEMENT_WITHOUT_CONFIDENCE = 0.08
CONFIDENCE_OF_ONE_VIEW = 0.5
LEAST_CONFIDENCE = 0.05


@dataclass(frozen=True)
class Faces:
    """What was seen in T frames. `landmarks_px`: (T, 478, 2) float32, plate px, centres at +0.5; `depth_px`: (T, 478)
    float32, px at the face's own scale, away from the camera, from an arbitrary zero. Frames without a face hold zeros.
    `confidence`: (T,) float32, 0 = no face.   `most_faces`: the most that one search found."""

    landmarks_px: np.ndarray
    depth_px: np.ndarray
    confidence: np.ndarray
    most_faces: int

    @property
    def seen(self) -> np.ndarray:
        """(T,) bool: frames with a face."""
        return self.confidence > 0


@dataclass(frozen=True)
class Square:
    """A square of the plate: centre and side in px."""

    x: float
    y: float
    side: float

    def view(self, right: float, down: float, scale: float) -> Square:
        return Square(self.x + right * self.side, self.y + down * self.side, self.side * scale)


def find_faces(
    frames: Iterable[np.ndarray], count: int, *, progress: ProgressCallback, stop: Stop, stage: str = "landmarks"
) -> Faces:
    """Landmarks of one face through `count` frames, each uint8 [H, W, 3] RGB.

    Where several faces are seen, the one that is biggest and nearest to the middle is followed.
    Raises FootageError where no frame shows a face, Cancelled where asked to stop.
    """
    landmarks = np.zeros((count, COUNT_WITH_IRISES, 3), np.float32)
    confidence = np.zeros(count, np.float32)
    with FaceFinder() as finder:
        for index, rgb in enumerate(frames):
            check(stop)
            found = finder.follow(rgb)
            if found is not None:
                landmarks[index], confidence[index] = found
            progress(Progress(index + 1, count, stage))
        most_faces = finder.most_faces
    if not confidence.any():
        raise FootageError(
            f"There is no face in any of the {count} frames.",
            hint="Give footage of one actor whose face is seen, at least 3 % of the picture wide.",
        )
    return Faces(landmarks[..., :2].copy(), landmarks[..., 2].copy(), confidence, most_faces)


class FaceFinder:
    """MediaPipe's two models, and where the face was last."""

    def __init__(self) -> None:
        os.environ.setdefault("GLOG_minloglevel", "2")  # MediaPipe's start-up chatter is not for an artist
        from mediapipe.python.solutions import face_detection, face_mesh

        self.most_faces = 0
        self._last: Square | None = None
        self._models = ExitStack()
        self._detector = self._models.enter_context(
            face_detection.FaceDetection(model_selection=1, min_detection_confidence=DETECTION_CONFIDENCE)
        )
        self._mesh = self._models.enter_context(
            face_mesh.FaceMesh(
                static_image_mode=True,
                max_num_faces=1,
                refine_landmarks=True,
                min_detection_confidence=DETECTION_CONFIDENCE,
            )
        )

    def __enter__(self) -> FaceFinder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._models.close()

    def follow(self, rgb: np.ndarray) -> tuple[np.ndarray, float] | None:
        """Landmarks (478, 3) px and confidence of the face in the next frame; None where there is none."""
        found = None
        if self._last is not None:
            found = self._measure(rgb, self._last)
            if found is not None and not near(found[0], self._last):
                found = None
        if found is None:
            for square in self._search(rgb):
                found = self._measure(rgb, square)
                if found is not None:
                    break
        self._last = square_around(found[0]) if found is not None else None
        return found

    def _measure(self, rgb: np.ndarray, square: Square) -> tuple[np.ndarray, float] | None:
        """Mean landmarks of the views of `square`, and the confidence that their agreement gives."""
        seen = [points for view in VIEWS if (points := self._landmarks(rgb, square.view(*view))) is not None]
        if not seen:
            return None
        points = np.mean(seen, axis=0)
        if len(seen) < len(VIEWS):
            return points, CONFIDENCE_OF_ONE_VIEW
        spread = np.linalg.norm(np.stack(seen)[:, :COUNT, :2] - points[:COUNT, :2], axis=-1).mean()
        share = 2 * spread / max(float(inter_ocular(points[:, :2])), 1e-6)  # distance of two views, not from their mean
        return points, float(np.clip(1 - share / DISAGREEMENT_WITHOUT_CONFIDENCE, LEAST_CONFIDENCE, 1))

    def _landmarks(self, rgb: np.ndarray, square: Square) -> np.ndarray | None:
        """FaceMesh on one square, (478, 3) plate px, or None."""
        crop, left, top, side = cut(rgb, square)
        result = self._mesh.process(crop).multi_face_landmarks
        if not result:
            return None
        unit = np.array([(point.x, point.y, point.z) for point in result[0].landmark])  # [478, 3], edges at 0 and 1
        return unit * side + (left, top, 0)

    def _search(self, rgb: np.ndarray) -> list[Square]:
        """Faces of the whole plate, the best first. Quarters are searched where the whole shows none."""
        height, width = rgb.shape[:2]
        found = self._detect(rgb, 0, 0)
        if not found:
            tile_height, tile_width = int(height * TILE_SHARE), int(width * TILE_SHARE)
            for top in (0, height - tile_height):
                for left in (0, width - tile_width):
                    tile = np.ascontiguousarray(rgb[top : top + tile_height, left : left + tile_width])
                    found += self._detect(tile, left, top)
            found = distinct(found)
        self.most_faces = max(self.most_faces, len(found))
        diagonal = float(np.hypot(width, height))

        def prominence(square: Square) -> float:
            off_centre = np.hypot(square.x - width / 2, square.y - height / 2) / diagonal  # 0 to 0.5
            return square.side * (1 - off_centre)

        return sorted(found, key=prominence, reverse=True)

    def _detect(self, rgb: np.ndarray, left: int, top: int) -> list[Square]:
        height, width = rgb.shape[:2]
        squares = []
        for detection in self._detector.process(rgb).detections or []:
            box = detection.location_data.relative_bounding_box
            squares.append(
                Square(
                    x=left + (box.xmin + box.width / 2) * width,
                    y=top + (box.ymin + box.height / 2) * height,
                    side=max(box.width * width, box.height * height) * CROP_AROUND_DETECTION,
                )
            )
        return squares


def cut(rgb: np.ndarray, square: Square) -> tuple[np.ndarray, int, int, int]:
    """A square of whole pixels as uint8 [CROP_PX, CROP_PX, 3], averaged where it shrinks, black outside the plate.

    Returns the crop and the square's left, top and side in plate px.
    """
    side = max(8, round(square.side))
    left, top = round(square.x - side / 2), round(square.y - side / 2)
    height, width = rgb.shape[:2]
    inside = rgb[max(top, 0) : max(min(top + side, height), 0), max(left, 0) : max(min(left + side, width), 0)]
    if inside.shape[:2] != (side, side):
        whole = np.zeros((side, side, 3), np.uint8)
        whole[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]] = inside
        inside = whole
    shrinks = side > CROP_PX
    crop = cv2.resize(inside, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return crop, left, top, side


def square_around(points: np.ndarray) -> Square:
    """The square in which a face with these landmarks (478, 3) is looked for in the next frame."""
    low, high = points[:COUNT, :2].min(axis=0), points[:COUNT, :2].max(axis=0)
    x, y = (low + high) / 2
    return Square(float(x), float(y), float((high - low).max()) * CROP_AROUND_LANDMARKS)


def near(points: np.ndarray, square: Square) -> bool:
    """Whether a face could have moved here from the middle of `square` within a frame."""
    here = square_around(points)
    return float(np.hypot(here.x - square.x, here.y - square.y)) < LARGEST_JUMP * square.side


def distinct(squares: list[Square]) -> list[Square]:
    """One square for each face that several tiles saw."""
    kept: list[Square] = []
    for square in sorted(squares, key=lambda square: square.side, reverse=True):
        if all(np.hypot(square.x - other.x, square.y - other.y) > other.side / 2 for other in kept):
            kept.append(square)
    return kept
