# SPDX-License-Identifier: Apache-2.0
"""Audio to take: a voice's loudness and spectrum become jaw and lip curves on any head, at any frame rate."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from dubplate_backend.head.model import HeadModel
from dubplate_backend.speech.loudness import STEP_S, Speech, listen
from dubplate_backend.speech.mouth import mouth_on_head, resting_face
from dubplate_backend.speech.sound import audio
from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import sha256_file
from dubplate_shared.progress import Progress, ProgressCallback, silent
from dubplate_shared.shot import HeadIdentity, Shot
from dubplate_shared.take import Take

METHOD = "loudness/1"

_LOUD_JAW_DEG = 11.0  # a loud vowel of an ordinary voice; 5-12 deg is what speakers use (Ostry & Munhall 1994)
_WIDEST_JAW_DEG = 22.0
_DYNAMIC_RANGE_DB = 26.0  # from a loud vowel down to a mouth that barely opens
_LEAD_S = 0.04  # lips move before the sound they shape
_ATTACK_S, _DECAY_S = 0.035, 0.080  # time constants; jaw-opening gestures last 100-150 ms, closing is slower to settle
_SMOOTH_S = 0.022
_LIP_SMOOTH_S = 0.045
_SHUT_S = 0.10  # after the last sound, and before the first, the mouth moves for this long
_CLOSURE_GROW_S = 0.05  # lips meet before the sound stops


@dataclass(frozen=True)
class MouthCurves:
    """Curves of N steps of 10 ms.  jaw_deg: (N,) >= 0.  close, pucker, wide: (N,) in 0..1."""

    jaw_deg: np.ndarray
    close: np.ndarray
    pucker: np.ndarray
    wide: np.ndarray

    def at(self, times_s: np.ndarray, exposure_s: float) -> MouthCurves:
        """What frames at `times_s` [T] see: the mean over each frame's span; for `close` the most shut moment of it.

        Beyond the sound's ends the mouth is at rest.
        """
        offsets = np.linspace(-0.5, 0.5, 9) * exposure_s
        moments = times_s[:, None] + offsets  # (T, 9)
        grid = np.arange(len(self.jaw_deg)) * STEP_S

        def sample(curve: np.ndarray) -> np.ndarray:
            return np.interp(moments, grid, curve, left=0.0, right=0.0)

        return MouthCurves(
            sample(self.jaw_deg).mean(axis=1),
            sample(self.close).max(axis=1),
            sample(self.pucker).mean(axis=1),
            sample(self.wide).mean(axis=1),
        )


def mouth_curves(speech: Speech, *, gain: float = 1.0) -> MouthCurves:
    """The mouth that belongs to a sound.  gain: multiplies how far it opens."""
    loud = np.clip(1.0 + speech.level_db / _DYNAMIC_RANGE_DB, 0.0, 1.15)
    opening = _LOUD_JAW_DEG * loud**1.3 * (1.0 + 0.3 * speech.openness) * (1.0 - 0.75 * speech.friction)
    opening = np.where(speech.active, opening, 0.0)
    near = int(_CLOSURE_GROW_S / STEP_S)
    close = gaussian_filter1d(maximum_filter1d(speech.closure, 1 + near), _SMOOTH_S / STEP_S)
    jaw = _follow(_advance(opening, _LEAD_S))
    gate = _gate(speech.active)
    jaw = gaussian_filter1d(jaw, _SMOOTH_S / STEP_S) * gate * (1.0 - 0.75 * close)
    voiced = speech.active * np.clip(2.0 * speech.voicing - 0.4, 0.0, 1.0)
    pucker = voiced * np.clip(-speech.frontness - 0.25 * np.abs(speech.openness), 0.0, 1.0)
    wide = np.maximum(voiced * np.clip(speech.frontness, 0.0, 1.0) * 0.8, 0.45 * speech.friction)
    return MouthCurves(
        jaw_deg=np.minimum(gain * jaw, _WIDEST_JAW_DEG),
        close=np.clip(close, 0.0, 1.0) * gate,
        pucker=_round_off(pucker) * gate,
        wide=_round_off(wide) * gate,
    )


def speak(
    audio_path: Path | str,
    shot: Shot,
    name: str,
    *,
    head: HeadModel,
    offset_s: float = 0.0,
    gain: float = 1.0,
    progress: ProgressCallback = silent,
) -> Take:
    """A take of `shot` that says what `audio_path` says.  It is returned, not stored (`shot.save_take`).

    offset_s: where on the shot's clock the sound begins (negative: its head is cut).  gain: multiplies the opening.
    Sound longer than the shot is cut with a warning; after shorter sound the mouth stays closed.
    Raises InvalidInput, FootageError (no sound), HeadModelMismatch.
    """
    if not 0.0 < gain <= 4.0:
        raise InvalidInput(f"A gain of {gain:g} is not in 0-4.", hint="1 is an ordinary voice; try 0.7 to 1.5.")
    shot.info.head.require(HeadIdentity(head.kind, head.sha256), "This head")
    audio_path = Path(audio_path)
    progress(Progress(0, 3, "hearing"))
    samples, rate = audio(audio_path)
    speech = listen(samples, rate)
    progress(Progress(1, 3, "moving the lips"))
    times = shot.track.time - shot.track.time[0]
    frame_s = 1.0 / shot.info.rate.fps
    _warn_if_cut(audio_path, speech, float(times[-1]) + frame_s - offset_s)
    # A frame's light is gathered around its middle, half a frame after its time stamp.
    curves = mouth_curves(speech, gain=gain).at(times + 0.5 * frame_s - offset_s, frame_s)
    lips = {"lips_close": curves.close, "pucker": curves.pucker, "wide": curves.wide}
    expression, jaw = mouth_on_head(head, shot.track.shape, resting_face(head, shot), curves.jaw_deg, lips)
    progress(Progress(3, 3, "moving the lips"))
    origin = {
        "kind": "speech",
        "method": METHOD,
        "audio": str(audio_path.resolve()),
        "sha256": sha256_file(audio_path),
        "offset_s": offset_s,
        "gain": gain,
    }
    return Take(name, expression, jaw, None, origin)


def _warn_if_cut(path: Path, speech: Speech, shot_end_s: float) -> None:
    """shot_end_s: on the sound's clock."""
    spoken_s = float(speech.times_s[speech.active][-1]) if speech.active.any() else 0.0
    if spoken_s > shot_end_s:
        warnings.warn(
            f"{path.name} speaks until {spoken_s:.1f} s, the shot ends at {shot_end_s:.1f} s of it: the rest is not "
            "spoken. Use a longer shot, or --offset to choose which part is heard.",
            stacklevel=3,
        )


def _advance(curve: np.ndarray, lead_s: float) -> np.ndarray:
    steps = round(lead_s / STEP_S)
    return np.concatenate([curve[steps:], np.zeros(min(steps, len(curve)))])


def _follow(target: np.ndarray) -> np.ndarray:
    """A one-pole follower that opens quicker than it closes."""
    rise, fall = 1.0 - np.exp(-STEP_S / _ATTACK_S), 1.0 - np.exp(-STEP_S / _DECAY_S)
    followed, value = np.empty_like(target), 0.0
    for index, goal in enumerate(target):
        value += (rise if goal > value else fall) * (goal - value)
        followed[index] = value
    return followed


def _gate(active: np.ndarray) -> np.ndarray:
    """1 where someone speaks, easing to exactly 0 within `_SHUT_S` of it."""
    steps = int(_SHUT_S / STEP_S)
    away = np.where(active, 0.0, 1e3)
    for index in range(1, len(away)):
        away[index] = min(away[index], away[index - 1] + 1)
    for index in range(len(away) - 2, -1, -1):
        away[index] = min(away[index], away[index + 1] + 1)
    x = np.clip(1.0 - away / steps, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _round_off(curve: np.ndarray) -> np.ndarray:
    return np.clip(gaussian_filter1d(_advance(curve, _LEAD_S), _LIP_SMOOTH_S / STEP_S), 0.0, 1.0)
