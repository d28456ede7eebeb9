# SPDX-License-Identifier: Apache-2.0
"""The plates of a shot, whatever they are stored as: a video, or a sequence of EXR, DPX, TIFF, PNG or JPEG files.

A plate keeps its pixels as they are stored (EXR half or float, with their NaN, infinities and negatives); codes of up
to ten bits become code / largest in half, from which every one is recovered exactly, and wider ones in float.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from dubplate_backend.plates.colour import PICTURE, VIDEO, PlateColour
from dubplate_backend.plates.exr import Windows, rate_attribute, read_exr, time_code
from dubplate_backend.plates.file_hashes import FileHashes
from dubplate_backend.plates.footage import Footage
from dubplate_backend.plates.picture_file import read_picture, values_of
from dubplate_backend.plates.segment import Segment
from dubplate_backend.plates.sequence_files import sequence_file
from dubplate_backend.plates.time_code import advanced
from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import Shot

PLATES_KEPT = 8  # unless told: a window of five and its neighbours, each decoded once when frames come in order


@dataclass(frozen=True)
class Plate:
    """One plate.  rgb: [H, W, 3] float16 or float32 as stored.  alpha: [H, W] of the same type, where there is one.

    windows: where these pixels lie; attributes: what travels to the result.
    """

    frame: int
    rgb: np.ndarray
    colour: PlateColour
    windows: Windows
    alpha: np.ndarray | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def net(self) -> np.ndarray:
        """The display window as a network sees it: float32 [H, W, 3], 0..1.

        Beyond the data window the edge goes on; not-a-number becomes 0.
        """
        values = self.colour.visible(self.rgb)
        left, top, right, bottom = self.windows.display
        if self.windows.data == self.windows.display:
            return values
        columns = np.clip(np.arange(left, right + 1) - self.windows.data[0], 0, values.shape[1] - 1)
        rows = np.clip(np.arange(top, bottom + 1) - self.windows.data[1], 0, values.shape[0] - 1)
        return values[rows[:, None], columns]


class ShotPlates:
    """Plates of a shot by frame number; a few are kept, so memory does not grow with the shot."""

    def __init__(self, shot: Shot, keep: int = PLATES_KEPT, hashes: FileHashes | None = None) -> None:
        """keep: how many plates stay in memory.  hashes: those known already, of a server that looks often.

        Raises InvalidInput (FootageError for a video) where the plates are not there or do not fit the shot."""
        self._shot = shot
        self._path = shot.plate_path()
        self._keep = keep
        self._kept: OrderedDict[int, Plate] = OrderedDict()
        self._colour: PlateColour | None = None
        self._hashes = hashes or FileHashes()
        self._video_sha256 = ""
        self._lock = Lock()
        self._footage = shot_video(shot) if shot.info.plate.kind == "video" else None

    def __enter__(self) -> ShotPlates:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the footage and of what is kept."""
        self._kept.clear()
        if self._footage is not None:
            self._footage.close()

    def plate(self, frame: int) -> Plate:
        """The plate of a frame number. Raises InvalidInput outside the shot, and where it cannot be read."""
        index = self._shot.index(frame)
        with self._lock:
            if frame in self._kept:
                self._kept.move_to_end(frame)
                return self._kept[frame]
            plate = self._checked(self._read(frame, index))
            self._colour = plate.colour
            self._kept[frame] = plate
            while len(self._kept) > self._keep:
                self._kept.popitem(last=False)
            return plate

    @property
    def colour(self) -> PlateColour:
        """The colour space of the shot's plates, which is one for all."""
        if self._colour is None:
            self.plate(self._shot.info.first_frame)
        assert self._colour is not None
        return self._colour

    def net(self, frame: int) -> np.ndarray:
        """As `Plate.net`, by frame number: what renderers ask for."""
        return self.plate(frame).net()

    def sha256(self, frame: int) -> str:
        """Hash of what this frame is read from: its file's bytes, or the whole video's and the shot's place in it."""
        self._shot.index(frame)
        if self._footage is None:
            return self._hashes.sha256(sequence_file(self._path, frame))
        if not self._video_sha256:  # one file for all frames: looked at once
            start = self._shot.info.plate.start
            self._video_sha256 = self._hashes.sha256(self._path) + (f"+{start}" if start else "")
        return self._video_sha256

    def missing(self, frames: tuple[int, ...]) -> tuple[int, ...]:
        """Which of these frames have no file; a video has them all."""
        if self._footage is not None:
            return ()
        return tuple(frame for frame in frames if not sequence_file(self._path, frame).exists())

    def _read(self, frame: int, index: int) -> Plate:
        if self._footage is not None:
            picture = self._footage.frame(index)
            colour = PlateColour.named(self._shot.info.plate.colour_space or VIDEO)
            return self._plate(frame, index, values_of(picture, 8), colour)
        path = sequence_file(self._path, frame)
        if path.suffix.lower() == ".exr":
            return self._read_exr(frame, index, path)
        rgb, alpha = read_picture(path)
        colour = PlateColour.named(self._shot.info.plate.colour_space or PICTURE)
        return self._plate(frame, index, rgb, colour, alpha)

    def _plate(
        self, frame: int, index: int, rgb: np.ndarray, colour: PlateColour, alpha: np.ndarray | None = None
    ) -> Plate:
        attributes = {**self._time(index), **colour.attributes(), "pixelAspectRatio": self._shot.info.pixel_aspect}
        return Plate(frame, rgb, colour, Windows.of_size(*rgb.shape[:2]), alpha, attributes)

    def _read_exr(self, frame: int, index: int, path: Path) -> Plate:
        exr = read_exr(path)
        first = exr.parts[0]
        stated = self._shot.info.plate.colour_space
        colour = PlateColour.of_exr(exr.attributes, stated)
        named = colour.attributes()
        attributes = {**self._time(index), **named, **exr.attributes, **(named if stated else {})}
        return Plate(frame, first.rgb(), colour, exr.windows, first.channels.get("A"), attributes)

    def _time(self, index: int) -> dict[str, Any]:
        info = self._shot.info
        attributes: dict[str, Any] = {"framesPerSecond": rate_attribute(info.rate.num, info.rate.den)}
        if info.timecode:
            hours, minutes, seconds, frame, drop = advanced(info.timecode, index, info.rate.fps)
            attributes["timeCode"] = time_code(hours, minutes, seconds, frame, drop_frame=drop)
        return attributes

    def _checked(self, plate: Plate) -> Plate:
        left, top, right, bottom = plate.windows.display
        size, wanted = (right - left + 1, bottom - top + 1), (self._shot.info.width, self._shot.info.height)
        if size != wanted:
            raise InvalidInput(
                f"Plate {plate.frame} is {size[0]}x{size[1]}, shot {self._shot.info.name} was tracked at"
                f" {wanted[0]}x{wanted[1]}.",
                hint="Put the plates back that were tracked, or track the shot again.",
            )
        return plate


def shot_video(shot: Shot) -> Segment:
    """The stretch of the shot's video that is the shot, counted from its first frame.

    Raises FootageError where the video cannot be read, InvalidInput where it is too short.
    """
    footage = Footage.open(shot.plate_path())
    start, count = shot.info.plate.start, shot.info.frame_count
    if footage.count < start + count:
        raise InvalidInput(
            f"{footage.path.name} has {footage.count} frames, shot {shot.info.name} has {count}"
            f"{f' from {start} on' if start else ''}.",
            hint="Put the footage back that was tracked, or track the shot again.",
        )
    return footage.segment(start, start + count)
