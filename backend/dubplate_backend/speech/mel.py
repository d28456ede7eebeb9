# SPDX-License-Identifier: Apache-2.0
"""Mel spectrogram of speech as Wav2Lip, StyleSync and Dubbing for Everyone hear it, and windows of it at any fps.

16 kHz, pre-emphasis, 50 ms windows every 12.5 ms, 80 mel bands, decibels normalised to +-4: 80 columns a second.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from dubplate_shared.errors import InvalidInput

Array = npt.NDArray[Any]

SAMPLE_RATE = 16_000  # Hz
PRE_EMPHASIS = 0.97
FFT_SAMPLES = WINDOW_SAMPLES = 800  # 50 ms
HOP_SAMPLES = 200  # 12.5 ms
BANDS = 80
LOWEST_HZ, HIGHEST_HZ = 55.0, 7600.0
REFERENCE_DB = 20.0
FLOOR_DB = -100.0
LIMIT = 4.0  # symmetric normalisation
AMPLITUDE_FLOOR = 1e-5  # 10 ** (FLOOR_DB / 20): keeps digital silence finite
COLUMNS_PER_SECOND = SAMPLE_RATE / HOP_SAMPLES  # 80
WINDOW_COLUMNS = 16  # 200 ms, five frames at 25 fps
_AT_ONCE = 4096  # columns: 26 MB
_LINEAR_HZ = 200.0 / 3  # of a mel, below the break
_BREAK_HZ = 1000.0
_BREAK = _BREAK_HZ / _LINEAR_HZ
_LOG_STEP = np.log(6.4) / 27.0  # of a mel, above the break


def mel(audio: Array, rate: int) -> npt.NDArray[np.float32]:
    """Normalised mel spectrogram of mono `audio`.

    audio: [N] floats in -1..1 at `rate` Hz.  Returns float32 [80, 1 + N' // 200], N' samples at 16 kHz; silence is -4.
    Raises InvalidInput where the audio is not mono or holds NaN or infinity.
    """
    if audio.ndim != 1:
        raise InvalidInput("The voice must be mono.", hint="Mix its channels down first.")
    if not np.isfinite(audio).all():
        raise InvalidInput("The voice holds NaN or infinite samples.", hint="Export it again.")
    samples = np.asarray(audio, np.float32)
    if rate != SAMPLE_RATE:
        length = math.ceil(samples.size * (SAMPLE_RATE / rate))
        samples = _of_length(soxr.resample(samples, rate, SAMPLE_RATE, quality="HQ"), length)
    if samples.size < FFT_SAMPLES:  # a click shorter than one window: silence follows it
        samples = _of_length(samples, FFT_SAMPLES)
    emphasised = np.append(samples[:1], samples[1:] - PRE_EMPHASIS * samples[:-1])
    decibels = 20.0 * np.log10(np.maximum(mel_bank() @ _spectrum(emphasised), AMPLITUDE_FLOOR)) - REFERENCE_DB
    normalised = 2.0 * LIMIT * (decibels - FLOOR_DB) / -FLOOR_DB - LIMIT
    return np.clip(normalised, -LIMIT, LIMIT).astype(np.float32)


@cache
def mel_bank() -> npt.NDArray[np.float32]:
    """[80, 401]: the share of each frequency in each band; triangles on Slaney's mel scale, all of one area."""
    edges = _hertz(np.linspace(_mels(LOWEST_HZ), _mels(HIGHEST_HZ), BANDS + 2))
    away = np.subtract.outer(edges, np.fft.rfftfreq(FFT_SAMPLES, 1 / SAMPLE_RATE))  # [82, 401]
    widths = np.diff(edges)[:, None]
    bank = np.maximum(0.0, np.minimum(-away[:-2] / widths[:-1], away[2:] / widths[1:])).astype(np.float32)
    return (bank * (2.0 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def mel_window(spectrogram: Array, time_s: float) -> npt.NDArray[np.float32]:
    """The 200 ms of `spectrogram` centred on `time_s`, silence beyond its ends.

    spectrogram: [80, N] of `mel`.  time_s: the middle of what the window's centre frame shows, seconds from the
    audio's start.  Returns float32 [80, 16].
    """
    start = round(time_s * COLUMNS_PER_SECOND) - WINDOW_COLUMNS // 2
    window = np.full((BANDS, WINDOW_COLUMNS), -LIMIT, np.float32)
    first, last = max(start, 0), min(start + WINDOW_COLUMNS, spectrogram.shape[1])
    if first < last:
        window[:, first - start : last - start] = spectrogram[:, first:last]
    return window


def _of_length(samples: Array, length: int) -> Array:
    return np.pad(samples[:length], (0, max(0, length - samples.size)))


def _spectrum(samples: Array) -> npt.NDArray[np.float32]:
    """[401, 1 + N // 200]: magnitudes in Hann windows centred on every 200th of `samples`, with silence around them."""
    padded = np.pad(samples, FFT_SAMPLES // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, FFT_SAMPLES)[::HOP_SAMPLES]
    hann = 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, FFT_SAMPLES + 1)[:-1])
    found = np.empty((len(windows), FFT_SAMPLES // 2 + 1), np.complex64)
    for start in range(0, len(windows), _AT_ONCE):
        found[start : start + _AT_ONCE] = np.fft.rfft(windows[start : start + _AT_ONCE] * hann)
    return np.abs(found).T


def _mels(hertz: float) -> float:
    """Slaney's scale: in proportion up to 1 kHz, logarithmic above."""
    return hertz / _LINEAR_HZ if hertz < _BREAK_HZ else _BREAK + np.log(hertz / _BREAK_HZ) / _LOG_STEP


def _hertz(mels: Array) -> Array:
    return np.where(mels < _BREAK, mels * _LINEAR_HZ, _BREAK_HZ * np.exp(_LOG_STEP * (mels - _BREAK)))
