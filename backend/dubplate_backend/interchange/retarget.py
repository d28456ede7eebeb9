# SPDX-License-Identifier: Apache-2.0
"""One actor's performance on another's face.

What moves is the offset from each actor's own resting mouth, so that nobody takes over the other's resting face, and it
is scaled by how far either opens the lips in speech.  The jaw then makes the gap between the lips what the performer's
was on that scale, and where his lips met, the actor's meet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dubplate_backend.head.model import HeadModel
from dubplate_backend.speech.mouth import LipGauge, mouth_alone, resting_expression, resting_frames
from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import Shot
from dubplate_shared.take import Take

RANGE_PERCENTILE = 95  # of the gap over a shot: how far its actor opens the lips in speech, single cries left out
LEAST_RANGE_M = 0.002  # an actor whose lips part by less has not spoken
SCALES = (0.5, 2.0)  # beyond that one of the two shots shows no speech
MOST_JAW = np.radians(10.0)  # that the jaw is moved by so that the gap fits; more would be another performance
GAP_STEPS = 6
JAW_STEP = np.radians(0.5)  # over which the gap's answer to the jaw is measured


@dataclass(frozen=True)
class Performance:
    """A performer's mouth, N frames.

    times_s: (N,) from the first frame.   expression: (N, 100) and jaw: (N, 3) as offsets from rest.
    gap_m: (N,) between the lips beyond what rest leaves, 0 where they meet.
    """

    times_s: np.ndarray
    expression: np.ndarray
    jaw: np.ndarray
    gap_m: np.ndarray


def performance_of(head: HeadModel, shot: Shot, take: Take) -> Performance:
    """What a take of a shot does with the mouth; frames without a face are left out."""
    seen = shot.track.confidence > 0
    rest, rest_jaw = resting_expression(head, shot), np.median(shot.track.jaw[resting_frames(head, shot)], axis=0)
    gauge = LipGauge(head, shot.track.shape)
    gap = np.maximum(gauge.gap_m(take.expression, take.jaw) - _closed_gap(gauge, rest, rest_jaw), 0.0)
    return Performance(
        times_s=(shot.track.time - shot.track.time[0])[seen],
        expression=mouth_alone(head, take.expression - rest)[seen],
        jaw=(take.jaw - rest_jaw)[seen],
        gap_m=gap[seen],
    )


def lip_range(head: HeadModel, shot: Shot) -> float:
    """How far the actor of a shot opens the lips as filmed [m]. Raises InvalidInput where they hardly part."""
    seen = shot.track.confidence > 0
    gap = LipGauge(head, shot.track.shape).gap_m(shot.track.expression[seen], shot.track.jaw[seen])
    opened = float(np.percentile(np.maximum(gap, 0.0), RANGE_PERCENTILE)) if seen.any() else 0.0
    if opened < LEAST_RANGE_M:
        raise InvalidInput(
            f"The lips part by {1e3 * opened:.1f} mm in shot {shot.info.name}: there is no speech to scale by.",
            hint="Give --scale: how much further the actor opens the lips than the performer.",
        )
    return opened


def scale_between(head: HeadModel, performer: Shot, actor: Shot) -> tuple[float, tuple[str, ...]]:
    """What the performer's offsets are multiplied by, and a warning where that is held back. Raises InvalidInput."""
    ratio = lip_range(head, actor) / lip_range(head, performer)
    scale = float(np.clip(ratio, *SCALES))
    if scale == ratio:
        return scale, ()
    told = f"The lips open {ratio:.2f} times as far in {actor.info.name} as in {performer.info.name}"
    return scale, (f"{told}; the performance is scaled by {scale:g}. Say --scale where that is wrong.",)


def on_face(
    head: HeadModel, shape: np.ndarray, base: np.ndarray, expression: np.ndarray, jaw: np.ndarray, gap_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Offsets put on a face whose mouth rests.

    shape: (300,).   base: (T, 100) with the mouth at rest.   expression: (T, 100), jaw: (T, 3), scaled offsets.
    gap_m: (T,) that the lips shall be apart.   Returns expression (T, 100) and jaw (T, 3), float32.
    """
    gauge = LipGauge(head, shape)
    codes = (base + expression).astype(np.float32)
    turn = jaw.astype(np.float32)
    start = turn[:, 0].copy()
    for _ in range(GAP_STEPS):  # Newton's, one unknown a frame
        gap = gauge.gap_m(codes, turn)
        further = turn.copy()
        further[:, 0] += JAW_STEP
        slope = np.maximum((gauge.gap_m(codes, further) - gap) / JAW_STEP, 1e-3)
        turn[:, 0] = np.clip(turn[:, 0] + (gap_m - gap) / slope, start - MOST_JAW, start + MOST_JAW)
    return codes, turn


def _closed_gap(gauge: LipGauge, rest: np.ndarray, rest_jaw: np.ndarray) -> float:
    """What the tracked lips are apart when they rest: nobody's lips part when he says nothing. [m], at least 0."""
    return max(float(gauge.gap_m(rest[None].astype(np.float32), rest_jaw[None].astype(np.float32))[0]), 0.0)
