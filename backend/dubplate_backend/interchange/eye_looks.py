# SPDX-License-Identifier: Apache-2.0
"""Where the eyes look, from ARKit's look shapes, and from angles whose unit and sign the file does not say."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dubplate_backend.interchange.arkit import EYE_RANGE_DEG
from dubplate_shared.rotations import axis_angle_from_matrix, matrix_from_axis_angle

SIDES = ("left", "right")
UNITS = (1.0, np.pi, np.pi / 180)
"""Radians, half turns (Unreal's ARKit plug-in writes degrees / 180), degrees: files of all three are about."""
SEEN_LOOK = 0.02
"""Mean of a look shape below which an eye has hardly moved, and its angles tell nothing of their unit."""
ALIKE = 0.7
"""Correlation from which angles are the look shapes' own."""


def eyes_of(
    weights: Mapping[str, np.ndarray], angles: Mapping[tuple[str, str], np.ndarray] | None = None
) -> np.ndarray:
    """(N, 6) axis-angle of left and right eye: towards the subject's left +y, down +x.

    weights: ARKit's name -> (N,).   angles: ("left", "yaw") and the like -> (N,); used where their unit and sign can be
    read off against the look shapes, which Apple defines.
    """
    return np.concatenate([_eye(side, weights, angles or {}) for side in SIDES], axis=1)


def _eye(side: str, weights: Mapping[str, np.ndarray], angles: Mapping[tuple[str, str], np.ndarray]) -> np.ndarray:
    nothing = np.zeros(len(next(iter(weights.values()))))

    def look(way: str) -> np.ndarray:
        return weights.get(f"eyeLook{way}{side.title()}", nothing)

    outwards = look("Out") - look("In")
    shapes = {"yaw": outwards if side == "left" else -outwards, "pitch": look("Down") - look("Up")}
    yaw, pitch = (_angle(np.radians(EYE_RANGE_DEG) * shape, angles.get((side, name))) for name, shape in shapes.items())
    turn = np.zeros((len(yaw), 2, 3))
    turn[:, 0, 1], turn[:, 1, 0] = yaw, pitch
    matrices = matrix_from_axis_angle(turn)  # [N, 2, 3, 3]
    return axis_angle_from_matrix(matrices[:, 0] @ matrices[:, 1])


def _angle(from_shapes: np.ndarray, from_file: np.ndarray | None) -> np.ndarray:
    """(N,) radians.   from_shapes: (N,) what the look shapes say.   from_file: (N,) of unknown unit and sign."""
    if from_file is None or np.abs(from_shapes).mean() < SEEN_LOOK * np.radians(EYE_RANGE_DEG):
        return from_shapes
    squared = float(from_file @ from_file)
    slope = float(from_file @ from_shapes) / squared if squared > 0 else 0.0
    if abs(slope) * np.sqrt(squared) < ALIKE * np.linalg.norm(from_shapes):  # of something else, or standing still
        return from_shapes
    unit = min(UNITS, key=lambda unit: abs(np.log(unit / abs(slope))))
    return np.sign(slope) * unit * from_file
