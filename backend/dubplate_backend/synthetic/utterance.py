# SPDX-License-Identifier: Apache-2.0
"""Speech-like babble: a seeded score of phones from which both the voice and the lips of the synthetic actor are made.

Formants: Peterson & Barney 1952, "Control methods used in a study of the vowels", table II (means of 33 men) for the
vowels; Klatt 1980, "Software for a cascade/parallel formant synthesizer", tables II and III, rounded, for consonants.
Durations: Crystal & House 1988, "Segmental durations in connected-speech signals", rounded.
Trajectories: Cohen & Massaro 1993, "Modeling coarticulation in synthetic visual speech", eq. 1-4 (dominance functions).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Phone:
    """What one speech sound asks of the mouth and of the voice.

    jaw_deg: opening of the jaw.  close, pucker, wide, funnel: lip controls in 0..1.
    formants_hz: F1, F2, F3.  voice, hiss, nasal: source levels in 0..1.  hiss_hz: centre of the friction noise.
    hold: how firmly the lips keep this phone against its neighbours (0 = they follow along).
    """

    jaw_deg: float
    close: float
    pucker: float
    wide: float
    funnel: float
    formants_hz: tuple[float, float, float]
    duration_s: float
    voice: float = 1.0
    hiss: float = 0.0
    hiss_hz: float = 0.0
    nasal: float = 0.0
    hold: float = 1.0


VOWELS: dict[str, Phone] = {
    "iy": Phone(4.0, 0, 0.0, 0.85, 0, (270, 2290, 3010), 0.130),
    "ih": Phone(5.5, 0, 0.0, 0.45, 0, (390, 1990, 2550), 0.100),
    "eh": Phone(8.5, 0, 0.0, 0.40, 0, (530, 1840, 2480), 0.120),
    "ae": Phone(13.0, 0, 0.0, 0.45, 0, (660, 1720, 2410), 0.150),
    "aa": Phone(15.0, 0, 0.0, 0.0, 0, (730, 1090, 2440), 0.160),
    "ao": Phone(10.5, 0, 0.55, 0.0, 0.3, (570, 840, 2410), 0.150),
    "uh": Phone(5.5, 0, 0.45, 0.0, 0, (440, 1020, 2240), 0.100),
    "uw": Phone(3.5, 0, 0.95, 0.0, 0, (300, 870, 2240), 0.140),
    "ah": Phone(9.5, 0, 0.0, 0.10, 0, (640, 1190, 2390), 0.110),
    "er": Phone(5.0, 0, 0.30, 0.0, 0.2, (490, 1350, 1690), 0.130),
}
CONSONANTS: dict[str, Phone] = {
    "m": Phone(0.6, 1.0, 0.0, 0.0, 0, (250, 1100, 2200), 0.095, voice=0.45, nasal=1.0, hold=3.0),
    "b": Phone(0.6, 1.0, 0.0, 0.0, 0, (220, 1000, 2150), 0.090, voice=0.12, hold=3.0),
    "p": Phone(0.6, 1.0, 0.0, 0.0, 0, (300, 1000, 2150), 0.100, voice=0.0, hold=3.0),
    "f": Phone(1.2, 0.6, 0.0, 0.1, 0, (340, 1100, 2080), 0.105, voice=0.0, hiss=0.22, hiss_hz=6500, hold=2.0),
    "v": Phone(1.2, 0.6, 0.0, 0.1, 0, (220, 1100, 2080), 0.075, voice=0.5, hiss=0.12, hiss_hz=6500, hold=2.0),
    "s": Phone(1.2, 0, 0.0, 0.5, 0, (320, 1390, 2530), 0.110, voice=0.0, hiss=0.5, hiss_hz=5800, hold=1.4),
    "sh": Phone(1.8, 0, 0.35, 0.0, 0.6, (300, 1840, 2750), 0.110, voice=0.0, hiss=0.55, hiss_hz=2900, hold=1.4),
    "t": Phone(2.2, 0, 0.0, 0.1, 0, (400, 1700, 2600), 0.080, voice=0.0, hold=0.8),
    "d": Phone(2.6, 0, 0.0, 0.1, 0, (220, 1700, 2600), 0.065, voice=0.12, hold=0.8),
    "n": Phone(2.6, 0, 0.0, 0.1, 0, (250, 1500, 2500), 0.075, voice=0.5, nasal=1.0, hold=0.8),
    "l": Phone(4.5, 0, 0.0, 0.1, 0, (340, 1150, 2700), 0.070, voice=0.75, hold=0.7),
    "r": Phone(3.5, 0, 0.45, 0.0, 0.3, (330, 1060, 1400), 0.075, voice=0.75, hold=0.8),
    "k": Phone(4.0, 0, 0.0, 0.0, 0, (300, 1990, 2850), 0.085, voice=0.0, hold=0.5),
    "g": Phone(4.0, 0, 0.0, 0.0, 0, (220, 1990, 2850), 0.070, voice=0.12, hold=0.5),
    "w": Phone(2.2, 0, 1.0, 0.0, 0, (290, 610, 2150), 0.080, voice=0.7, hold=1.5),
}
SILENCE = Phone(0.0, 0, 0.0, 0.0, 0, (500, 1500, 2500), 0.4, voice=0.0, hold=1.6)
STOPS: dict[str, float] = {"p": 800.0, "b": 800.0, "t": 4200.0, "d": 3800.0, "k": 2200.0, "g": 2000.0}  # burst [Hz]

_PAUSE_S = (0.32, 0.55)  # between phrases; Goldman-Eisler 1968: most breath-group pauses are 0.25-0.75 s
_PHRASE_SYLLABLES = (4, 8)
_DOMINANCE_RATE = 18.0  # 1/s: a phone's pull on the lips falls to 1/e in 55 ms


@dataclass(frozen=True)
class Segment:
    """One phone at its place in time.  stress scales opening, loudness and pitch (1 = neutral)."""

    symbol: str
    phone: Phone
    start_s: float
    end_s: float
    stress: float

    @property
    def centre_s(self) -> float:
        return 0.5 * (self.start_s + self.end_s)


@dataclass(frozen=True)
class Utterance:
    """A score: segments in order, covering 0..duration_s without gaps; pauses carry the symbol ``_``."""

    segments: tuple[Segment, ...]
    duration_s: float

    def silent(self, times_s: np.ndarray) -> np.ndarray:
        """(N,) bool: where nothing is said."""
        starts = np.array([segment.start_s for segment in self.segments])
        pauses = np.array([segment.symbol == "_" for segment in self.segments])
        index = np.clip(np.searchsorted(starts, times_s, side="right") - 1, 0, len(starts) - 1)
        return pauses[index]


def babble(seconds: float, *, seed: int) -> Utterance:
    """Phrases of consonant-vowel syllables with pauses between them, exactly `seconds` long.

    Every phrase holds at least one bilabial (m, b, p) and one wide-open vowel, so that any shot cut from it shows the
    lips closing and the jaw well open.
    """
    random = np.random.default_rng((seed, 0x5EED))
    segments: list[Segment] = []
    clock = _append(segments, "_", SILENCE, 0.0, min(0.24, 0.2 * seconds), 1.0)
    tail_s = min(0.30, 0.2 * seconds)
    while clock < seconds - tail_s - 0.12:
        clock = _append_phrase(segments, clock, seconds - tail_s, random)
        pause_s = random.uniform(*_PAUSE_S)
        clock = _append(segments, "_", SILENCE, clock, pause_s, 1.0)
    last = segments[-1]
    segments[-1] = Segment(last.symbol, last.phone, last.start_s, max(seconds, last.start_s), 1.0)
    return Utterance(tuple(segments), seconds)


def _append_phrase(segments: list[Segment], clock: float, limit_s: float, random: np.random.Generator) -> float:
    count = int(random.integers(_PHRASE_SYLLABLES[0], _PHRASE_SYLLABLES[1] + 1))
    bilabial_at, open_at = random.choice(count, size=2, replace=False)
    for index in range(count):
        consonant = random.choice(list("mbp")) if index == bilabial_at else random.choice(list(CONSONANTS))
        vowel = random.choice(["aa", "ae"]) if index == open_at else random.choice(list(VOWELS))
        stress = float(random.uniform(0.95, 1.1) if index == open_at else random.uniform(0.65, 1.05))
        phrase_end = 1.35 if index == count - 1 else 1.0  # phrase-final lengthening, Klatt 1976
        for symbol, lengthen in ((str(consonant), 1.0), (str(vowel), phrase_end)):
            phone = CONSONANTS.get(symbol) or VOWELS[symbol]
            length_s = phone.duration_s * lengthen * random.uniform(0.9, 1.2)
            if clock + length_s > limit_s:
                return clock
            clock = _append(segments, symbol, phone, clock, length_s, stress)
    return clock


def _append(segments: list[Segment], symbol: str, phone: Phone, start: float, length: float, stress: float) -> float:
    segments.append(Segment(symbol, phone, start, start + length, stress))
    return start + length


def blend(
    utterance: Utterance,
    times_s: np.ndarray,
    values: np.ndarray,
    *,
    rate: float = _DOMINANCE_RATE,
    hold: np.ndarray | None = None,
) -> np.ndarray:
    """Coarticulated trajectories: each phone's target weighed by a dominance that falls with the time from its span.

    times_s: (N,).  values: (S, C) target of each segment.  rate: fall of the dominance, 1/s.  hold: (S,) strengths.
    Returns (N, C).
    """
    starts = np.array([segment.start_s for segment in utterance.segments])
    ends = np.array([segment.end_s for segment in utterance.segments])
    strength = np.ones(len(starts)) if hold is None else hold
    core = 0.25 * (ends - starts)  # a phone reigns fully over its middle half
    outside = np.maximum(0.0, np.maximum(starts + core - times_s[:, None], times_s[:, None] - ends + core))  # (N, S)
    weights = strength * np.exp(-((rate * outside) ** 1.5)) + 1e-9 * np.exp(-outside)
    return (weights @ values) / weights.sum(axis=1, keepdims=True)
