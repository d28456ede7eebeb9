# SPDX-License-Identifier: GPL-3.0-or-later
"""A point of the lips in hand: the controls that bring it to where it is pulled. Numbers alone, no scene.

Least squares under priors, in a few linearised steps: the point arrives; beyond that few controls change and little
(a Laplace prior, by reweighting), they stay near rest, and the other points of the lips near where they were.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.controls import CONTROLS
from dubplate_shared.landmarks import LIPS
from dubplate_shared.rig import Rig

from ..curves.channels import JAW, Channel, control
from ..rig.controls import ControlMatrix
from ..tools.face_points import FacePoints

Array = npt.NDArray[Any]

# Deviations of the priors: the point, across the pull and along the line of sight, which nobody can judge; the other
# points; a control's distance from rest.
_ARRIVES_M, _SIGHT_M, _OTHERS_M, _REST = 2e-5, 4e-3, 1.2e-2, 3.0
# Means of the Laplace prior of a control's change: a jaw drops readily, and lips_close is there to undo it.
_CHANGE, _READY = 0.25, {"jaw_open": 0.5, "lips_close": 0.1}
_SIDE_RAD, _MOST_SIDE = np.radians(10.0), 1.0  # the jaw's way to a side, which has no control of its own
_STEPS = 3  # each before and after the idle controls are left out
_NEGLIGIBLE = 0.01  # of a control's way: one that would move less is left alone, so that no key is set for nothing
_MOUTH = {control.name: control for control in CONTROLS if control.group in ("Jaw", "Lips")}


@dataclass(frozen=True)
class Solution:
    """changes: what to add, in each channel's unit.  reached: (3,) m, where the point is then."""

    changes: dict[Channel, float]
    reached: Array


class Grab:
    """The lips on one frame.  All places are in the skull's space: head space with the neck at rest, metres."""

    def __init__(self, rig: Rig, expression: Array, jaw: Array, controls: Array) -> None:
        """expression: (100,) and jaw: (3,) Euler XYZ, both without the controls' part.  controls: (C,) values."""
        matrix = ControlMatrix.of_rig(rig)
        used = [index for index, name in enumerate(matrix.names) if name in _MOUTH]
        names = [matrix.names[index] for index in used]
        by_expression = np.vstack([matrix.expression[used], np.zeros((1, matrix.expression.shape[1]))])  # [U, 100]
        expression = np.asarray(expression, np.float64) + controls @ matrix.expression
        points = FacePoints.of_landmarks(rig, LIPS)
        self._points = replace(  # with the unknowns for components
            points,
            rest=points.rest + points.basis @ expression,
            basis=points.basis @ by_expression.T,
            joint=points.joint + points.joint_basis @ expression,
            joint_basis=points.joint_basis @ by_expression.T,
        )
        self._jaw = np.asarray(jaw, np.float64) + controls @ matrix.jaw
        self._by_jaw = np.vstack([matrix.jaw[used], [0.0, _SIDE_RAD, 0.0]])  # [U, 3]
        self._channels = [*map(control, names), JAW[1]]
        self._units = np.append(np.ones(len(names)), _SIDE_RAD)
        self._start = np.append(controls[used], jaw[1] / _SIDE_RAD)
        self._change = np.array([_READY.get(name, _CHANGE) for name in names] + [_CHANGE])
        limits = np.array(
            [(_MOUTH[name].soft_min, _MOUTH[name].soft_max) for name in names] + [(-_MOST_SIDE, _MOST_SIDE)]
        )
        self._low = np.minimum(limits[:, 0] - self._start, 0.0)  # one that is beyond already need not come back
        self._high = np.maximum(limits[:, 1] - self._start, 0.0)
        self.positions = self._positions(np.zeros(len(self._start)))
        """Where the points of dubplate_shared.landmarks.LIPS are.  (40, 3)."""

    def pull(self, landmark: int, target: Array, sight: Array | None = None) -> Solution:
        """What brings `landmark`, one of LIPS, to `target` (3,).

        sight: (3,) direction along which the target is a guess, as it is where a mouse gave it.
        No control is led over its soft limits, so a target out of reach is approached.
        """
        pull = _Pull(LIPS.index(landmark), np.asarray(target, np.float64), _weights(LIPS.index(landmark), sight))
        change = self._solve(pull, np.zeros(len(self._start)), np.ones(len(self._start), bool))
        moved = np.abs(change) > _NEGLIGIBLE
        change = self._solve(pull, np.where(moved, change, 0.0), moved)
        changes = {c: float(v) for c, v in zip(self._channels, change * self._units, strict=True) if v}
        return Solution(changes, self._positions(change)[pull.point])

    def _solve(self, pull: _Pull, change: Array, free: Array) -> Array:
        """Change of all unknowns (U,), beginning at `change`; those not `free` stay."""
        for _ in range(_STEPS if free.any() else 0):
            precision = 1.0 / (self._change * (np.abs(change) + _NEGLIGIBLE)) if change.any() else np.ones(len(free))
            rows, missing = self._linearised(pull, change)
            normal = rows.T @ rows + np.diag(precision + _REST**-2)
            right = rows.T @ missing - self._start * _REST**-2
            change = _bounded(normal, right, self._low, self._high, free)
        return change

    def _linearised(self, pull: _Pull, change: Array) -> tuple[Array, Array]:
        """Rows (120, U) and right side (120,), weighted: rows @ change are the points where they are wanted."""
        direct, by_jaw = self._points.slopes(change[None], self._turned(change))
        slope = direct[0] + by_jaw[0] @ self._by_jaw.T  # [40, 3, U]
        wanted = self.positions.copy()
        wanted[pull.point] = pull.target
        missing = wanted - self._positions(change) + slope @ change
        return (pull.weights @ slope).reshape(-1, len(change)), (pull.weights @ missing[..., None]).ravel()

    def _turned(self, change: Array) -> Array:
        return np.asarray((self._jaw + change @ self._by_jaw)[None])

    def _positions(self, change: Array) -> Array:
        return np.asarray(self._points.positions(change[None], self._turned(change))[0])


@dataclass(frozen=True)
class _Pull:
    """point: of LIPS.  target: (3,).  weights: (40, 3, 3) 1/m, on every point's residual."""

    point: int
    target: Array
    weights: Array


def _bounded(normal: Array, right: Array, low: Array, high: Array, free: Array) -> Array:
    """Least squares within bounds: the unknown that is farthest beyond is held at its bound, until none is.  (C,)."""
    solution, free = np.zeros(len(right)), free.copy()
    while free.any():
        known = normal[np.ix_(free, ~free)] @ solution[~free]
        solution[free] = np.linalg.solve(normal[np.ix_(free, free)], right[free] - known)
        beyond = np.where(free, np.maximum(low - solution, solution - high), 0.0)
        worst = int(beyond.argmax())
        if beyond[worst] <= 0.0:
            break
        solution[worst] = np.clip(solution[worst], low[worst], high[worst])
        free[worst] = False
    return solution


def _weights(point: int, sight: Array | None) -> Array:
    weights = np.full((len(LIPS), 1, 1), 1.0 / _OTHERS_M) * np.eye(3)
    weights[point] = np.eye(3) / _ARRIVES_M
    if sight is not None:
        along = np.asarray(sight, np.float64) / np.linalg.norm(sight)
        weights[point] += np.outer(along, along) * (1.0 / _SIGHT_M - 1.0 / _ARRIVES_M)
    return weights
