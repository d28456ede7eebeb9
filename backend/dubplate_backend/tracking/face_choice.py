# SPDX-License-Identifier: Apache-2.0
"""Which of several faces is meant: by its place from the left, by a point on it, or by a box around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dubplate_backend.tracking.squares import CROP_AROUND_LANDMARKS, Square
from dubplate_shared.errors import FootageError, InvalidInput, OutputNotWritable
from dubplate_shared.files import atomic_path

# A face this many times as long as the next one is taken without asking. Measured sizes repeat to a few percent.
CLEARLY_BIGGER = 1.25
PICTURE_PX = 1280  # longer side of the picture of candidates
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


@dataclass(frozen=True)
class FaceChoice:
    """One of: index, from the left, 0-based; a point (x, y) or a box (x, y, width, height) in plate px; the biggest,
    however little bigger it is."""

    index: int | None = None
    point: tuple[float, float] | None = None
    box: tuple[float, float, float, float] | None = None
    biggest: bool = False

    @classmethod
    def parse(cls, text: str) -> FaceChoice:
        """ "1", "640,360" or "500,200,300,300". Raises InvalidInput."""
        try:
            numbers = [float(part) for part in text.split(",")]
            if len(numbers) == 1 and numbers[0] == int(numbers[0]) >= 0:
                return cls(index=int(numbers[0]))
            if len(numbers) == 2:
                return cls(point=(numbers[0], numbers[1]))
            if len(numbers) == 4 and min(numbers[2:]) > 0:
                return cls(box=(numbers[0], numbers[1], numbers[2], numbers[3]))
        except (ValueError, OverflowError):
            pass
        raise InvalidInput(
            f"{text!r} names no face.",
            hint="Write its number from the left (0 is the first), a point on it as X,Y or a box as X,Y,WIDTH,HEIGHT.",
        )

    def __str__(self) -> str:
        if self.biggest or self.index is not None:
            return "the biggest" if self.biggest else str(self.index)
        return ",".join(f"{number:g}" for number in self.point or self.box or ())


class SeveralFaces(FootageError):
    """It is not clear which face is meant.   picture: uint8 [H, W, 3], the candidates with their numbers."""

    def __init__(self, message: str, *, hint: str, picture: np.ndarray) -> None:
        super().__init__(message, hint=hint)
        self.picture = picture

    def shown_at(self, path: Path) -> SeveralFaces:
        """This error with its picture written to `path` (PNG) and named in the hint; as it is where `path` cannot be
        written, since the choice is what matters."""
        try:
            with atomic_path(path) as temporary:
                cv2.imwrite(str(temporary), self.picture[..., ::-1])
        except OutputNotWritable:
            return self
        return SeveralFaces(self.message, hint=f"{self.hint} {path} shows them numbered.", picture=self.picture)


def choose(rgb: np.ndarray, faces: Sequence[Square], choice: FaceChoice | None, frame: int) -> int | None:
    """The place in `faces`, which go from left to right, of the one that is meant; None where none of them is.

    Raises SeveralFaces where `choice` does not say and none is clearly bigger, FootageError where there are too few.
    """
    if choice is None or choice.biggest:
        by_size = sorted(range(len(faces)), key=lambda face: faces[face].side, reverse=True)
        if choice is None and len(faces) > 1 and faces[by_size[0]].side < CLEARLY_BIGGER * faces[by_size[1]].side:
            raise SeveralFaces(
                f"{len(faces)} faces are seen in frame {frame} (counted from 0), and none is clearly the biggest.",
                hint=f"Say which one is meant: --face 0 (the leftmost) to --face {len(faces) - 1}, or --face X,Y.",
                picture=candidates_picture(rgb, faces),
            )
        return by_size[0]
    if choice.index is not None:
        if choice.index >= len(faces):
            raise SeveralFaces(
                f"There is no face {choice.index}: frame {frame} (counted from 0) shows {len(faces)}.",
                hint=f"Faces are counted from the left: --face 0 to --face {len(faces) - 1}.",
                picture=candidates_picture(rgb, faces),
            )
        return choice.index
    x, y = choice.point or middle(choice.box or (0, 0, 0, 0))
    hit = [face for face, square in enumerate(faces) if square.holds(x, y)]
    return min(hit, key=lambda face: np.hypot(faces[face].x - x, faces[face].y - y), default=None)


def middle(box: tuple[float, float, float, float]) -> tuple[float, float]:
    """Centre of (x, y, width, height)."""
    return box[0] + box[2] / 2, box[1] + box[3] / 2


def candidates_picture(rgb: np.ndarray, faces: Sequence[Square]) -> np.ndarray:
    """The frame, smaller, with each face boxed and numbered from the left, uint8 [H, W, 3]."""
    scale = min(1.0, PICTURE_PX / max(rgb.shape[:2]))
    shown = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    thickness = max(2, round(max(shown.shape[:2]) / 400))
    for number, face in enumerate(faces):
        half = face.side / CROP_AROUND_LANDMARKS / 2
        corners = [(round((face.x + sign * half) * scale), round((face.y + sign * half) * scale)) for sign in (-1, 1)]
        size = max(0.8, 2 * half * scale / 90)
        for colour, extra in ((BLACK, 2 * thickness), (WHITE, 0)):
            cv2.rectangle(shown, *corners, colour, thickness + extra, cv2.LINE_AA)
        (width, height), _ = cv2.getTextSize(str(number), cv2.FONT_HERSHEY_DUPLEX, size, thickness)
        corner = (corners[0][0], max(0, corners[0][1] - height - 4 * thickness))
        cv2.rectangle(
            shown, corner, (corner[0] + width + 4 * thickness, corner[1] + height + 4 * thickness), BLACK, cv2.FILLED
        )
        at = (corner[0] + 2 * thickness, corner[1] + height + 2 * thickness)
        cv2.putText(shown, str(number), at, cv2.FONT_HERSHEY_DUPLEX, size, WHITE, thickness, cv2.LINE_AA)
    return shown
