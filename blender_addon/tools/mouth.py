# SPDX-License-Identifier: GPL-3.0-or-later
"""What of an expression is the mouth's: components of a head model may move lips and brows at once. No bpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.landmarks import CHIN, LEFT_BROW, LEFT_EYE, LIPS, RIGHT_BROW, RIGHT_EYE
from dubplate_shared.rig import Rig

from .face_points import FacePoints

Array = npt.NDArray[Any]

UPPER_FACE = (*LEFT_EYE, *RIGHT_EYE, *LEFT_BROW, *RIGHT_BROW)
# The skin between lips, nose and chin: it goes with the mouth.
AROUND = (CHIN, 2, 164, 18, 200, 199, 175, 57, 287, 43, 273, 106, 335, 202, 422, 212, 432, 216, 436, 92, 322, 165, 391)
_LEAST_EFFORT_M = 2e-5  # of a standard deviation: a component that moves a point by less is left alone


def mouth_share(rig: Rig) -> Array:
    """The matrix (100, 100) that turns a change of expression into the one that moves the mouth alike and leaves eyes
    and brows alone, as nearly as the head's components can tell them apart (least squares)."""
    mouth, upper = basis_of(rig, (*LIPS, *AROUND)), basis_of(rig, UPPER_FACE)
    wanted = mouth.T @ mouth
    effort = len(mouth) * _LEAST_EFFORT_M**2 * np.eye(mouth.shape[1])
    return np.asarray(np.linalg.solve(wanted + upper.T @ upper + effort, wanted))


def basis_of(rig: Rig, landmarks: tuple[int, ...]) -> Array:
    """How landmarks follow the expression at rest: (3 N, 100) m a standard deviation."""
    points = FacePoints.of_landmarks(rig, landmarks)
    components = points.basis.shape[-1]
    return points.slopes(np.zeros((1, components)), np.zeros((1, 3)))[0][0].reshape(-1, components)
