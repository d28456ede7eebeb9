# SPDX-License-Identifier: GPL-3.0-or-later
"""Lips made to touch over chosen frames, as P, B and M ask for: least squares on the head in use. No bpy.

The change of jaw, controls and expression that brings the facing points of the lips together and leaves eyes and brows
where they are: in each of a few linearised steps the most likely one under Gaussian priors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.rig import Rig

from .blend import ramp
from .face_points import LipPairs
from .mouth import UPPER_FACE, basis_of
from .mouths import Change, Mouths, control_rows, lip_controls

Array = npt.NDArray[Any]

TOUCHING_MM = 0.3  # lips that are nearer are closed: half a pixel of a face 160 px between the outer eye corners
_STEPS = 6
# Deviations of the priors. What a person would reach for moves most readily: the jaw, then the controls; the head's own
# components do the rest. Lips meet to a micrometre up and down, and to half a millimetre in depth and
# sideways, where they roll.
_JAW_RAD = np.radians((3.0, 0.7, 0.7))
_CONTROL, _EXPRESSION = 0.3, 0.15
_MEET_M = np.array((5e-4, 1e-6, 5e-4))
_STILL_M = 1e-4


def hold_closure(rig: Rig, mouths: Mouths, *, start: int, stop: int, blend_in: int, blend_out: int) -> Change:
    """Close the lips over the rows start to stop (excluded), and lead there over the rows on either side."""
    return close(rig, mouths, ramp(len(mouths), start, stop, blend_in, blend_out))


def close(rig: Rig, mouths: Mouths, share: Array) -> Change:
    """Close the lips by a share of their gap in each row.  share: (T,) 0..1; where it is 0, so is the change."""
    rows = np.flatnonzero(share)
    names = lip_controls(rig)
    change = np.zeros((len(mouths), 3 + len(names) + mouths.expression.shape[1]))
    if len(rows):
        change[rows] = _closing(rig, names, mouths.columns()[rows], share[rows])
    jaw, controls, expression = np.split(change, [3, 3 + len(names)], axis=1)
    return Change(jaw, expression, dict(zip(names, controls.T, strict=True)))


def touching(rig: Rig, mouths: Mouths) -> Array:
    """Rows in which the lips are closed, (T,) bool."""
    return np.asarray(LipPairs(rig).gap_mm(mouths.expression, mouths.jaw) < TOUCHING_MM)


def _closing(rig: Rig, names: tuple[str, ...], before: Array, share: Array) -> Array:
    """before: (T, 103) jaw and expression.  share: (T,).  Returns (T, 3 + C + 100): jaw, controls, expression."""
    pairs, effect = LipPairs(rig), _effect(control_rows(rig, names))
    deviation = np.concatenate([_JAW_RAD, np.full(len(names), _CONTROL), np.full(before.shape[1] - 3, _EXPRESSION)])
    apart = pairs.apart(before[:, 3:], before[:, :3])
    left = np.where(apart[..., 1] > 0, 1.0 - share[:, None], 1.0)  # pressed lips stay pressed
    wanted = apart * left[..., None]
    # Normal equations in the unknowns over their deviations.
    still = basis_of(rig, UPPER_FACE) @ effect[:, 3:].T / _STILL_M * deviation
    fixed = np.eye(len(deviation)) + still.T @ still
    change = np.zeros((len(before), len(deviation)))
    for _ in range(_STEPS):
        now = before + change @ effect
        by_expression, by_jaw = pairs.slopes(now[:, 3:], now[:, :3])
        slope = np.concatenate([by_jaw, by_expression], axis=-1) @ effect.T / _MEET_M[:, None]  # [T, 9, 3, K]
        slope = slope.reshape(len(now), -1, len(deviation))
        missing = ((wanted - pairs.apart(now[:, 3:], now[:, :3])) / _MEET_M).reshape(len(now), -1)
        scaled = slope * deviation
        normal = fixed + scaled.transpose(0, 2, 1) @ scaled
        right = np.einsum("trk,tr->tk", scaled, missing)[..., None]
        change += np.linalg.solve(normal, right)[..., 0] * deviation
    return change


def _effect(controls: Array) -> Array:
    """What a unit of each unknown adds to jaw and expression, (3 + C + 100, 103)."""
    components = controls.shape[1]
    effect = np.zeros((3 + len(controls) + components, 3 + components))
    effect[:3, :3] = np.eye(3)
    effect[3 : 3 + len(controls), 3:] = controls
    effect[3 + len(controls) :, 3:] = np.eye(components)
    return effect
