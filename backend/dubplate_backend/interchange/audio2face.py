# SPDX-License-Identifier: Apache-2.0
"""Exports of NVIDIA Audio2Face: a JSON of weights by frame, of its own FACS shapes or solved to ARKit's.

Fields: exportFps, numFrames, numPoses, facsNames, weightMat [frame][pose]; joints and rotations [frame][joint] where
the jaw moves as a joint.  Not confirmed: the components' order in a rotation, on which nothing here depends.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from dubplate_backend.head.unpickle import read_limited
from dubplate_backend.interchange.arkit import GAZE, JAW_OPEN_DEG, arkit_name
from dubplate_backend.interchange.eye_looks import eyes_of
from dubplate_backend.interchange.face_performance import FacePerformance
from dubplate_shared.errors import InvalidInput

WHAT = "an export of Audio2Face"
MAX_FILE_BYTES = 256 << 20
MAX_RATE = 1000.0

_SIDES = (("L", "Left"), ("R", "Right"))
_SIDED = {
    "eyesClose": "eyeBlink", "eyesUpperLidRaiser": "eyeWide", "squint": "eyeSquint", "browLower": "browDown",
    "outerBrowRaiser": "browOuterUp", "cheekRaiser": "cheekSquint", "noseWrinkler": "noseSneer",
    "lowerLipDepressor": "mouthLowerDown", "upperLipRaiser": "mouthUpperUp", "lipCornerPuller": "mouthSmile",
    "lipCornerDepressor": "mouthFrown", "lipStretcher": "mouthStretch", "dimpler": "mouthDimple",
}  # fmt: skip
FACS: dict[str, dict[str, float]] = {
    **{f"{facs}{letter}": {f"{arkit}{side}": 1.0} for facs, arkit in _SIDED.items() for letter, side in _SIDES},
    **{f"innerBrowRaiser{letter}": {"browInnerUp": 0.5} for letter, _ in _SIDES},  # ARKit has one shape for both sides
    **{f"cheekPuff{letter}": {"cheekPuff": 0.5} for letter, _ in _SIDES},
    "eyesLookUp": {"eyeLookUpLeft": 1.0, "eyeLookUpRight": 1.0},
    "eyesLookDown": {"eyeLookDownLeft": 1.0, "eyeLookDownRight": 1.0},
    "eyesLookLeft": {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0},
    "eyesLookRight": {"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0},
    "jawDrop": {"jawOpen": 1.0},
    "jawDropLipTowards": {"mouthClose": 1.0},
    "jawThrust": {"jawForward": 1.0},
    "jawSlideLeft": {"jawLeft": 1.0},
    "jawSlideRight": {"jawRight": 1.0},
    "mouthSlideLeft": {"mouthLeft": 1.0},
    "mouthSlideRight": {"mouthRight": 1.0},
    "chinRaiser": {"mouthShrugLower": 1.0},
    "lipPressor": {"mouthPressLeft": 1.0, "mouthPressRight": 1.0},
    "pucker": {"mouthPucker": 1.0},
    "funneler": {"mouthFunnel": 1.0},
    "lipSuck": {"mouthRollUpper": 1.0, "mouthRollLower": 1.0},
    "tongueOut": {"tongueOut": 1.0},
}
"""Audio2Face's own shapes (FACS action units) in ARKit's."""
_BY_LOWER_CASE = {name.lower(): parts for name, parts in FACS.items()}
_USED = 0.05
_STILL = 1e-3


def read_audio2face(path: Path, *, fps: float | None = None) -> FacePerformance:
    """An export.   fps: where the file does not say, or says wrong.   Raises InvalidInput where it is none."""
    content = _content(path)
    names, matrix = _weights(path, content)
    rate = fps if fps is not None else content.get("exportFps")
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 < rate <= MAX_RATE:
        raise InvalidInput(f"{path.name} does not say its frame rate.", hint="Say it: --fps 30.")
    weights: dict[str, np.ndarray] = {}
    unknown = []
    for name, column in zip(names, matrix.T, strict=True):
        plain = arkit_name(name)
        parts = {plain: 1.0} if plain is not None else _BY_LOWER_CASE.get(name.lower(), {})
        if not parts and np.abs(column).max() > _USED:
            unknown.append(name)
        for part, share in parts.items():
            weights[part] = weights.get(part, 0.0) + share * column
    if not weights:
        raise InvalidInput(
            f"{path.name}: none of its {len(names)} shapes is ARKit's or Audio2Face's ({', '.join(names[:4])} ...).",
            hint="Export the weights of the ARKit solve, or of Audio2Face's own 46 shapes.",
        )
    if "jawOpen" not in weights or np.ptp(weights["jawOpen"]) < _STILL:
        opening = _jaw_joint(path, content, len(matrix))
        if opening is not None:
            weights["jawOpen"] = opening
    eyes = eyes_of(weights) if any(name in weights for name in GAZE) else None
    notes = (f"Shapes that are not known, and are left out: {', '.join(unknown)}.",) if unknown else ()
    return FacePerformance(np.arange(len(matrix)) / rate, 1.0 / rate, weights, eyes, notes=notes)


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_limited(path, WHAT, MAX_FILE_BYTES))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InvalidInput(f"{path.name} is no JSON: {error}.", hint="Export it from Audio2Face again.") from error
    if not isinstance(content, dict) or not {"facsNames", "weightMat"} <= content.keys():
        raise InvalidInput(
            f"{path.name} lacks facsNames or weightMat.", hint="Export the blend shape weights from Audio2Face as JSON."
        )
    return content


def _weights(path: Path, content: dict[str, Any]) -> tuple[list[str], np.ndarray]:
    """Names of the shapes, and their weights [N, P]."""
    names = content["facsNames"]
    try:
        matrix = np.array(content["weightMat"], np.float64)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    good = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not good or matrix.ndim != 2 or len(matrix) == 0 or matrix.shape[1] != len(names):
        raise InvalidInput(
            f"{path.name}: weightMat is no table with a column for each of facsNames.",
            hint="Export it from Audio2Face again.",
        )
    return names, matrix


def _jaw_joint(path: Path, content: dict[str, Any], frames: int) -> np.ndarray | None:
    """(N,) jawOpen from a joint called jaw: its angle from the first frame, in which a mouth is at rest.

    The angle between two quaternions does not ask in which order their components stand.
    """
    joints = content.get("joints")
    index = next((i for i, name in enumerate(joints) if "jaw" in str(name).lower()), None) if joints else None
    if index is None:
        return None
    try:
        turns = np.array([frame[index] for frame in content["rotations"]], np.float64)
    except (KeyError, IndexError, TypeError, ValueError):
        turns = np.zeros(0)
    if turns.shape != (frames, 4) or (np.linalg.norm(turns, axis=1) < _STILL).any():
        raise InvalidInput(
            f"{path.name}: the jaw's rotations are no quaternions, one a frame.",
            hint="Export it again with joints, or with jawOpen among the weights.",
        )
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    angle = 2 * np.arccos(np.clip(np.abs(turns @ turns[0]), 0.0, 1.0))
    return np.degrees(angle) / JAW_OPEN_DEG
