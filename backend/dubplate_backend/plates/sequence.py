# SPDX-License-Identifier: Apache-2.0
"""An image sequence as footage: pictures to look at by index, with the times that its rate gives."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dubplate_backend.plates.colour import PlateColour
from dubplate_backend.plates.display import to_display
from dubplate_backend.plates.exr import Exr, read_exr
from dubplate_backend.plates.picture_file import read_facts, read_picture
from dubplate_backend.plates.segment import Segment
from dubplate_backend.plates.sequence_files import SequenceFiles, find_sequence
from dubplate_backend.plates.time_code import fits
from dubplate_shared.errors import FootageError
from dubplate_shared.shot import PlateSource, Rate


class Sequence:
    """The pictures of one sequence, one in memory at a time. Attributes as `plates.footage.Footage` has them.

    `colour_space`: by the Color Interop Forum's name, "cineon", or empty where EXR files name none.
    `first_frame`: the first file's number, which is the shot's first frame too.
    """

    start_s = 0.0
    seconds = None
    fields = False
    variable_rate = False

    def __init__(
        self, files: SequenceFiles, rate: Rate, colour: PlateColour, timecode: str | None, pixel_aspect: float
    ) -> None:
        self.path = files.pattern
        self.rate = rate
        self.colour_space = colour.interop_id
        self.timecode = timecode
        self.pixel_aspect = pixel_aspect
        self.first_frame = files.first
        self.count = files.count
        self.times = np.arange(files.count) * (rate.den / rate.num)
        self._files = files
        self._colour = colour
        self.height, self.width = self._read(0).shape[:2]

    @classmethod
    def open(cls, path: str | Path, *, rate: Rate | None = None, colour_space: str | None = None) -> Sequence:
        """Look at the names of all files and into the first.

        Raises FootageError where files are missing or unreadable, or where rate or colour are neither told nor in the
        file; InvalidInput for a colour space that is not known.
        """
        files = find_sequence(Path(path))
        first = files.path(files.first)
        facts = read_facts(first)
        if rate is None and facts.rate is None:
            raise FootageError(
                f"{files.pattern.name} does not say its frame rate.", hint="Say it, as in --fps 24 or --fps 24000/1001."
            )
        if first.suffix.lower() == ".exr":
            colour = PlateColour.chosen(colour_space) if colour_space else PlateColour.of_exr({}, facts.colour_space)
        elif colour_space or facts.colour_space:
            colour = PlateColour.chosen(colour_space or facts.colour_space)
        else:
            raise FootageError(
                f"{files.pattern.name} does not say what its values mean.",
                hint="Say it: --colour-space cineon for film log, rec709 for video, linear for light.",
            )
        rate = rate or Rate(facts.rate.numerator, facts.rate.denominator)
        timecode = facts.timecode if facts.timecode and fits(facts.timecode, rate.fps) else None
        return cls(files, rate, colour, timecode, facts.pixel_aspect)

    @property
    def plate(self) -> PlateSource:
        """What a shot stores of it."""
        return PlateSource("sequence", os.path.abspath(self.path), self.colour_space)

    def frame(self, index: int) -> np.ndarray:
        """Picture `index` (0-based) to look at, uint8 [H, W, 3].

        Raises IndexError outside 0..count-1, and InvalidInput where the file cannot be read or has another size.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"{self.path.name} has frames 0 to {self.count - 1}, not {index}.")
        picture = self._read(index)
        if picture.shape[:2] != (self.height, self.width):
            raise FootageError(
                f"{self._files.path(self.first_frame + index).name} is {picture.shape[1]}x{picture.shape[0]}, the"
                f" first frame {self.width}x{self.height}.",
                hint="Write all frames of the sequence in one size.",
            )
        return picture

    def iter(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """Pictures start..stop-1, each uint8 [H, W, 3]."""
        for index in range(start, self.count if stop is None else min(stop, self.count)):
            yield self.frame(index)

    def segment(self, start: int, stop: int) -> Segment:
        """Frames start..stop-1 as footage of their own."""
        return Segment(self, start, stop)

    def __iter__(self) -> Iterator[np.ndarray]:
        return self.iter()

    def __len__(self) -> int:
        return self.count

    def close(self) -> None:
        """Nothing is held open between frames."""

    def __enter__(self) -> Sequence:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, index: int) -> np.ndarray:
        path = self._files.path(self._files.first + index)
        if path.suffix.lower() == ".exr":
            exr = read_exr(path)
            seen = in_display_window(exr, exr.parts[0].rgb())
            return to_display(seen, self._colour, exr.attributes.get("chromaticities"))
        return to_display(read_picture(path)[0], self._colour)


def in_display_window(exr: Exr, rgb: np.ndarray) -> np.ndarray:
    """[H, W, 3] of the display window: overscan cut off, black where the data window has nothing."""
    left, top, right, bottom = exr.windows.display
    if exr.windows.data == exr.windows.display:
        return rgb
    x, y = exr.windows.origin
    whole = np.zeros((bottom - top + 1, right - left + 1, 3), rgb.dtype)
    rows = slice(max(y, 0), min(y + rgb.shape[0], whole.shape[0]))
    columns = slice(max(x, 0), min(x + rgb.shape[1], whole.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        whole[rows, columns] = rgb[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
    return whole
