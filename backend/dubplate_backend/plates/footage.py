# SPDX-License-Identifier: Apache-2.0
"""Footage: the frames of a video file as RGB pictures, with their true presentation times.

The file is indexed once by its packets (no decoding), so the frame count, the presentation times and the keyframes are
known before a picture is drawn. A decoded frame is then held against that index: a picture that the decoder leaves out
or marks as damaged is named by an error and never papered over by its neighbour.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from threading import Lock

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from dubplate_shared.errors import FootageError
from dubplate_shared.shot import Rate

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
# Frame threading holds a picture for each thread: four keep 1080p under 30 MB and are as fast as the disk.
DECODE_THREADS = 4
# Forward jumps up to this many frames are decoded through; longer ones seek.
DECODE_THROUGH = 24
# Containers that store each frame's time, and so can be entered at a keyframe. In others (MPEG program and transport
# streams) times are guessed by the reader, differently after a jump: there decoding always begins at the start.
SEEKABLE_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
# Presentation gaps that differ by more than this share of the nominal frame time make the rate variable.
VARIABLE_RATE_SHARE = 0.02


@dataclass(frozen=True)
class FrameIndex:
    """What the packets of a video stream say, in presentation order."""

    ticks: tuple[int, ...]  # presentation time of each frame, in time_base units
    keyframes: tuple[int, ...]  # positions, in presentation order, at which decoding may begin
    time_base: Fraction  # seconds a tick


@dataclass(frozen=True)
class Stated:
    """What the container says about its pictures."""

    pixel_aspect: float
    timecode: str | None


class Footage:
    """The pictures of one video file. Memory does not grow with its length.

    `width`, `height`: pixels as displayed (rotation applied).   `count`: frames.   `rate`: nominal frames a second.
    `times`: (T,) float64 seconds after the first frame's presentation.   `start_s`: that first presentation on the
    file's own clock (what sound is lined up with).   `pixel_aspect`: width of a pixel over its height.
    `colour_space`: the YCbCr matrix that pictures are read with.   `variable_rate`: whether frame gaps differ.
    `timecode`: of the first frame, HH:MM:SS:FF (";" before the frames where it drops), or None.
    """

    def __init__(self, path: Path, index: FrameIndex, rate: Rate, first: av.VideoFrame, stated: Stated) -> None:
        self.path = path
        self.rate = rate
        self.pixel_aspect = stated.pixel_aspect
        self.timecode = stated.timecode
        self.colour_space = COLOUR_SPACE_NAMES[matrix_of(first)]
        ticks = np.array(index.ticks, dtype=np.int64)
        self.times = (ticks - ticks[0]).astype(np.float64) * float(index.time_base)
        self.start_s = float(index.ticks[0] * index.time_base)
        self.height, self.width = picture(first).shape[:2]
        self._index = index
        self._lock = Lock()
        self._container: av.container.InputContainer | None = None
        self._decoded: Iterator[tuple[int, av.VideoFrame]] | None = None
        self._next = 0  # the frame that self._decoded gives next

    @classmethod
    def open(cls, path: str | Path) -> Footage:
        """Index `path` and decode its first frame.

        Raises FootageError where the file is missing, is not a video, is truncated, or has no frame that decodes.
        """
        path = Path(path)
        if not path.is_file():
            raise FootageError(f"There is no footage at {path}.", hint="Check the path of the video file.")
        with opened(path) as container:
            if not container.streams.video:
                raise FootageError(f"{path.name} holds no video stream.", hint="Give a video file, not a sound file.")
            stream = container.streams.video[0]
            index = index_packets(container, stream, path)
            rate = stream.average_rate or stream.guessed_rate or stream.base_rate
            stated = Stated(float(stream.sample_aspect_ratio or 1) or 1.0, timecode_of(container))
        with opened(path) as container:
            first = next(decoded_frames(container, path), None)
        if first is None:
            raise FootageError(f"{path.name}: no frame could be decoded.", hint="Make the file again from its source.")
        if rate is None or rate <= 0:
            raise FootageError(f"{path.name} does not state a frame rate.", hint="Remux it with a frame rate.")
        return cls(path, index, Rate(rate.numerator, rate.denominator), first, stated)

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

    def frame(self, index: int) -> np.ndarray:
        """Picture `index` (0-based), uint8 [H, W, 3] RGB: the same bits as iteration gives.

        Raises IndexError outside 0..count-1, and FootageError where the frame cannot be decoded.
        """
        if not 0 <= index < self.count:
            raise IndexError(f"{self.path.name} has frames 0 to {self.count - 1}, not {index}.")
        with self._lock:
            if self._decoded is None or not self._next <= index <= self._next + DECODE_THROUGH:
                self._close()
                self._container = open_container(self.path)
                self._decoded = self._decode(self._container, index)
            try:
                for here, frame in self._decoded:
                    self._next = here + 1
                    if here == index:
                        return picture(frame)
            except FootageError:
                self._close()
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
                    yield picture(frame)
                if here == stop - 1:
                    return

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
        if self._container is not None:
            self._container.close()
        self._container = self._decoded = None

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


def open_container(path: Path) -> av.container.InputContainer:
    """Open a media file. Raises FootageError where it is not one, or where its index is cut off."""
    try:
        return av.open(os.fspath(path), mode="r", metadata_errors="replace")
    except av.error.InvalidDataError as error:
        raise FootageError(
            f"{path.name} is not a video, or it is truncated ({error.strerror}).",
            hint="Check that the file plays to its end; copy or export it again.",
        ) from error
    except (av.error.FFmpegError, OSError) as error:
        raise FootageError(
            f"{path.name} cannot be read: {error}.", hint="Check the file and its permissions."
        ) from error


@contextmanager
def opened(path: Path) -> Iterator[av.container.InputContainer]:
    """As open_container, closed at the end."""
    container = open_container(path)
    try:
        yield container
    finally:
        container.close()


def decoded_frames(container: av.container.InputContainer, path: Path) -> Iterator[av.VideoFrame]:
    """Frames of the first video stream in presentation order. A packet that the decoder refuses is left out: the gap
    in the times names its frame. Raises FootageError where the file cannot be read on, or the picture changes size."""
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = min(DECODE_THREADS, os.cpu_count() or 1)
    size = None
    try:
        for packet in container.demux(stream):
            for frame in decoded_packet(packet):
                size = size or (frame.width, frame.height)
                if (frame.width, frame.height) != size:
                    raise FootageError(
                        f"{path.name}: the picture changes from {size[0]}x{size[1]} to {frame.width}x{frame.height}.",
                        hint="Cut the file where its size changes, or export it in one size.",
                    )
                yield frame
    except av.error.FFmpegError as error:
        raise FootageError(
            f"{path.name}: reading stops with: {error.strerror}.",
            hint="The file is damaged. Copy or export it again from its source.",
        ) from error


def decoded_packet(packet: av.Packet) -> list[av.VideoFrame]:
    """The frames that a packet completes; none where its data is invalid."""
    try:
        return packet.decode()
    except av.error.InvalidDataError:
        return []


def index_packets(container: av.container.InputContainer, stream: av.VideoStream, path: Path) -> FrameIndex:
    """Read the packets' times. Raises FootageError where the file ends before its index does, or holds no frame."""
    entries: list[tuple[int | None, bool]] = []
    whole, cut = True, False
    try:
        for packet in container.demux(stream):
            cut |= packet.is_discard  # an edit list hides what is needed only to begin decoding
            if packet.size and not packet.is_discard:
                entries.append((packet.pts, packet.is_keyframe))
                whole &= not packet.is_corrupt
    except av.error.FFmpegError as error:
        raise FootageError(
            f"{path.name} breaks off after {len(entries)} frames: {error.strerror}.",
            hint="The file is truncated. Copy or export it again from its source.",
        ) from error
    if not entries:
        raise FootageError(f"{path.name} holds no video frames.", hint="Make the file again from its source.")
    announced = 0 if cut else stream.frames
    if not whole or len(entries) < announced:
        raise FootageError(
            f"{path.name} is truncated: {max(announced, len(entries))} frames are announced and "
            f"{len(entries) if whole else len(entries) - 1} are there.",
            hint="Copy or export the file again from its source.",
        )
    if any(ticks is None for ticks, _ in entries):
        entries = decoded_times(path)
    entries.sort()
    first_key = next((i for i, (_, key) in enumerate(entries) if key), 0)
    if not cut:
        entries = entries[first_key:]  # pictures before the first keyframe lean on frames that are not in the file
    ticks = tuple(ticks for ticks, _ in entries)
    if len(set(ticks)) != len(ticks):
        raise FootageError(
            f"{path.name}: two frames are shown at the same time.",
            hint="Remux the file so that every frame has its time.",
        )
    keyframes = tuple(i for i, (_, key) in enumerate(entries) if key) or (0,)
    return FrameIndex(ticks=ticks, keyframes=keyframes, time_base=stream.time_base)


def decoded_times(path: Path) -> list[tuple[int, bool]]:
    """Times by decoding everything: for streams whose packets carry none (raw and some transport streams)."""
    with opened(path) as container:
        frames = [(frame.pts, frame.key_frame) for frame in decoded_frames(container, path)]
    if not frames or any(ticks is None for ticks, _ in frames):
        raise FootageError(f"{path.name} carries no presentation times.", hint="Remux it into MP4 or MOV.")
    return frames


def decode_from(
    container: av.container.InputContainer, index: FrameIndex, frame: int, path: Path
) -> tuple[int, Iterator[av.VideoFrame]]:
    """Seek to the last keyframe that is not after `frame`. Returns the position at which decoding begins, and frames
    from there on (perhaps with earlier ones in front)."""
    begin = max((key for key in index.keyframes if key <= frame), default=0)
    if begin == 0 or container.format.name not in SEEKABLE_FORMATS:
        return 0, decoded_frames(container, path)
    stream = container.streams.video[0]
    container.seek(index.ticks[begin], stream=stream, backward=True)
    frames = decoded_frames(container, path)
    first = next(frames, None)
    if first is not None and first.pts is not None and first.pts <= index.ticks[begin]:
        return begin, chain((first,), frames)
    container.seek(index.ticks[0], stream=stream, backward=True)  # landed late, by a file's wrong index
    return 0, decoded_frames(container, path)
