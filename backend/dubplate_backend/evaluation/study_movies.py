# SPDX-License-Identifier: Apache-2.0
"""Movies of the held-out frames for a blind choice: the face in a square that stands still, with the shot's voice."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dubplate_backend.evaluation.held_out import HeldOutFrames
from dubplate_backend.evaluation.study import StudyClip
from dubplate_backend.plates.preview import as_seen, write_preview
from dubplate_backend.plates.source import Plate, ShotPlates
from dubplate_backend.raster.crop_warp import crop_box, to_crop
from dubplate_shared.progress import Stop, check
from dubplate_shared.shot import Shot

SIDE_PX = 512
MOST_FRAMES = 250  # a clip: ten seconds at 25 a second, as long as people watch a pair
FILMED = "filmed"


class StudyMovies:
    """Collects frames of a shot, method by method.  At most MOST_FRAMES are kept of each."""

    def __init__(self, shot: Shot, frames: HeldOutFrames) -> None:
        self._shot, self._train = shot, frames.train
        self._scored = _longest_run(frames.scored)[:MOST_FRAMES]
        self._matrix = still_view(shot, self._scored)
        self._pictures: dict[str, list[np.ndarray]] = {}

    def add(self, method: str, index: int, rgb: np.ndarray, plate: Plate) -> None:
        """rgb: [H, W, 3] in the plate's own values."""
        if index in self._scored:
            crop = to_crop(as_seen(rgb, plate.colour).astype(np.float32), self._matrix, SIDE_PX)
            self._pictures.setdefault(method, []).append(np.rint(crop).astype(np.uint8))

    def clip(self, folder: Path, plates: ShotPlates, stop: Stop) -> StudyClip:
        """Write the movies into `folder`; the reference is what was filmed elsewhere in the shot."""
        name = self._shot.info.name
        movies = {}
        for number, (method, pictures) in enumerate(self._pictures.items()):
            movies[method] = self._write(folder / f"{name}-{number}.mp4", pictures, self._scored[0])
        run = _longest_run(self._train)[-len(self._scored) :]
        shown = self._filmed(run, plates, stop)
        return StudyClip(name, movies, self._write(folder / f"{name}-reference.mp4", shown, run[0]))

    def _filmed(self, run: tuple[int, ...], plates: ShotPlates, stop: Stop) -> Iterable[np.ndarray]:
        matrix = still_view(self._shot, run)
        for index in run:
            check(stop)
            plate = plates.plate(self._shot.info.first_frame + index)
            crop = to_crop(as_seen(plate.rgb, plate.colour).astype(np.float32), matrix, SIDE_PX)
            yield np.rint(crop).astype(np.uint8)

    def _write(self, path: Path, pictures: Iterable[np.ndarray], first: int) -> Path:
        rate = self._shot.info.rate
        write_preview(path, iter(pictures), rate, self._shot.audio_path(), first / rate.fps)
        return path


def still_view(shot: Shot, indices: tuple[int, ...]) -> np.ndarray:
    """(2, 3): plate px -> the unit square around the crops of all these frames."""
    boxes = [crop_box(shot.crop[index], shot.info.height, shot.info.width) for index in indices]
    left, top = min(box.left for box in boxes), min(box.top for box in boxes)
    side = max(max(box.right for box in boxes) - left, max(box.bottom for box in boxes) - top)
    return np.array([[1, 0, -left], [0, 1, -top]], np.float64) / side


def _longest_run(indices: tuple[int, ...]) -> tuple[int, ...]:
    """The longest run of neighbouring frames, so that sound and picture stay together."""
    breaks = np.flatnonzero(np.diff(indices) != 1) + 1
    return tuple(max(np.split(np.array(indices), breaks), key=len).tolist())
