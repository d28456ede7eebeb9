# SPDX-License-Identifier: Apache-2.0
"""Movies for looking at: H.264 in MP4, 4:2:0, converted and tagged as BT.709, with sound where there is some."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation

from dubplate_backend.speech.sound import decode_sound
from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import atomic_path
from dubplate_shared.shot import Rate

# x264's scale: 18 is taken for visually lossless (x264's own documentation).
QUALITY = 18
SOUND_BITS_PER_SECOND = 192_000
CONVERSION = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP | Interpolation.BITEXACT


def write_movie(
    path: Path | str,
    frames: Iterable[np.ndarray],
    rate: Rate,
    audio: Path | str | None = None,
    *,
    quality: int = QUALITY,
    speed: str = "medium",
) -> int:
    """Write `frames`, each uint8 [H, W, 3] RGB and of one size, at `rate`. Returns how many were written.

    `audio`: a file with sound that starts with the first frame; it is cut where the pictures end.
    `quality`: x264's constant rate factor, lower is better.   `speed`: x264's preset.
    An odd width or height is filled up by repeating the last column or row, as 4:2:0 has even sizes only.
    The file appears whole or not at all. Raises InvalidInput without frames or where sizes differ, FootageError for
    broken sound, OutputNotWritable where the disk is full.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise InvalidInput(
            f"There are no frames for {Path(path).name}.", hint="Choose a frame range that is not empty."
        )
    with atomic_path(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=Fraction(rate.num, rate.den))
        height, width = first.shape[:2]
        video.width, video.height = width + width % 2, height + height % 2
        video.pix_fmt = "yuv420p"
        video.options = {
            "crf": str(quality),
            "preset": speed,
            "x264-params": "colorprim=bt709:transfer=bt709:colormatrix=bt709",
        }
        tag_bt709(video.codec_context)
        sound = SoundTrack(container, Path(audio)) if audio is not None else None
        count = 0
        for rgb in chain((first,), frames):
            if rgb.shape != first.shape:
                raise InvalidInput(
                    f"Frame {count} is {rgb.shape}, the first one {first.shape}.", hint="Give frames of one size."
                )
            frame = to_bt709(rgb)
            frame.pts, frame.time_base = count, Fraction(rate.den, rate.num)
            container.mux(video.encode(frame))
            count += 1
            if sound is not None:
                sound.write_until(Fraction(count * rate.den, rate.num))
        container.mux(video.encode(None))
        if sound is not None:
            sound.finish()
    return count


def to_bt709(rgb: np.ndarray) -> av.VideoFrame:
    """uint8 [H, W, 3] full-range RGB as a narrow-range BT.709 4:2:0 frame of even size, tagged as such."""
    height, width = rgb.shape[:2]
    even = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        dst_color_trc=ColorTrc.BT709,
        dst_color_primaries=ColorPrimaries.BT709,
        interpolation=CONVERSION,
        threads=1,
    )


def tag_bt709(codec: av.VideoCodecContext) -> None:
    """State in the stream what `to_bt709` does to its pictures."""
    codec.colorspace = Colorspace.ITU709
    codec.color_range = ColorRange.MPEG
    codec.color_primaries = ColorPrimaries.BT709
    codec.color_trc = ColorTrc.BT709


class SoundTrack:
    """The AAC stream of a movie, fed in step with its pictures so that neither waits for the other in memory."""

    def __init__(self, container: av.container.OutputContainer, audio: Path) -> None:
        self._blocks = decode_sound(audio)
        first = next(self._blocks)
        self._blocks = chain((first,), self._blocks)
        self._rate = first.rate
        self._container = container
        self._stream = container.add_stream("aac", rate=first.rate, layout=first.layout)
        self._stream.bit_rate = SOUND_BITS_PER_SECOND
        self._fifo = av.AudioFifo()
        self._written = 0  # samples

    def write_until(self, seconds: Fraction) -> None:
        """Encode the sound up to `seconds` after the start, as far as there is some."""
        wanted = int(seconds * self._rate)
        while self._written < wanted:
            block = next(self._blocks, None)
            if block is None:
                return
            samples = block.samples[:, : wanted - self._written]
            rest = block.samples[:, wanted - self._written :]
            if rest.shape[1]:
                self._blocks = chain((block.with_samples(rest),), self._blocks)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=block.layout)
            frame.sample_rate = self._rate
            frame.pts, frame.time_base = self._written, Fraction(1, self._rate)
            self._written += samples.shape[1]
            self._fifo.write(frame)
            self._encode(self._fifo.read_many(self._stream.codec_context.frame_size or 1024))

    def finish(self) -> None:
        """Flush what is left."""
        rest = self._fifo.read(0, partial=True)
        self._encode([rest] if rest is not None else [])
        self._container.mux(self._stream.encode(None))

    def _encode(self, frames: list[av.AudioFrame]) -> None:
        for frame in frames:
            self._container.mux(self._stream.encode(frame))
