# SPDX-License-Identifier: Apache-2.0
"""The video stream of a media file: its packets' index, and its frames from any place on."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av

from dubplate_shared.errors import FootageError

# Frame threading holds a picture for each thread: four keep 1080p under 30 MB and are as fast as the disk.
DECODE_THREADS = 4
# Containers that store each frame's time, and so can be entered at a keyframe. In others (MPEG program and transport
# streams) times are guessed by the reader, differently after a jump: there decoding always begins at the start.
SEEKABLE_FORMATS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")


@dataclass(frozen=True)
class FrameIndex:
    """What the packets of a video stream say, in presentation order."""

    ticks: tuple[int, ...]  # presentation time of each frame, in time_base units
    keyframes: tuple[int, ...]  # positions, in presentation order, at which decoding may begin
    time_base: Fraction  # seconds a tick

    def keyframe(self, frame: int) -> int:
        """The last position that is not after `frame` at which decoding may begin; 0 where there is none."""
        behind = bisect_right(self.keyframes, frame)
        return self.keyframes[behind - 1] if behind else 0


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
    seekable = container.format.name in SEEKABLE_FORMATS
    keyframes = tuple(i for i, (_, key) in enumerate(entries) if key and seekable) or (0,)
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
    begin = index.keyframe(frame)
    if begin == 0:
        return 0, decoded_frames(container, path)
    stream = container.streams.video[0]
    container.seek(index.ticks[begin], stream=stream, backward=True)
    frames = decoded_frames(container, path)
    first = next(frames, None)
    if first is not None and first.pts is not None and first.pts <= index.ticks[begin]:
        return begin, chain((first,), frames)
    container.seek(index.ticks[0], stream=stream, backward=True)  # landed late, by a file's wrong index
    return 0, decoded_frames(container, path)
