# SPDX-License-Identifier: Apache-2.0
"""The stand-in's expressions: named directions drawn as displacements of landmarks, then smooth local variation.

What landmarks do is in `goals.py`; everything between follows as the most likely smooth displacement (Gaussian-process
regression). Distances are taken on the head with its mouth open, where the lips are apart, so that each lip moves by
itself.
"""

import numpy as np

from dubplate_backend.head.goals import CLOSED_JAW_RAD, GOALS, Goal, displacements, lips_closing
from dubplate_backend.head.model import EXPRESSION_COMPONENTS
from dubplate_backend.head.standin import regions
from dubplate_backend.head.standin.face import Skin
from dubplate_backend.head.standin.gaussian_process import Kernel, Scale, components, spread
from dubplate_backend.head.standin.surface import Points, Surface
from dubplate_backend.head.standin.topology import POINTS
from dubplate_backend.head.standin.weights import mouth_open
from dubplate_shared.landmarks import CHIN, LEFT_MOUTH_CORNER, LOWER_INNER_LIP, RIGHT_MOUTH_CORNER, UPPER_INNER_LIP

DEVIATION = 0.5
"""Component value of one standard deviation is half of the full pose."""
KERNEL_JAW_RAD = np.radians(24)
"""The mouth is this far open where distances are taken."""
GOAL_KERNEL = Kernel(28.0, (Scale(6.0), Scale(2.5), Scale(1.0)))
GOAL_NOISE_MM = 0.05
SIDEWAYS_MM, SIDEWAYS_REACH_MM = (6.0, 0.6, 0.0), (34.0, 22.0, 40.0)
FADE_MM = 40.0
"""Over which named directions die away behind the face."""
VARIATION_REACH_MM = 24.0
VARIATION_MM = (1.8, 1.3, 0.7)
"""Deviations at reaches of 24, 12 and 6 mm."""
LOPSIDED = 0.7
SAMPLES = 520
SMALL_RAD = 1e-2
"""A turn of the jaw small enough to stand for its direction."""


def expression_basis(surface: Surface, skin: Skin, pairs: np.ndarray, jaw: np.ndarray, lids: np.ndarray) -> np.ndarray:
    """[V, 3, 100] millimetres: the named directions, then local variation; eyes, ears, teeth and tongue stay.

    pairs: [468] mirror partners.   jaw: [V] the jaw's share.   lids: [V, 3, 2] the closing lids.
    """
    soft = slice(len(skin.points))
    basis = np.zeros((len(surface.points), 3, EXPRESSION_COMPONENTS))
    named = len(GOALS)
    basis[soft, :, :named] = DEVIATION * named_directions(skin, pairs, jaw[soft], lids[soft])
    basis[soft, :, named:] = variation(skin, jaw[soft], EXPRESSION_COMPONENTS - named)
    return basis


def named_directions(skin: Skin, pairs: np.ndarray, jaw: np.ndarray, lids: np.ndarray) -> np.ndarray:
    """Displacements of all goals at full value.   Returns [V, 3, len(GOALS)] millimetres."""
    points = mouth_open(skin.points, jaw, KERNEL_JAW_RAD)
    to_landmarks = GOAL_KERNEL(points, points[:POINTS])  # [V, 468]
    fade = regions.expression_strength(skin.points, FADE_MM)[:, None]
    rest, share = skin.points[:POINTS], jaw[:POINTS]
    closing = lips_closing(rest, mouth_open(rest, share, CLOSED_JAW_RAD), share, pairs)

    def field(goal: Goal) -> np.ndarray:
        if goal.name.startswith("blink"):
            return lids[..., 0 if goal.name.endswith("L") else 1]
        if goal.name == "mouth_left":
            return fade * _sideways(points)
        known, moves = closing if goal.name == "lips_close" else displacements(goal, pairs)
        system = to_landmarks[known][:, known] + GOAL_NOISE_MM**2 * np.eye(len(known))
        return fade * (to_landmarks[:, known] @ np.linalg.solve(system, moves))

    return np.stack([field(goal) for goal in GOALS], -1)


def variation(skin: Skin, jaw: np.ndarray, count: int) -> np.ndarray:
    """Local modes for what the named directions leave over.   Returns [V, 3, count] millimetres, one deviation each."""
    points = mouth_open(skin.points, jaw, KERNEL_JAW_RAD)
    strength = regions.VariationStrength((points[UPPER_INNER_LIP] + points[LOWER_INNER_LIP]) / 2, points[CHIN])
    strengths = (strength.broad, strength.middle, strength.fine)
    scales = tuple(Scale(deviation, s) for deviation, s in zip(VARIATION_MM, strengths, strict=True))
    outer = points[: skin.outer_count]
    moving = regions.expression_strength(skin.points[: skin.outer_count], FADE_MM / 3) > 0.05
    half = np.flatnonzero((outer[:, 0] >= -1e-6) & moving)
    chosen = half[spread(outer[half], SAMPLES, strength.density(outer[half]))]
    modes = components(Kernel(VARIATION_REACH_MM, scales), outer[chosen], points, count, LOPSIDED)
    return without(modes, mouth_open(skin.points, jaw, SMALL_RAD) - skin.points)


def without(modes: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Modes less what they share with a displacement field: the jaw's turn stays the jaw's.

    modes: [V, 3, C].   field: [V, 3].   The landmarks, which come first, decide.   Returns [V, 3, C].
    """
    at_landmarks = field[:POINTS]
    share = np.einsum("vk,vkc->c", at_landmarks, modes[:POINTS]) / (at_landmarks**2).sum()  # [C]
    return modes - field[..., None] * share


def _sideways(points: Points) -> np.ndarray:
    """The mouth drawn to the subject's left, dying away around it.   Returns [V, 3]."""
    middle = (points[LEFT_MOUTH_CORNER] + points[RIGHT_MOUTH_CORNER]) / 2
    near = np.exp(-(((points - middle) / SIDEWAYS_REACH_MM) ** 2).sum(1))
    return near[:, None] * np.array(SIDEWAYS_MM)
