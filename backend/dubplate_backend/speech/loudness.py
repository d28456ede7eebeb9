# SPDX-License-Identifier: Apache-2.0
"""What a voice's sound says about the mouth that makes it: loudness, voicing, spectral balance, friction, closures.

Everything is measured in seconds and decibels at a fixed 100 steps a second, whatever the sample rate of the file, and
relative to the recording itself: another gain, microphone or room moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np
from scipy.ndimage import maximum_filter1d, median_filter, percentile_filter
from scipy.signal import resample_poly

from dubplate_shared.errors import InvalidInput

ANALYSIS_RATE = 16_000  # Hz
STEP_S = 0.01
_STEP = int(STEP_S * ANALYSIS_RATE)
_WINDOW = 512  # 32 ms: three periods of a low male voice
_BATCH = 4096  # windows analysed at once, so that memory stays flat in the length of the file

# Bands of the voice [Hz]: first formant low and high, second formant back and front, friction.
# Peterson & Barney 1952: F1 270-730, F2 840-2290 for men, some 15 % higher for women.
_BANDS_HZ = {
    "speech": (90, 5500),
    "mouth": (500, 4000),  # what an open mouth lets out and closed lips hold back
    "f1_low": (180, 430),
    "f1_high": (560, 1150),
    "f2_back": (650, 1300),
    "f2_front": (1700, 3000),
    "hiss": (2300, 7800),
    "body": (250, 1800),
    "burst_low": (250, 1800),
    "burst_high": (2400, 7000),
}
_FLOOR_DB = -75.0  # below this a step is digital silence
_NOISE_SPAN_S = 4.0  # the room is measured over this long around each moment
_NOISE_PERCENTILE = 8
_OPENS_DB, _SHUTS_DB = 12.0, 7.0  # above the room: speech begins, speech ends
_SPEECH_RANGE_DB = (
    38.0  # what lies further below the loudest speech is breath, page or chair (connected speech: ~30 dB)
)
_VOICED = 0.5  # normalised autocorrelation, Boersma 1993 uses 0.45
_VOICE_HZ = (65.0, 420.0)
_SHORTEST_SPEECH_S = 0.05
_LONGEST_CLOSURE_S = 0.17
_CLOSURE_DIP_DB = 12.0
_CLOSURE_SURE_DB = 8.0  # this much deeper and the lips have met
_CLOSURE_NEIGHBOUR_S = 0.12


@dataclass(frozen=True)
class Speech:
    """Curves of N steps of 10 ms.

    level_db: loudness relative to the recording's own loud speech (0 = loud vowel).  active: (N,) bool, someone speaks.
    voicing: 0..1.  openness: low to high first formant, -1..1.  frontness: "oo" to "ee", -1..1.
    friction: 0..1, hissing.  closure: 0..1, the mouth is shut for a moment within speech.
    """

    level_db: np.ndarray
    active: np.ndarray
    voicing: np.ndarray
    openness: np.ndarray
    frontness: np.ndarray
    friction: np.ndarray
    closure: np.ndarray

    @property
    def times_s(self) -> np.ndarray:
        """(N,) middle of each step."""
        return np.arange(len(self.level_db)) * STEP_S


def listen(audio: np.ndarray, rate: int) -> Speech:
    """Analyse mono `audio` [N] at `rate` Hz.  Raises InvalidInput where it is not finite mono sound."""
    if audio.ndim != 1 or rate < 4000:
        raise InvalidInput("The voice must be mono at 4 kHz or more.", hint="Export it as an ordinary WAV.")
    if not np.isfinite(audio).all():
        raise InvalidInput("The voice holds NaN or infinite samples.", hint="Export it again.")
    samples = np.asarray(audio, np.float32)
    if rate != ANALYSIS_RATE and len(samples):
        common = gcd(int(rate), ANALYSIS_RATE)
        samples = resample_poly(samples, ANALYSIS_RATE // common, int(rate) // common).astype(np.float32)
    count = 1 + len(samples) // _STEP
    half = _WINDOW // 2
    padded = np.concatenate([np.zeros(half, np.float32), samples, np.zeros(_WINDOW + _STEP, np.float32)])
    bands, voicing = _spectra(padded, count)

    level = median_filter(bands["speech"], 3)
    active = _speaking(level, voicing)
    loud = _loud_speech_db(level, active, voicing)
    sounding = active & (voicing > _VOICED)
    hissing = np.clip((bands["hiss"] - bands["body"]) / 10.0, 0, 1) * np.clip(1.6 - 2.0 * voicing, 0, 1)
    return Speech(
        level_db=level - loud,
        active=active,
        voicing=voicing,
        openness=_balance(bands["f1_high"] - bands["f1_low"], sounding),
        frontness=_balance(bands["f2_front"] - bands["f2_back"], sounding),
        friction=np.where(active, hissing, 0.0),
        closure=_closures(bands, active, hissing),
    )


def _spectra(padded: np.ndarray, count: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Band levels [dB] and voicing of `count` windows, one every step."""
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_STEP][:count]  # (N, 512), no copy
    frequencies = np.fft.rfftfreq(_WINDOW, 1 / ANALYSIS_RATE)
    masks = {name: (frequencies >= low) & (frequencies < high) for name, (low, high) in _BANDS_HZ.items()}
    taper = np.hanning(_WINDOW).astype(np.float32)
    scale = 2.0 / (taper**2).sum() / _WINDOW
    levels: dict[str, list[np.ndarray]] = {name: [] for name in masks}
    voicing: list[np.ndarray] = []
    for start in range(0, count, _BATCH):
        batch = windows[start : start + _BATCH]
        power = np.abs(np.fft.rfft(batch * taper, axis=1)) ** 2 * scale
        for name, mask in masks.items():
            levels[name].append(10 * np.log10(power[:, mask].sum(axis=1) + 1e-12))
        voicing.append(_periodicity(batch, taper))
    return {name: np.concatenate(parts) for name, parts in levels.items()}, np.concatenate(voicing)


def _periodicity(windows: np.ndarray, taper: np.ndarray) -> np.ndarray:
    """(N,) height of the best pitch peak of the autocorrelation, freed of the taper's own.  Boersma 1993, eq. 9."""
    size = 2 * _WINDOW
    low = np.fft.rfftfreq(size, 1 / ANALYSIS_RATE) < 1000.0  # the voice's pitch lives here, hiss does not
    spectrum = np.abs(np.fft.rfft((windows - windows.mean(axis=1, keepdims=True)) * taper, size, axis=1)) ** 2
    correlation = np.fft.irfft(spectrum * low, axis=1)
    own = np.fft.irfft(np.abs(np.fft.rfft(taper, size)) ** 2)
    first, last = int(ANALYSIS_RATE / _VOICE_HZ[1]), int(ANALYSIS_RATE / _VOICE_HZ[0])
    peaks = correlation[:, first:last] / (correlation[:, :1] + 1e-9) * (own[0] / own[first:last])
    return np.clip(peaks.max(axis=1), 0.0, 1.0)


def _speaking(level: np.ndarray, voicing: np.ndarray) -> np.ndarray:
    """Where someone speaks: hysteresis above the room's own noise, and only around sounds that are voiced.

    A breath is noise: it passes the level but holds no voice, so it stays shut.
    """
    span = int(_NOISE_SPAN_S / STEP_S)
    room = np.maximum(percentile_filter(level, _NOISE_PERCENTILE, size=span, mode="nearest"), _FLOOR_DB)
    loudest = np.percentile(level, 95)
    # Where speech fills the whole span, its quietest moments would pass for the room.
    room = np.minimum(room, max(np.percentile(level, 2), _FLOOR_DB) + 6.0)
    bottom = max(loudest - _SPEECH_RANGE_DB, _FLOOR_DB)
    opens = np.maximum(room + _OPENS_DB, bottom)
    shuts = np.maximum(room + _SHUTS_DB, bottom - (_OPENS_DB - _SHUTS_DB))
    speaking = np.zeros(len(level), bool)
    for start, stop in _runs(level > shuts):
        inside = slice(start, stop)
        voiced = voicing[inside] > _VOICED
        long_enough = (stop - start) * STEP_S >= _SHORTEST_SPEECH_S
        if long_enough and (level[inside] > opens[inside])[voiced].any() and voiced.mean() > 0.2:
            speaking[inside] = True
    return _bridge(speaking, _LONGEST_CLOSURE_S)


def _bridge(speaking: np.ndarray, longest_s: float) -> np.ndarray:
    """The silence inside a stop consonant belongs to the word."""
    bridged = speaking.copy()
    for start, stop in _runs(~speaking):
        if start > 0 and stop < len(speaking) and (stop - start) * STEP_S <= longest_s:
            bridged[start:stop] = True
    return bridged


def _loud_speech_db(level: np.ndarray, active: np.ndarray, voicing: np.ndarray) -> float:
    spoken = level[active & (voicing > _VOICED)]
    return float(np.percentile(spoken, 92)) if len(spoken) else float(level.max(initial=_FLOOR_DB))


def _balance(difference_db: np.ndarray, sounding: np.ndarray) -> np.ndarray:
    """A band difference as -1..1 around the speaker's own middle, so that no microphone's tone counts."""
    if sounding.sum() < 10:
        return np.zeros(len(difference_db))
    middle = np.median(difference_db[sounding])
    spread = (
        np.percentile(np.abs(difference_db[sounding] - middle), 75) + 3.0
    )  # dB; keeps a monotone from being blown up
    return np.where(sounding, np.clip((difference_db - middle) / (1.5 * spread), -1.0, 1.0), 0.0)


def _closures(bands: dict[str, np.ndarray], active: np.ndarray, hissing: np.ndarray) -> np.ndarray:
    """Short dips of what an open mouth lets out, between louder neighbours: p, b, m, and weaker t, d, k, n.

    The release tells the lips from the tongue: a lip burst is dull, a tongue-tip burst bright (Stevens & Blumstein
    1978, "Invariant cues for place of articulation in stop consonants").
    """
    mouth = bands["mouth"]
    reach = int(_CLOSURE_NEIGHBOUR_S / STEP_S)
    before = maximum_filter1d(mouth, reach, origin=reach // 2 - 1, mode="nearest")
    after = maximum_filter1d(mouth, reach, origin=-(reach // 2 - 1), mode="nearest")
    dip = np.minimum(before, after) - mouth
    closure = np.zeros(len(mouth))
    for start, stop in _runs((dip > _CLOSURE_DIP_DB) & active & (hissing < 0.4)):
        length_s = (stop - start) * STEP_S
        if not 0.02 <= length_s <= _LONGEST_CLOSURE_S:
            continue
        release = slice(stop, min(stop + 3, len(mouth)))
        brightness = float((bands["burst_high"] - bands["burst_low"])[release].max(initial=-30.0))
        labial = np.clip((2.0 - brightness) / 10.0, 0.3, 1.0)
        depth = np.clip((dip[start:stop].max() - _CLOSURE_DIP_DB) / _CLOSURE_SURE_DB, 0.0, 1.0)
        closure[start:stop] = labial * depth
    return closure


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Half-open spans where `flags` holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
