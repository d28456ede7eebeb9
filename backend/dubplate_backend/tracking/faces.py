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
from dataclasses import dataclass, replace
from types import TracebackType

import numpy as np

from dubplate_backend.plates.interlace import CombWatch, interlaced_footage
from dubplate_backend.plates.read_ahead import read_ahead
from dubplate_backend.tracking.confidence import confidence_of
from dubplate_backend.tracking.cuts import CutWatch, refuse_cuts
from dubplate_backend.tracking.face_choice import FaceChoice, choose
from dubplate_backend.tracking.people import COASTING_FRAMES, OTHERS_KEPT_FRAMES, Following, Person, told_apart
from dubplate_backend.tracking.squares import Square, cut, distinct, near, square_around
from dubplate_shared.errors import FootageError
from dubplate_shared.landmarks import COUNT_WITH_IRISES
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check

# Side of the square over the detector's box, which is tighter than the landmarks', and over the landmarks' own square
# for the same face (median of four development clips: 1.17 to 1.24).
CROP_AROUND_DETECTION = 2.0
DETECTION_OVER_LANDMARKS = 1.2
# Each frame is measured in two slightly different squares and averaged: (shift right, shift down, scale), shares of the
# side. One measurement repeats to 0.8 % of the inter-ocular distance on the development clip, the mean of two to 0.5 %.
VIEWS = ((0.0, 0.0, 1.0), (0.02, -0.015, 1.1))
# MediaPipe's own default for both models.
DETECTION_CONFIDENCE = 0.5
# The full-range detector finds faces down to 6 % of the width; smaller ones are searched in overlapping quarters.
TILE_SHARE = 0.6
# The whole plate is searched for others every so many frames: twice a second of film.
FRAMES_BETWEEN_SEARCHES = 12
# Faces whose middles are nearer than this share of the side cover one another.
COVERED = 0.6


@dataclass(frozen=True)
class Faces:
    """What was seen in T frames. `landmarks_px`: (T, 478, 2) float32, plate px, centres at +0.5; `depth_px`: (T, 478)
    float32, px at the face's own scale, away from the camera, from an arbitrary zero. Frames without a face hold zeros.

    `confidence`: (T,) float32, how far the landmarks can be trusted, as tracking/confidence.py measures it: 1 for a
    sharp face within 45 degrees of the camera on which two measurements agree; at least 0.05 where the face that is
    followed is seen, and 0 where it is not.
    `most_faces`: the most that were seen at once.
    """

    landmarks_px: np.ndarray
    depth_px: np.ndarray
    confidence: np.ndarray
    most_faces: int

    @property
    def seen(self) -> np.ndarray:
        """(T,) bool: frames with a face."""
        return self.confidence > 0


def find_faces(
    frames: Iterable[np.ndarray],
    count: int,
    *,
    progress: ProgressCallback,
    stop: Stop,
    stage: str = "landmarks",
    choice: FaceChoice | None = None,
    one_shot: bool = False,
    fields: bool = False,
    first_frame: int = 0,
) -> Faces:
    """Landmarks of one face through `count` frames, each uint8 [H, W, 3] RGB.

    `choice`: which face is meant where there are several; without it one that is clearly the biggest.
    `one_shot`: believe that there is no cut.   `fields`: whether the file calls its pictures interlaced.
    `first_frame`: the first one's number, by which errors name cuts.
    Raises FootageError where no frame shows the face, the pictures are interlaced, or another shot begins among them;
    SeveralFaces where it is not clear which face is meant; Cancelled where asked to stop.
    """
    landmarks = np.zeros((count, COUNT_WITH_IRISES, 3), np.float32)
    confidence = np.zeros(count, np.float32)
    cuts, combs = CutWatch(), CombWatch(stated=fields)
    with FaceFinder(choice) as finder:
        for index, rgb in enumerate(read_ahead(frames)):
            check(stop)
            found = finder.follow(rgb)
            cuts.feed(rgb, None if found is None else found[0])
            combs.feed(rgb)
            if combs.certain:
                raise interlaced_footage()
            if found is not None:
                landmarks[index], confidence[index] = found
            progress(Progress(index + 1, count, stage))
        most_faces = finder.state.most_faces
    if combs.found:
        raise interlaced_footage()
    if not one_shot:
        refuse_cuts(cuts.cuts(), first_frame)
    if not confidence.any():
        raise no_face(count, choice)
    return Faces(landmarks[..., :2].copy(), landmarks[..., 2].copy(), confidence, most_faces)


def no_face(count: int, choice: FaceChoice | None) -> FootageError:
    """What is said where no frame shows the face that is meant."""
    if choice is not None:
        return FootageError(
            f"No face lies at {choice} in any of the {count} frames.",
            hint="Give a point on the face in a frame where it is seen, in pixels from the top left corner.",
        )
    return FootageError(
        f"There is no face in any of the {count} frames.",
        hint="Give footage of one actor whose face is seen, at least 3 % of the picture wide.",
    )


class FaceFinder:
    """MediaPipe's two models, and who is followed.

    `state` is all that the next frame depends on: a finder that is made with it gives the same bits from there on.
    """

    def __init__(self, choice: FaceChoice | None = None, *, state: Following | None = None) -> None:
        os.environ.setdefault("GLOG_minloglevel", "2")  # MediaPipe's start-up chatter is not for an artist
        from mediapipe.python.solutions import face_detection, face_mesh

        self.state = state or Following()
        self._choice = choice
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
        """Landmarks (478, 3) px and confidence of the face in the next frame; None where it is not seen.

        Raises SeveralFaces at the first frame that shows faces, where it is not clear which is meant.
        """
        state = self.state
        found = self._begin(rgb) if state.chosen is None else self._go_on(rgb, state.chosen)
        self.state = replace(self.state, frame=state.frame + 1)
        return found

    def at(self, rgb: np.ndarray, points: np.ndarray) -> np.ndarray | None:
        """Landmarks (478, 3) of the face where `points` (N, 2) lie, whoever is followed; None where there is none."""
        found = self._measure(rgb, square_around(points))
        return None if found is None else found[0]

    def _begin(self, rgb: np.ndarray) -> tuple[np.ndarray, float] | None:
        """Look at every face there is, and take the one that is meant."""
        faces: list[tuple[Square, tuple[np.ndarray, float]]] = []
        for detected in self._search(rgb):
            found = self._measure(rgb, detected)
            if found is not None and not any(covers(square, square_around(found[0])) for square, _ in faces):
                faces.append((square_around(found[0]), found))
        faces.sort(key=lambda face: face[0].x)
        squares = [square for square, _ in faces]
        self._count(len(faces))
        index = choose(rgb, squares, self._choice, self.state.frame) if faces else None
        if index is None:
            return None
        others = tuple(Person(square) for place, square in enumerate(squares) if place != index)
        self.state = replace(self.state, chosen=Person(squares[index]), others=others)
        return faces[index][1]

    def _go_on(self, rgb: np.ndarray, chosen: Person) -> tuple[np.ndarray, float] | None:
        """The chosen face in the next frame."""
        if self.state.others:
            found = self._among_others(rgb, chosen)
        else:
            found = None if chosen.missing else self._measured_near(rgb, chosen.square)
            if found is None:
                found = next((found for square in self._search(rgb) if (found := self._measure(rgb, square))), None)
            if found is None or self.state.frame % FRAMES_BETWEEN_SEARCHES == 0:
                self._meet(rgb, None if found is None else square_around(found[0]), self._faces(rgb), [])
        now = chosen.unseen() if found is None else chosen.seen(square_around(found[0]))
        self.state = replace(self.state, chosen=now)
        return found

    def _among_others(self, rgb: np.ndarray, chosen: Person) -> tuple[np.ndarray, float] | None:
        """As _go_on, where others are near: every face is told by its place, size and motion, and a frame in which
        another covers the chosen one has none, since FaceMesh would go over to the one in front."""
        squares = self._faces(rgb)
        place, places = told_apart(chosen, self.state.others, squares)
        own = None if place is None else squares[place]
        others = self._meet(rgb, own, squares, places)
        expected = chosen.expected if own is None else own
        if (chosen.missing or own is None) and any(covers(other, expected) for other in others):
            return None  # it is found again when it stands clear
        if chosen.missing and own is None:
            return None
        found = None if chosen.missing else self._measured_near(rgb, chosen.square)
        if own is not None and not (found and own is closest(square_around(found[0]), [own, *others])):
            found = self._measured_near(rgb, own)
        if found is None or (own is None and any(covers(other, square_around(found[0])) for other in others)):
            return None
        return found if own is None or own is closest(square_around(found[0]), [own, *others]) else None

    def _meet(
        self, rgb: np.ndarray, own: Square | None, squares: list[Square], places: list[int | None]
    ) -> list[Square]:
        """Follow the others, and take up those who are new.   own: the chosen face, where it is seen.   places: where
        in `squares` each of the others is.

        Returns the squares of the others, of those who have just been hidden where they are expected.
        """
        others = [
            other.unseen() if place is None else other.seen(squares[place])
            for other, place in zip(self.state.others, places, strict=True)
        ]
        new = [
            Person(square)
            for place, square in enumerate(squares)
            if place not in places
            and (own is None or square.distance(own) > COVERED * own.side)
            and self._measure(rgb, square) is not None  # the detector alone takes hands and pictures for faces
        ]
        kept = tuple(other for other in (*others, *new) if other.missing <= OTHERS_KEPT_FRAMES)
        self.state = replace(self.state, others=kept)
        self._count(sum(not other.missing for other in kept) + (own is not None))
        return [other.expected if other.missing else other.square for other in kept if other.missing <= COASTING_FRAMES]

    def _count(self, faces: int) -> None:
        self.state = replace(self.state, most_faces=max(self.state.most_faces, faces))

    def _measured_near(self, rgb: np.ndarray, square: Square) -> tuple[np.ndarray, float] | None:
        """As _measure; None where what it finds is further away than a face moves within a frame."""
        found = self._measure(rgb, square)
        return found if found is not None and near(square_around(found[0]), square) else None

    def _measure(self, rgb: np.ndarray, square: Square) -> tuple[np.ndarray, float] | None:
        """Mean landmarks of the views of `square`, and how far they can be trusted."""
        crops = [cut(rgb, square.view(*view)) for view in VIEWS]
        seen = [points for crop in crops if (points := self._landmarks(*crop)) is not None]
        if not seen:
            return None
        return np.mean(seen, axis=0), confidence_of(seen, len(VIEWS), crops[0][0])

    def _landmarks(self, crop: np.ndarray, left: int, top: int, side: int) -> np.ndarray | None:
        """FaceMesh on one square, (478, 3) plate px, or None."""
        result = self._mesh.process(crop).multi_face_landmarks
        if not result:
            return None
        unit = np.array([(point.x, point.y, point.z) for point in result[0].landmark])  # [478, 3], edges at 0 and 1
        return unit * side + (left, top, 0)

    def _search(self, rgb: np.ndarray) -> list[Square]:
        """Faces of the whole plate and, where it shows none, of its quarters; big ones near the middle first."""
        height, width = rgb.shape[:2]
        found = self._detect(rgb)
        if not found:
            tile_height, tile_width = int(height * TILE_SHARE), int(width * TILE_SHARE)
            for top in (0, height - tile_height):
                for left in (0, width - tile_width):
                    tile = np.ascontiguousarray(rgb[top : top + tile_height, left : left + tile_width])
                    found += self._detect(tile, left, top)
            found = distinct(found)
        diagonal = float(np.hypot(width, height))

        def prominence(square: Square) -> float:
            off_centre = np.hypot(square.x - width / 2, square.y - height / 2) / diagonal  # 0 to 0.5
            return square.side * (1 - off_centre)

        return sorted(found, key=prominence, reverse=True)

    def _faces(self, rgb: np.ndarray) -> list[Square]:
        """Faces of the whole plate, as big as the squares around their landmarks would be."""
        return [replace(square, side=square.side / DETECTION_OVER_LANDMARKS) for square in self._detect(rgb)]

    def _detect(self, rgb: np.ndarray, left: int = 0, top: int = 0) -> list[Square]:
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


def covers(other: Square, face: Square) -> bool:
    """Whether two faces lie over one another."""
    return other.distance(face) < COVERED * max(other.side, face.side)


def closest(square: Square, squares: list[Square]) -> Square:
    """The one of `squares` whose middle is nearest."""
    return min(squares, key=square.distance)
