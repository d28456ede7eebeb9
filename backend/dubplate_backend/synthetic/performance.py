# SPDX-License-Identifier: Apache-2.0
"""How the synthetic actor moves while he speaks: jaw and lips by the score, with blinks, glances and head sway.

Blinks: 0.15-0.4 s long, every 2-5 s (Bentivoglio et al. 1997).  Head motion while speaking: slow sway and a nod with
stress (Munhall et al. 2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dubplate_backend.synthetic.utterance import Utterance, blend

_BLINK_CLOSING_S, _BLINK_OPENING_S = 0.08, 0.17
_BLINK_EVERY_S = (1.6, 3.6)
_SWAY_DEG = (2.6, 6.0, 1.6)  # pitch, yaw, roll
_SWAY_MM = (7.0, 4.0, 6.0)
_NOD_DEG = 1.8  # with the stressed syllables
_GLANCE_DEG = (3.0, 6.0)


@dataclass(frozen=True)
class Performance:
    """Curves of T frames.  jaw_deg (T,); controls {name: (T,)}; angles in degrees, sway_mm (T, 3) in millimetres."""

    jaw_deg: np.ndarray
    controls: dict[str, np.ndarray]
    blink: np.ndarray  # (T,) 0 open .. 1 shut
    head_deg: np.ndarray  # (T, 3) pitch, yaw, roll
    neck_deg: np.ndarray  # (T, 3)
    gaze_deg: np.ndarray  # (T, 2) up, left
    sway_mm: np.ndarray  # (T, 3)


def perform(utterance: Utterance, times_s: np.ndarray, *, seed: int) -> Performance:
    """The face that says `utterance`, at the given times (T,) in seconds; deterministic in the seed."""
    random = np.random.default_rng((seed, 0xFACE))
    mouth = _mouth(utterance, times_s)
    stress = blend(utterance, times_s, np.array([[s.stress * (s.symbol != "_")] for s in utterance.segments]), rate=8.0)
    head = _drift(times_s, random, columns=3) * _SWAY_DEG
    head[:, 0] += _NOD_DEG * (stress[:, 0] - stress.mean())
    neck = _drift(times_s, random, columns=3) * 1.2
    brows = np.clip(_drift(times_s, random, columns=1)[:, 0] * 0.5 + 0.5 * (stress[:, 0] - 0.75), 0.0, 1.0)
    controls = {
        "lips_close": mouth[:, 1],
        "pucker": mouth[:, 2],
        "wide": mouth[:, 3],
        "funnel": mouth[:, 4],
        "brow_raise_L": brows,
        "brow_raise_R": 0.85 * brows,
    }
    return Performance(
        jaw_deg=mouth[:, 0],
        controls=controls,
        blink=_blinks(times_s, random),
        head_deg=head,
        neck_deg=neck,
        gaze_deg=_glances(times_s, random),
        sway_mm=_drift(times_s, random, columns=3) * _SWAY_MM,
    )


def _mouth(utterance: Utterance, times_s: np.ndarray) -> np.ndarray:
    """(T, 5): jaw_deg, close, pucker, wide, funnel.  A frame sees the mean over its exposure, as a camera does."""
    targets = np.array(
        [
            (s.phone.jaw_deg * s.stress, s.phone.close, s.phone.pucker, s.phone.wide, s.phone.funnel)
            for s in utterance.segments
        ],
        float,
    )
    hold = np.array([segment.phone.hold for segment in utterance.segments])
    shutter_s = 0.5 * float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0  # a 180 degree shutter
    moments = times_s[:, None] + np.linspace(-0.5, 0.5, 5) * shutter_s  # (T, 5)
    curves = blend(utterance, moments.ravel(), targets, hold=hold)
    return curves.reshape(len(times_s), 5, -1).mean(axis=1)


def _drift(times_s: np.ndarray, random: np.random.Generator, *, columns: int) -> np.ndarray:
    """Smooth wandering of about unit size: five sines of 0.08-0.7 Hz a column."""
    frequencies = random.uniform(0.08, 0.7, (5, columns))
    phases = random.uniform(0, 2 * np.pi, (5, columns))
    weights = 1.0 / (1.0 + 4.0 * frequencies)
    waves = np.sin(2 * np.pi * frequencies * times_s[:, None, None] + phases) * weights  # (T, 5, columns)
    return waves.sum(axis=1) / np.sqrt((weights**2).sum(axis=0)) / np.sqrt(2.0)


def _blinks(times_s: np.ndarray, random: np.random.Generator) -> np.ndarray:
    closed = np.zeros(len(times_s))
    moment = times_s[0] + random.uniform(0.5, 1.4)
    while moment < times_s[-1]:
        down = np.clip((times_s - moment + _BLINK_CLOSING_S) / _BLINK_CLOSING_S, 0, 1)
        up = np.clip(1 - (times_s - moment - 0.03) / _BLINK_OPENING_S, 0, 1)
        closed = np.maximum(closed, _ease(down) * _ease(up))
        moment += random.uniform(*_BLINK_EVERY_S)
    return closed


def _glances(times_s: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Fixations of 0.6-1.8 s joined by 60 ms saccades."""
    knots, gaze = [times_s[0]], [np.zeros(2)]
    while knots[-1] < times_s[-1]:
        target = random.uniform(-1, 1, 2) * _GLANCE_DEG * (random.random() < 0.6)
        hold = random.uniform(0.6, 1.8)
        knots += [knots[-1] + hold, knots[-1] + hold + 0.06]
        gaze += [gaze[-1], target]
    table = np.array(gaze)
    return np.stack([np.interp(times_s, knots, table[:, axis]) for axis in range(2)], axis=1)


def _ease(x: np.ndarray) -> np.ndarray:
    return x * x * (3 - 2 * x)
