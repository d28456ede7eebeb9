# SPDX-License-Identifier: Apache-2.0
"""Sound files and the sound of videos, decoded to float samples and written as WAV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import av
import numpy as np
import soundfile

from dubplate_shared.errors import FootageError
from dubplate_shared.files import atomic_path

# A hole between two blocks of sound up to this long is rounding in the container's clock and not a pause.
CLOCK_ROUNDING_S = 0.002


@dataclass(frozen=True)
class SoundBlock:
    """Some consecutive samples. `samples`: float32 [channels, N] in -1..1, one channel or two.   `rate`: per second."""

    samples: np.ndarray
    rate: int

    @property
    def layout(self) -> str:
        return "mono" if self.samples.shape[0] == 1 else "stereo"

    def with_samples(self, samples: np.ndarray) -> SoundBlock:
        return replace(self, samples=samples)


def decode_sound(path: Path | str, *, start_s: float | None = None) -> Iterator[SoundBlock]:
    """Blocks of the first sound stream, in flat memory; more than two channels are folded to stereo.

    `start_s`: the time, on the file's own clock, of the first sample that is given; earlier sound is dropped, and where
    sound begins later silence comes first. None: begin with the first sample there is. Holes in the stream are filled
    with silence, so that the sound stays in step with the pictures.
    Raises FootageError where the file is not one, has no sound, or is broken.
    """
    path = Path(path)
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.audio:
                raise FootageError(f"{path.name} holds no sound.", hint="Give a file with sound, or go on without.")
            stream = container.streams.audio[0]
            if stream.codec_context is None or not stream.rate:
                raise FootageError(
                    f"The sound of {path.name} is of a kind that cannot be decoded.", hint="Check that the file plays."
                )
            layout = "mono" if stream.channels == 1 else "stereo"
            resampler = av.AudioResampler(format="fltp", layout=layout, rate=stream.rate)
            clock = start_s  # time of the next sample
            nothing = True
            for frame in container.decode(stream):
                at = float(frame.time) if frame.pts is not None else clock
                for converted in resampler.resample(frame):
                    samples = converted.to_ndarray().astype(np.float32, copy=False)
                    clock = at if clock is None else clock
                    samples = in_step(samples, stream.rate, behind_s=(clock if at is None else at) - clock)
                    if samples.shape[1]:
                        nothing = False
                        clock += samples.shape[1] / stream.rate
                        yield SoundBlock(samples=samples, rate=stream.rate)
                    at = clock
            if nothing:
                raise FootageError(f"{path.name} holds an empty sound stream.", hint="Give a file with sound.")
    except (av.error.FFmpegError, OSError) as error:
        raise FootageError(
            f"The sound of {path.name} cannot be read: {error}.", hint="Check that the file plays."
        ) from error


def in_step(samples: np.ndarray, rate: int, *, behind_s: float) -> np.ndarray:
    """[channels, N] with silence put before it (where it comes late) or its head cut off (where it comes early)."""
    if abs(behind_s) <= CLOCK_ROUNDING_S:
        return samples
    shift = round(behind_s * rate)
    if shift < 0:
        return samples[:, -shift:]
    return np.concatenate([np.zeros((samples.shape[0], shift), np.float32), samples], axis=1)


def audio(path: Path | str, *, start_s: float | None = None) -> tuple[np.ndarray, int]:
    """The sound of a file as (float32 [N] mono in -1..1, samples a second); channels are averaged.

    `start_s` and errors as decode_sound.
    """
    blocks = list(decode_sound(path, start_s=start_s))
    return np.concatenate([block.samples.mean(axis=0) for block in blocks]).astype(np.float32), blocks[0].rate


def write_wav(path: Path | str, samples: np.ndarray, rate: int) -> None:
    """Write float samples, [N] mono or [channels, N], as 24-bit WAV. The file appears whole or not at all."""
    with atomic_path(path) as temporary:
        soundfile.write(temporary, np.atleast_2d(samples).T, rate, subtype="PCM_24", format="WAV")


def extract_wav(
    source: Path | str, path: Path | str, *, start_s: float | None = None, seconds: float | None = None
) -> float:
    """Copy the sound of `source` to a 24-bit WAV with its channels and rate, in flat memory. Returns its seconds.

    `start_s` and errors as decode_sound; OutputNotWritable where the disk is full.   `seconds`: copy no more than that.
    """
    blocks = decode_sound(source, start_s=start_s)
    first = next(blocks)
    left = None if seconds is None else round(seconds * first.rate)
    with (
        atomic_path(path) as temporary,
        soundfile.SoundFile(
            temporary, "w", samplerate=first.rate, channels=first.samples.shape[0], subtype="PCM_24", format="WAV"
        ) as file,
    ):
        for block in chain((first,), blocks):
            file.write(block.samples[:, :left].T)
            if left is not None:
                left = max(0, left - block.samples.shape[1])
                if left == 0:
                    break
        return file.frames / first.rate


def has_sound(path: Path | str) -> bool:
    """Whether a media file has a sound stream. Raises FootageError where it is not a media file."""
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            return bool(container.streams.audio)
    except (av.error.FFmpegError, OSError) as error:
        raise FootageError(f"{Path(path).name} cannot be read: {error}.", hint="Check that the file plays.") from error
