# SPDX-License-Identifier: Apache-2.0
"""Weights of ARKit's face shapes put on a head: any head, through its landmarks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import torch

from dubplate_backend.head.controls import landmark_directions, least_effort
from dubplate_backend.head.goals import GOALS, Goal, displacements
from dubplate_backend.head.model import HeadModel
from dubplate_backend.head.standin.expressions import SIDEWAYS_REACH_MM
from dubplate_backend.head.standin.topology import face_triangles, mirror_pairs
from dubplate_backend.interchange.arkit import CLOSING, EXTRA_GOALS, JAW_DEG, PARTS, WITHOUT_COUNTERPART
from dubplate_backend.speech.mouth import LipGauge
from dubplate_shared.landmarks import LEFT_MOUTH_CORNER, RIGHT_MOUTH_CORNER

MM = 1e-3
SIDEWAYS_MM = 14.0
"""The lips' middle at mouthLeft = 1 (ICT-FaceKit)."""
LIDS_SHUT, LIDS_WIDE = 1.0, -0.35
"""What blink, squint and gaze together may do to a lid."""
LEAST_OPENING = 0.05
"""Of jawOpen: below this the share that mouthClose closes means little, and it fades."""
HEEDED = 0.05
"""A shape without counterpart that never passes this is not missed."""

_SUFFIX = {"left": "_L", "right": "_R", "both": ""}
_GOALS = {goal.name: goal for goal in (*GOALS, *EXTRA_GOALS)}


def codes_of_shapes(
    head: HeadModel, shape: np.ndarray, base: np.ndarray, weights: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Codes of T frames.

    shape: (300,).   base: (T, 100) the expression that all weights at 0 give.   weights: ARKit's name -> (T,).
    mouthClose is taken as the share of the jaw's opening that the lips close: they meet where it reaches jawOpen.
    Returns expression (T, 100) and jaw (T, 3), float32; the jaw never turns above closed.
    """
    nothing = np.zeros(len(base))
    jaw = np.zeros((len(base), 3))
    for name, degrees in JAW_DEG.items():
        jaw += np.radians(degrees) * np.asarray(weights.get(name, nothing))[:, None]
    jaw[:, 0] = np.maximum(jaw[:, 0], 0.0)
    expression = base.astype(np.float64) + _closing(head, shape, base, jaw, weights)
    amounts = _amounts(weights)
    for key, towards in directions(head, amounts).items():
        expression += amounts[key][:, None] * towards  # [T, 100]
    return expression.astype(np.float32), jaw.astype(np.float32)


def missed(weights: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Shapes that the performance uses and no head can follow, each with the reason."""
    return tuple(
        f"{name} ({why})"
        for name, why in WITHOUT_COUNTERPART.items()
        if name in weights and np.abs(weights[name]).max() > HEEDED
    )


def directions(head: HeadModel, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], np.ndarray]:
    """(goal, side) -> [100] expression that does the goal, or one half of it; the halves add up to the whole."""
    landmarks = head.landmarks(head.template[None])[0].double().numpy()  # [468, 3]
    reach = landmark_directions(head)  # [468, 3, 100]
    pairs = mirror_pairs(face_triangles())
    found = {}
    for goal, side in keys:
        control = goal + _SUFFIX[side]
        if control in head.controls:
            found[goal, side] = head.controls[control][0].double().numpy()
            continue
        index, moves = _sideways(landmarks) if goal == "mouth_left" else displacements(_goal(goal), pairs)
        if side != "both":
            x = landmarks[index, 0]
            # Landmarks of the middle go half the way with either side.
            moves = moves * np.where(pairs[index] == index, 0.5, x > 0 if side == "left" else x < 0)[:, None]
        found[goal, side] = least_effort(reach[index], torch.from_numpy(moves * MM)).numpy()
    return found


def _goal(name: str) -> Goal:
    """A goal for both sides, also where the table has it one-sided."""
    return _GOALS[name] if name in _GOALS else replace(_GOALS[f"{name}_L"], side="both")


def _sideways(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lips to the subject's left, and what lies around them less and less.   landmarks: [468, 3] metres."""
    middle = landmarks[[LEFT_MOUTH_CORNER, RIGHT_MOUTH_CORNER]].mean(0)
    near = np.exp(-(((landmarks - middle) / (np.array(SIDEWAYS_REACH_MM) * MM)) ** 2).sum(1))
    return np.arange(len(landmarks)), near[:, None] * (SIDEWAYS_MM, 0.0, 0.0)


def _closing(
    head: HeadModel, shape: np.ndarray, base: np.ndarray, jaw: np.ndarray, weights: Mapping[str, np.ndarray]
) -> np.ndarray:
    """(T, 100) of the control that brings the lips together: of the gap that the jaw opens, and of no other."""
    if CLOSING not in weights:
        return np.zeros(base.shape)
    opening = np.asarray(weights.get("jawOpen", np.zeros(len(base))))
    share = np.clip(weights[CLOSING] / np.maximum(opening, LEAST_OPENING), 0.0, 1.0)  # [T]
    needed = LipGauge(head, shape).closing(base.astype(np.float32), jaw.astype(np.float32))  # [T]
    return (share * needed)[:, None] * head.controls["lips_close"][0].double().numpy()


def _amounts(weights: Mapping[str, np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
    """How much of each goal and side, (T,); lids neither fold nor tear."""
    amounts: dict[tuple[str, str], np.ndarray] = {}
    for name, parts in PARTS.items():
        if name in weights:
            for part in parts:
                key = (part.goal, part.side)
                amounts[key] = amounts.get(key, 0.0) + part.amount * np.asarray(weights[name], np.float64)
    for key in amounts:
        if key[0] == "blink":
            amounts[key] = np.clip(amounts[key], LIDS_WIDE, LIDS_SHUT)
    return amounts
