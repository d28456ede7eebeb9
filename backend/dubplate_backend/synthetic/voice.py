# SPDX-License-Identifier: Apache-2.0
"""The generated voice: a glottal pulse train and noise through moving formants.

Source: Klatt 1980, "Software for a cascade/parallel formant synthesizer" (resonators eq. 1-4, bandwidths, source
levels); pulse shape: Rosenberg 1971, "Effect of glottal pulse shape on the quality of natural vowels", type B.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

from dubplate_backend.synthetic.utterance import STOPS, Segment, Utterance, blend

VOICE_RATE = 24_000  # Hz
_BLOCK_S = 0.004  # filters move once a block
_BANDWIDTHS_HZ = (70.0, 100.0, 150.0, 220.0, 300.0)
_UPPER_FORMANTS_HZ = (3500.0, 4500.0)  # F4, F5 of a male vocal tract, fixed
_FORMANT_RATE = 30.0  # 1/s: the tongue is quicker than the lips
_ROOM_LEVEL = 10 ** (-66 / 20)  # a quiet room's hiss, dBFS
_PEAK = 0.7


def synthesise(utterance: Utterance, *, seed: int, pitch_hz: float = 112.0, rate: int = VOICE_RATE) -> np.ndarray:
    """The voice that says `utterance`: float32 mono in -1..1, rate*duration samples, deterministic in the seed."""
    random = np.random.default_rng((seed, 0x701CE))
    count = round(utterance.duration_s * rate)
    times = np.arange(count) / rate
    blocks = np.arange(0, count, int(_BLOCK_S * rate))
    block_times = blocks / rate

    voicing = _envelope(utterance, times, lambda s: s.phone.voice * s.stress, rise_s=0.012)
    pulses = _glottal_pulses(_pitch(utterance, times, pitch_hz, random), rate, random) * voicing
    breath = random.normal(0.0, 0.02, count) * voicing  # aspiration of an ordinary voice, -34 dB
    tract = _cascade(pulses + breath, _formant_tracks(utterance, block_times), blocks, rate)
    voice = tract / (np.abs(tract).max() + 1e-9)

    voice = voice + _hisses(utterance, count, rate, random) + _bursts(utterance, count, rate, random)
    voice *= _PEAK / (np.abs(voice).max() + 1e-9)
    return (voice + random.normal(0.0, _ROOM_LEVEL, count)).astype(np.float32)


def _envelope(
    utterance: Utterance, times: np.ndarray, level: Callable[[Segment], float], *, rise_s: float
) -> np.ndarray:
    """A level per segment, joined by raised-cosine ramps `rise_s` wide on either side of each border."""
    knots, values = [0.0], [0.0]
    for segment in utterance.segments:
        ramp = min(rise_s, 0.4 * (segment.end_s - segment.start_s))
        value = level(segment)
        knots += [segment.start_s + ramp, segment.end_s - ramp]
        values += [value, value]
    ramped = np.interp(times, knots, values)
    kernel = np.hanning(max(3, int(rise_s / (times[1] - times[0]))))
    return np.convolve(ramped, kernel / kernel.sum(), mode="same")


def _pitch(utterance: Utterance, times: np.ndarray, pitch_hz: float, random: np.random.Generator) -> np.ndarray:
    """Fundamental: declines over each phrase, rises with stress, wavers by a percent."""
    stress = blend(utterance, times[::240], np.array([[s.stress] for s in utterance.segments]), rate=12.0)[:, 0]
    fall, since_pause = np.zeros(len(stress)), 0.0
    silent = utterance.silent(times[::240])
    for index, quiet in enumerate(silent):
        since_pause = 0.0 if quiet else since_pause + 240 * (times[1] - times[0])
        fall[index] = 0.10 * since_pause
    waver = np.convolve(random.normal(0, 1, len(stress)), np.hanning(15), mode="same") * 0.006
    contour = pitch_hz * (1.12 - np.minimum(fall, 0.25) + 0.28 * (stress - 0.85) + waver)
    return np.interp(times, times[::240], contour)


def _glottal_pulses(pitch: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
    """Differentiated Rosenberg-B flow: opens over 40 % of the period, shuts over 16 %."""
    jitter = 1.0 + 0.004 * np.interp(
        np.arange(len(pitch)),
        np.arange(0, len(pitch) + 200, 200),
        random.normal(0, 1, len(range(0, len(pitch) + 200, 200))),
    )
    phase = np.mod(np.cumsum(pitch * jitter) / rate, 1.0)
    opening, shutting = phase / 0.40, (phase - 0.40) / 0.16
    flow = np.where(phase < 0.40, 3 * opening**2 - 2 * opening**3, np.where(phase < 0.56, 1 - shutting**2, 0.0))
    return np.diff(flow, prepend=0.0)


def _formant_tracks(utterance: Utterance, times: np.ndarray) -> np.ndarray:
    targets = np.array([segment.phone.formants_hz for segment in utterance.segments], float)
    hold = np.array([0.15 if segment.symbol == "_" else 1.0 for segment in utterance.segments])
    moving = blend(utterance, times, targets, rate=_FORMANT_RATE, hold=hold)
    return np.hstack([moving, np.tile(_UPPER_FORMANTS_HZ, (len(times), 1))])  # (blocks, 5)


def _cascade(source: np.ndarray, formants: np.ndarray, blocks: np.ndarray, rate: int) -> np.ndarray:
    """Five resonators in series, each y[n] = A x[n] + B y[n-1] + C y[n-2], their state carried from block to block."""
    signal = source
    for index, bandwidth in enumerate(_BANDWIDTHS_HZ):
        filtered = np.empty_like(signal)
        state = np.zeros(2)
        c = -np.exp(-2 * np.pi * bandwidth / rate)
        for block, start in enumerate(blocks):
            stop = blocks[block + 1] if block + 1 < len(blocks) else len(signal)
            b = 2 * np.exp(-np.pi * bandwidth / rate) * np.cos(2 * np.pi * formants[block, index] / rate)
            filtered[start:stop], state = lfilter([1 - b - c], [1, -b, -c], signal[start:stop], zi=state)
        signal = filtered
    return signal


def _hisses(utterance: Utterance, count: int, rate: int, random: np.random.Generator) -> np.ndarray:
    sound = np.zeros(count)
    for segment in utterance.segments:
        if segment.phone.hiss > 0:
            _add_noise(
                sound, segment.start_s, segment.end_s, segment.phone.hiss_hz, 0.35 * segment.phone.hiss, rate, random
            )
    return sound


def _bursts(utterance: Utterance, count: int, rate: int, random: np.random.Generator) -> np.ndarray:
    """The 12 ms of noise as a stop is released; voiceless ones are followed by 35 ms of breath."""
    sound = np.zeros(count)
    for segment in utterance.segments:
        if segment.symbol in STOPS:
            level = 0.30 if segment.phone.voice == 0 else 0.14
            _add_noise(sound, segment.end_s - 0.006, segment.end_s + 0.006, STOPS[segment.symbol], level, rate, random)
            if segment.phone.voice == 0:
                _add_noise(sound, segment.end_s, segment.end_s + 0.035, 1500.0, 0.06, rate, random)
    return sound


def _add_noise(
    sound: np.ndarray,
    start_s: float,
    end_s: float,
    centre_hz: float,
    level: float,
    rate: int,
    random: np.random.Generator,
) -> None:
    first, last = max(0, int(start_s * rate)), min(len(sound), int(end_s * rate))
    if last - first < 8:
        return
    high = min(1.35 * centre_hz, 0.49 * rate)
    band = butter(2, (0.7 * centre_hz, high), btype="bandpass", fs=rate, output="sos")
    noise = sosfilt(band, random.normal(0, 1, last - first + 256))[256:]
    sound[first:last] += level * noise / (noise.std() + 1e-9) * np.hanning(last - first)
