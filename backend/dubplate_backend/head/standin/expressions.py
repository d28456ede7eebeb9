# SPDX-License-Identifier: Apache-2.0
"""The stand-in's expressions: named directions drawn as displacements of landmarks, then smooth local variation.

What landmarks do is in `goals.py`; everything between follows as the most likely smooth displacement (Gaussian-process
regression). Distances are taken on the head with its mouth open, where the lips are apart, so that each lip moves by
itself.
"""

import numpy as np

from dubplate_backend.head.goals import GOALS, displacements
from dubplate_backend.head.standin.gaussian_process import Kernel, Scale, components, regress
from dubplate_backend.head.standin.surface import Points
from dubplate_backend.head.standin.topology import POINTS

DEVIATION = 0.5
"""Component value of one standard deviation is half of the full pose."""
GOAL_KERNEL = Kernel(28.0, (Scale(6.0), Scale(2.5), Scale(1.0)))
LOPSIDED = 0.7
SMALL_RAD = 1e-2
"""A turn of the jaw small enough to stand for its direction."""


def named_displacements(
    landmarks: Points, at: Points, pairs: np.ndarray, lids: np.ndarray, closing: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Displacement fields of all goals at full value.

    landmarks: [468, 3], at: [V, 3], both with the mouth open.   pairs [468]: mirror partners.
    lids [V, 3, 2]: the closing lids.   closing: which landmarks lips_close moves, and how.
      Returns [V, 3, len(GOALS)] millimetres.
    """
    fields = []
    for goal in GOALS:
        if goal.name.startswith("blink"):
            fields.append(lids[..., 0 if goal.name.endswith("L") else 1])
            continue
        if goal.name == "mouth_left":
            fields.append(_sideways(landmarks, at))
            continue
        index, moves = closing if goal.name == "lips_close" else displacements(goal, pairs)
        fields.append(regress(GOAL_KERNEL, landmarks[index], moves, at))
    return np.stack(fields, -1)


def _sideways(landmarks: Points, at: Points) -> np.ndarray:
    """The mouth drawn to the subject's left, dying away around it.   Returns [V, 3]."""
    middle = (landmarks[61] + landmarks[291]) / 2
    near = np.exp(-(((at - middle) / [34, 22, 40]) ** 2).sum(1))
    return near[:, None] * np.array([6.0, 0.6, 0.0])


def variation(samples: Points, at: Points, strength: dict[str, object], count: int) -> np.ndarray:
    """Local modes for what the named directions leave over.   Returns [V, 3, count] millimetres, one deviation each."""
    kernel = Kernel(24.0, (Scale(1.8, strength["broad"]), Scale(1.3, strength["middle"]), Scale(0.7, strength["fine"])))
    return components(kernel, samples, at, count, LOPSIDED)


def without(modes: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Modes less what they share with a displacement field: the jaw's turn stays the jaw's.

    modes: [V, 3, C].   field: [V, 3].   The landmarks, which come first, decide.   Returns [V, 3, C].
    """
    at_landmarks = field[:POINTS]
    share = np.einsum("vk,vkc->c", at_landmarks, modes[:POINTS]) / (at_landmarks**2).sum()  # [C]
    soft = np.abs(modes).max((1, 2)) > 0  # teeth and eyes stay untouched
    return modes - soft[:, None, None] * field[..., None] * share
