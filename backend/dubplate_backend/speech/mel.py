# SPDX-License-Identifier: Apache-2.0
"""Mel spectrogram of speech as Wav2Lip, StyleSync and Dubbing for Everyone hear it, and windows of it at any fps.

16 kHz, pre-emphasis, 50 ms windows every 12.5 ms, 80 mel bands, decibels normalised to +-4: 80 columns a second.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

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


def mel(audio: Array, rate: int) -> npt.NDArray[np.float32]:
    """Normalised mel spectrogram of mono `audio`.

    audio: [N] floats in -1..1 at `rate` Hz.  Returns float32 [80, 1 + N' // 200], N' samples at 16 kHz; silence is -4.
    Raises InvalidInput where the audio is not mono or holds NaN or infinity.
    """
    if audio.ndim != 1:
        raise InvalidInput("The voice must be mono.", hint="Mix its channels down first.")
    if not np.isfinite(audio).all():
        raise InvalidInput("The voice holds NaN or infinite samples.", hint="Export it again.")
    import librosa  # two seconds: only who hears a voice waits for it

    samples = np.asarray(audio, np.float32)
    if rate != SAMPLE_RATE:
        samples = librosa.resample(samples, orig_sr=rate, target_sr=SAMPLE_RATE, res_type="soxr_hq")
    if samples.size < FFT_SAMPLES:  # a click shorter than one window: silence follows it
        samples = np.pad(samples, (0, FFT_SAMPLES - samples.size))
    emphasised = np.append(samples[:1], samples[1:] - PRE_EMPHASIS * samples[:-1])
    spectrum = np.abs(
        librosa.stft(
            emphasised, n_fft=FFT_SAMPLES, hop_length=HOP_SAMPLES, win_length=WINDOW_SAMPLES, pad_mode="constant"
        )
    )
    bank = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=FFT_SAMPLES, n_mels=BANDS, fmin=LOWEST_HZ, fmax=HIGHEST_HZ)
    decibels = 20.0 * np.log10(np.maximum(bank @ spectrum, AMPLITUDE_FLOOR)) - REFERENCE_DB
    normalised = 2.0 * LIMIT * (decibels - FLOOR_DB) / -FLOOR_DB - LIMIT
    return np.clip(normalised, -LIMIT, LIMIT).astype(np.float32)


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
