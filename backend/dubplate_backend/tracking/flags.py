# SPDX-License-Identifier: Apache-2.0
"""Stretches of a track that a person should look at, each with its reason.

A value is flagged where it is wrong in itself and also stands out of its own shot: restless footage is not flagged
throughout, and a calm one not for its largest noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np

from dubplate_backend.tracking.quality import COVERED, Quality
from dubplate_shared.flags import FASTEST_JAW_DEG_S, Flag

# How far from the shot's median a value has to be, in deviations as a median absolute deviation estimates them
# (1.4826 of it; Rousseeuw & Croux 1993).
OUTSTANDING, DEVIATIONS_PER_MAD = 4.0, 1.4826
# Sharp faces that look this way have 0.8 to 1; smeared by a quarter of the face 0.45; turned by 60 degrees, 0.5
# (decision 0109).
LOW_CONFIDENCE = 0.5
# Of the inter-ocular distance, percent. Where colours place the head, what FaceMesh gets wrong of a face in all of its
# frames stays between the two: 2 to 3.3 for a face and 0.6 to 1.8 for lips on the development clips. Beyond twice that
# anything is loose, and what rises above its shot's median: a face smeared by a quarter adds 1.6, lips repeat to 0.5.
LOOSE_FACE_PERCENT, LOOSE_LIPS_PERCENT = 6.5, 3.6
RISEN_FACE_PERCENT, RISEN_LIPS_PERCENT = 1.2, 1.0
# Lips that are seen closed to this and tracked open to that, of the inter-ocular distance (90 mm), percent.
SEEN_CLOSED_PERCENT, TRACKED_OPEN_PERCENT = 1.2, 3.5
# Mean over the visible points, of the display's range: half of what one foreign point shows (see `occlusion.FOREIGN`).
COLOURS_OFF = 0.09
# Second differences at 25 frames a second that no nod makes: 3 a second by 8 degrees and 30 mm to either side have
# 4.5 degrees and 17 mm. With more frames a second they shrink as the square of the time; what landmarks jitter, not.
JUMP_DEG, JUMP_MM = 4.5, 17.0
LEAST_JUMP_DEG, LEAST_JUMP_MM = 1.0, 4.0
REFERENCE_GAP_S = 1 / 25


class Reason(StrEnum):
    """Why a stretch is flagged."""

    NO_FACE = "no_face"
    LOW_CONFIDENCE = "low_confidence"
    MOUTH_HIDDEN = "mouth_hidden"
    COLOURS_OFF = "colours_off"
    FACE_LOOSE = "face_loose"
    LIPS_LOOSE = "lips_loose"
    LIPS_OPEN = "lips_open"
    JAW_TOO_FAST = "jaw_too_fast"
    JUMP = "jump"


MEANINGS = {
    Reason.NO_FACE: "no face is seen",
    Reason.LOW_CONFIDENCE: "the face is blurred or turned away: its landmarks are guesses",
    Reason.MOUTH_HIDDEN: "something covers the mouth: it follows the frames around",
    Reason.COLOURS_OFF: "the picture is not what the head's colours and light make it",
    Reason.FACE_LOOSE: "the head does not sit on the detected face",
    Reason.LIPS_LOOSE: "the head's lips do not sit on the detected lips",
    Reason.LIPS_OPEN: "the lips are seen closed and tracked open",
    Reason.JAW_TOO_FAST: "the jaw turns faster than muscles turn it",
    Reason.JUMP: "the head jumps",
}


def find_flags(quality: Quality, frames: np.ndarray, times: np.ndarray) -> tuple[Flag, ...]:
    """All flags of a track, in the order of its frames.   frames: (T,) numbers.   times: (T,) seconds."""
    found: list[Flag] = []
    for reason, wrong, value, text in judged(quality, times):
        for start, stop in stretches(wrong):
            worst = start + int(np.argmax(value[start:stop]))
            says = f"{MEANINGS[reason]}{text.format(value[worst])}"
            numbers = tuple(int(frame) for frame in frames[start:stop])
            found.append(Flag(reason, numbers, int(frames[worst]), float(abs(value[worst])), says))
    return tuple(sorted(found, key=lambda flag: flag.frames))


def judged(quality: Quality, times: np.ndarray) -> list[tuple[Reason, np.ndarray, np.ndarray, str]]:
    """For each reason the frames that are wrong (T,) bool, how wrong (T,), and how to say it."""
    face = quality.has_face
    shown = face & (quality.hidden <= COVERED)  # of what is hidden, landmarks say nothing

    def beyond(values: np.ndarray, least: float | np.ndarray, where: np.ndarray) -> np.ndarray:
        return where & (values > least) & (values > outstanding(values[where]))

    def loose(values: np.ndarray, most: float, risen: float, where: np.ndarray) -> np.ndarray:
        middle = float(np.median(values[where])) if where.any() else 0.0
        return (where & (values > most)) | beyond(values, middle + risen, where)

    gap_s = np.full(len(quality), REFERENCE_GAP_S)
    gap_s[1:] = np.diff(times)
    slower = np.square(gap_s / REFERENCE_GAP_S)
    turn_least = np.maximum(JUMP_DEG * slower, LEAST_JUMP_DEG)
    shift_least = np.maximum(JUMP_MM * slower, LEAST_JUMP_MM)
    turned = beyond(quality.turn_change_deg, turn_least, face)
    shifted = beyond(quality.shift_change_mm, shift_least, face)
    jumped = np.maximum(quality.turn_change_deg / turn_least, quality.shift_change_mm / shift_least)
    lips_open = shown & (quality.seen_gap_percent < SEEN_CLOSED_PERCENT)
    lips_open &= quality.lip_gap_percent > TRACKED_OPEN_PERCENT
    return [
        (Reason.NO_FACE, ~face, np.zeros(len(quality)), ""),
        (Reason.LOW_CONFIDENCE, face & (quality.confidence < LOW_CONFIDENCE), -quality.confidence, ""),
        (Reason.MOUTH_HIDDEN, face & (quality.hidden > COVERED), quality.hidden, " ({:.0%} of it)"),
        (
            Reason.COLOURS_OFF,
            beyond(quality.colour_error, COLOURS_OFF, face),
            quality.colour_error,
            " ({:.0%} of the display's range apart)",
        ),
        (
            Reason.FACE_LOOSE,
            loose(quality.face_error_percent, LOOSE_FACE_PERCENT, RISEN_FACE_PERCENT, face),
            quality.face_error_percent,
            " ({:.1f} % of the inter-ocular distance)",
        ),
        (
            Reason.LIPS_LOOSE,
            loose(quality.lips_error_percent, LOOSE_LIPS_PERCENT, RISEN_LIPS_PERCENT, shown),
            quality.lips_error_percent,
            " ({:.1f} % of the inter-ocular distance)",
        ),
        (Reason.LIPS_OPEN, lips_open, quality.lip_gap_percent, " ({:.1f} % of the inter-ocular distance)"),
        (
            Reason.JAW_TOO_FAST,
            face & (quality.jaw_speed_deg_s > FASTEST_JAW_DEG_S),
            quality.jaw_speed_deg_s,
            " ({:.0f} degrees a second)",
        ),
        (Reason.JUMP, turned | shifted, jumped, " ({:.1f} times what a quick nod does)"),
    ]


def outstanding(values: np.ndarray) -> float:
    """What a value has to exceed to stand out of `values`."""
    if not len(values):
        return np.inf
    middle = float(np.median(values))
    return middle + OUTSTANDING * DEVIATIONS_PER_MAD * float(np.median(np.abs(values - middle)))


def stretches(wrong: np.ndarray) -> list[tuple[int, int]]:
    """Runs [start, stop) of true values; a single frame between two runs joins them."""
    joined = wrong.copy()
    joined[1:-1] |= wrong[:-2] & wrong[2:]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], joined, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def flagged_frames(flags: Sequence[Flag]) -> frozenset[int]:
    """Numbers of all frames that some flag names."""
    return frozenset(frame for flag in flags for frame in flag.frames)
