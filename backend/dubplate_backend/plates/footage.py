# SPDX-License-Identifier: Apache-2.0
"""Footage: frames as RGB pictures to look at, with their true presentation times, from a video or a sequence.

A video file is indexed once by its packets (no decoding), so the frame count, the presentation times and the keyframes
are known before a picture is drawn. A decoded frame is then held against that index: a picture that the decoder leaves
out or marks as damaged is named by an error and never papered over by its neighbour.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from dubplate_backend.plates.colour import PlateColour
from dubplate_backend.plates.display import to_display
from dubplate_backend.plates.rates import standard_rate
from dubplate_backend.plates.segment import Segment
from dubplate_backend.plates.sequence import Sequence
from dubplate_backend.plates.sequence_files import is_sequence
from dubplate_backend.plates.video_stream import (
    FrameIndex,
    decode_from,
    decoded_frames,
    index_packets,
    open_container,
    opened,
)
from dubplate_shared.errors import FootageError, InvalidInput
from dubplate_shared.shot import PlateSource, Rate

# ITU-T H.273: matrix coefficients 2 are "unspecified". By long custom such footage is BT.601 in standard definition and
# BT.709 from 720 lines (or 1280 columns) on.
UNSPECIFIED_MATRIX = 2
HIGH_DEFINITION_LINES = 720
HIGH_DEFINITION_COLUMNS = 1280
# ITU-T H.273, table 4, written as the swscale matrices that hold the same coefficients.
MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
COLOUR_SPACE_NAMES = {
    Colorspace.ITU709: "bt709",
    Colorspace.FCC: "fcc",
    Colorspace.ITU601: "bt601",
    Colorspace.SMPTE240M: "smpte240m",
    Colorspace.BT2020: "bt2020",
}
# Chroma is interpolated bicubically at full resolution, rounded exactly, with the same bits on every instruction set.
CONVERSION = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
# Forward jumps up to this many frames beyond what a fresh start would decode are decoded through.
DECODE_THROUGH = 24
# Places at which `Footage.frame` decodes: a render goes forward while it fetches references from elsewhere, and one
# that starts afresh decodes from its keyframe on, which may lie hundreds of frames back.
PLACES = 2
PLACES_REMEMBERED = 16  # pictures by which it is told which place is going on
# Presentation gaps that differ by more than this share of the nominal frame time make the rate variable.
VARIABLE_RATE_SHARE = 0.02


# AVFieldOrder, FFmpeg's libavcodec/defs.h: 0 is unknown, 1 progressive, the others are orders of fields.
PROGRESSIVE = 1


def open_footage(path: str | Path, *, rate: Rate | None = None, colour_space: str | None = None) -> Footage | Sequence:
    """A video file, or an image sequence by its folder, its pattern (name.####.exr, name.%04d.dpx) or one frame of it.

    `rate`: of a sequence, where its files do not say it or are wrong.   `colour_space`: what the values mean, by a name
    of `plates.colour`, where the files do not say it or are wrong.
    Raises FootageError where there is no such footage or it is not whole, InvalidInput for a colour space that is not
    known.
    """
    path = Path(path)
    if is_sequence(path):
        return Sequence.open(path, rate=rate, colour_space=colour_space)
    footage = Footage.open(path, colour_space=colour_space)
    if rate is not None and rate.fraction != footage.rate.fraction:
        stated = f"{footage.rate.num}/{footage.rate.den}" if footage.rate.den > 1 else str(footage.rate.num)
        raise FootageError(
            f"{path.name} is a video of {stated} frames a second by its own clock.",
            hint="Leave out --fps, which is for image sequences, or write the video again at the rate that is wanted.",
        )
    return footage


def first_frame_of(footage: Footage | Sequence | Segment, wanted: int | None, usual: int) -> int:
    """The number of the shot's first frame: its file's in a sequence, else `wanted` or `usual`.

    Raises InvalidInput where a sequence's files have other numbers than are wanted.
    """
    if footage.first_frame is None:
        return usual if wanted is None else wanted
    if wanted not in (None, footage.first_frame):
        raise InvalidInput(
            f"The sequence begins with frame {footage.first_frame}, not {wanted}.",
            hint="Leave out --first-frame: a sequence's frames keep the numbers of their files.",
        )
    return footage.first_frame


@dataclass(frozen=True)
class Stated:
    """What the container says about its pictures.   fields: whether it calls them interlaced."""

    pixel_aspect: float
    timecode: str | None
    fields: bool


@dataclass(eq=False)
class _Place:
    """A decoder somewhere in the file.  frames: (position, frame) from there on.  next: the position that comes."""

    container: av.container.InputContainer
    frames: Iterator[tuple[int, av.VideoFrame]]
    next: int


class Footage:
    """The pictures of one video file. Memory does not grow with its length.

    `width`, `height`: pixels as displayed (rotation applied).   `count`: frames.   `rate`: nominal frames a second.
    `times`: (T,) float64 seconds after the first frame's presentation.   `start_s`: that first presentation on the
    file's own clock (what sound is lined up with).   `pixel_aspect`: width of a pixel over its height.
    `colour_space`: the YCbCr matrix that pictures are read with.   `variable_rate`: whether frame gaps differ.
    `timecode`: of the first frame, HH:MM:SS:FF (";" before the frames where it drops), or None.
    `fields`: whether the file calls its pictures interlaced.   `first_frame`: None; files of a sequence have numbers.
    `seconds`: None; the sound is as long as the file has it.
    """

    first_frame = None
    seconds = None

    def __init__(
        self,
        path: Path,
        index: FrameIndex,
        rate: Rate,
        first: av.VideoFrame,
        stated: Stated,
        colour: PlateColour | None = None,
    ) -> None:
        self.path = path
        self.rate = rate
        upright = round(first.rotation / 90) % 2 == 0
        self.pixel_aspect = stated.pixel_aspect if upright else 1 / stated.pixel_aspect
        self.timecode = stated.timecode
        self.fields = stated.fields
        self.colour_space = COLOUR_SPACE_NAMES[matrix_of(first)]
        ticks = np.array(index.ticks, dtype=np.int64)
        self.times = (ticks - ticks[0]).astype(np.float64) * float(index.time_base)
        self.start_s = float(index.ticks[0] * index.time_base)
        self.height, self.width = picture(first).shape[:2]
        self._index = index
        self._colour = colour
        self._lock = Lock()
        self._places: list[_Place] = []
        self._used: deque[_Place] = deque(maxlen=PLACES_REMEMBERED)

    @classmethod
    def open(cls, path: str | Path, *, colour_space: str | None = None) -> Footage:
        """Index `path` and decode its first frame.   `colour_space`: as `open_footage`.

        Raises FootageError where the file is missing, is not a video, is truncated, or has no frame that decodes.
        """
        path = Path(path)
        colour = PlateColour.chosen(colour_space) if colour_space else None
        if not path.is_file():
            raise FootageError(f"There is no footage at {path}.", hint="Check the path of the video file.")
        with opened(path) as container:
            if not container.streams.video:
                raise FootageError(f"{path.name} holds no video stream.", hint="Give a video file, not a sound file.")
            stream = container.streams.video[0]
            index = index_packets(container, stream, path)
            rate = stream.average_rate or stream.guessed_rate or stream.base_rate
            stated = Stated(
                pixel_aspect=float(stream.sample_aspect_ratio or 1) or 1.0,
                timecode=timecode_of(container),
                fields=stream.codec_context.field_order > PROGRESSIVE,
            )
        with opened(path) as container:
            first = next(decoded_frames(container, path), None)
        if first is None:
            raise FootageError(f"{path.name}: no frame could be decoded.", hint="Make the file again from its source.")
        if rate is None or rate <= 0:
            raise FootageError(f"{path.name} does not state a frame rate.", hint="Remux it with a frame rate.")
        rate = standard_rate(rate)
        return cls(path, index, Rate(rate.numerator, rate.denominator), first, stated, colour)

    @property
    def count(self) -> int:
        return len(self.times)

    @property
    def variable_rate(self) -> bool:
        gaps = np.diff(self.times)
        if len(gaps) == 0:
            return False
        usual = float(np.median(gaps))
        return bool(np.abs(gaps - usual).max() > VARIABLE_RATE_SHARE * usual + float(self._index.time_base))

    @property
    def plate(self) -> PlateSource:
        """What a shot stores of it."""
        colour = self._colour or PlateColour.named(self.colour_space)
        return PlateSource("video", os.path.abspath(self.path), colour.interop_id)

    def frame(self, index: int) -> np.ndarray:
        """Picture `index` (0-based), uint8 [H, W, 3] RGB: the same bits as iteration gives.

        Raises IndexError outside 0..count-1, and FootageError where the frame cannot be decoded.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"{self.path.name} has frames 0 to {self.count - 1}, not {index}.")
        with self._lock:
            place = self._place(index)
            self._used.append(place)
            try:
                for here, frame in place.frames:
                    place.next = here + 1
                    if here == index:
                        return self._shown(frame)
            except FootageError:
                self._leave(place)
                raise
        raise AssertionError("decoding ends with an error or at the frame asked for")

    def iter(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """Pictures start..stop-1 in presentation order, each uint8 [H, W, 3] RGB, one in memory at a time.

        Each iterator decodes by itself, so that several may run side by side.
        """
        stop = self.count if stop is None else min(stop, self.count)
        with opened(self.path) as container:
            for here, frame in self._decode(container, start) if start < stop else ():
                if here >= start:
                    yield self._shown(frame)
                if here == stop - 1:
                    return

    def segment(self, start: int, stop: int) -> Segment:
        """Frames start..stop-1 as footage of their own, with times from the first of them. Raises IndexError."""
        return Segment(self, start, stop)

    def __iter__(self) -> Iterator[np.ndarray]:
        return self.iter()

    def __len__(self) -> int:
        return self.count

    def close(self) -> None:
        """Let go of the file. It is opened again when the next frame is asked for."""
        with self._lock:
            self._close()

    def __enter__(self) -> Footage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _close(self) -> None:
        for place in tuple(self._places):
            self._leave(place)

    def _leave(self, place: _Place) -> None:
        place.container.close()
        self._places.remove(place)
        while place in self._used:  # a decoder's pictures are in memory for as long as anyone knows it
            self._used.remove(place)

    def _place(self, index: int) -> _Place:
        """Where the least has to be decoded to reach `index`: a place behind it, or a fresh one, which takes over that
        of two which gave fewer of the last pictures."""
        behind = [place for place in self._places if place.next <= index]
        nearest = max(behind, key=lambda place: place.next, default=None)
        keyframe = self._index.keyframe(index)
        if nearest is not None and index - nearest.next <= index - keyframe + DECODE_THROUGH:
            return nearest
        while len(self._places) >= PLACES:
            self._leave(min(self._places, key=self._used.count))
        container = open_container(self.path)
        fresh = _Place(container, self._decode(container, index), keyframe)
        self._places.append(fresh)
        return fresh

    def _decode(self, container: av.container.InputContainer, start: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """(position, frame) from the keyframe before `start` to the end. Raises FootageError at the first frame that
        the index announces and the decoder does not give whole."""
        expected, frames = decode_from(container, self._index, start, self.path)
        leading = True  # pictures that lean on the group before an open one come first; they are not asked for
        for frame in frames:
            wanted = self._index.ticks[expected] if expected < self.count else None
            if frame.pts is not None and (wanted is None or (leading and frame.pts < wanted)):
                continue
            leading = False
            if frame.is_corrupt:
                raise self._missing(expected, expected + 1, "damaged")
            if frame.pts != wanted:
                later = int(np.searchsorted(self._index.ticks, frame.pts)) if frame.pts is not None else 0
                raise self._missing(expected, max(later, expected + 1), "missing: the decoder left a gap")
            yield expected, frame
            expected += 1
        if expected < self.count:
            raise self._missing(expected, self.count, "missing: the picture stream ends early")

    def _shown(self, frame: av.VideoFrame) -> np.ndarray:
        rgb = picture(frame)
        return rgb if self._colour is None else to_display(rgb / np.float32(255), self._colour)

    def _missing(self, first: int, stop: int, what: str) -> FootageError:
        which = f"frame {first} is" if stop - first == 1 else f"frames {first} to {stop - 1} are"
        return FootageError(
            f"{self.path.name}: {which} {what} ({self.count} frames, counted from 0; {self.times[first]:.3f} s).",
            hint="The file is damaged there. Copy or export it again from its source.",
        )


def picture(frame: av.VideoFrame) -> np.ndarray:
    """A decoded frame as it is to be seen: uint8 [H, W, 3] RGB, full range, display rotation applied."""
    source_range = frame.color_range if frame.color_range in (1, 2) else range_by_format(frame.format.name)
    rgb = frame.reformat(
        format="rgb24",
        src_colorspace=matrix_of(frame),
        dst_colorspace=matrix_of(frame),
        src_color_range=source_range,
        dst_color_range=ColorRange.JPEG,
        interpolation=CONVERSION,
        threads=1,
    ).to_ndarray()
    quarter_turns = round(frame.rotation / 90) % 4  # the display matrix turns anticlockwise, as np.rot90 does
    return np.ascontiguousarray(np.rot90(rgb, quarter_turns))


def matrix_of(frame: av.VideoFrame) -> Colorspace:
    """The YCbCr matrix of a frame, by its tag, or by its size where it has none."""
    if frame.colorspace in MATRICES:
        return MATRICES[frame.colorspace]
    long, short = max(frame.width, frame.height), min(frame.width, frame.height)
    high = long >= HIGH_DEFINITION_COLUMNS or short >= HIGH_DEFINITION_LINES
    return Colorspace.ITU709 if high else Colorspace.ITU601


def timecode_of(container: av.container.InputContainer) -> str | None:
    """The timecode of the first frame, as the file or any of its streams carries it."""
    for metadata in (container.metadata, *(stream.metadata for stream in container.streams)):
        if "timecode" in metadata:
            return metadata["timecode"]
    return None


def range_by_format(name: str) -> ColorRange:
    """Untagged pictures use the narrow range, except RGB and the old full-range yuvj formats."""
    full = name.startswith(("yuvj", "rgb", "bgr", "gbr", "gray", "argb", "abgr", "pal8"))
    return ColorRange.JPEG if full else ColorRange.MPEG
