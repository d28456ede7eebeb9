# SPDX-License-Identifier: GPL-3.0-or-later
"""A stretch of a performance as numbers, and a change of it as an artist's curves have it. No bpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.controls import CONTROLS
from dubplate_shared.rig import Rig

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Mouths:
    """What the face does, all layers and controls summed.  expression: (T, 100).  jaw: (T, 3) Euler XYZ, radians."""

    expression: Array
    jaw: Array

    def __len__(self) -> int:
        return len(self.jaw)

    def columns(self) -> Array:
        """(T, 103): jaw, expression."""
        return np.concatenate([self.jaw, self.expression], axis=1).astype(np.float64)

    @classmethod
    def of_columns(cls, columns: Array) -> Mouths:
        """Inverse of columns."""
        return cls(columns[:, 3:], columns[:, :3])


@dataclass(frozen=True)
class Change:
    """What is added to a performance.  jaw: (T, 3) radians.  expression: (T, 100).  controls: name -> (T,)."""

    jaw: Array
    expression: Array
    controls: dict[str, Array]

    @classmethod
    def between(cls, before: Mouths, after: Mouths) -> Change:
        """What makes `after` of `before`, on the curves of jaw and expression alone."""
        return cls(after.jaw - before.jaw, after.expression - before.expression, {})

    @classmethod
    def none(cls, mouths: Mouths) -> Change:
        """Of as many rows as `mouths` has."""
        return cls(np.zeros_like(mouths.jaw), np.zeros_like(mouths.expression), {})

    def plus(self, other: Change) -> Change:
        """Both."""
        controls = dict(self.controls)
        for name, values in other.controls.items():
            controls[name] = controls.get(name, 0.0) + values
        return Change(self.jaw + other.jaw, self.expression + other.expression, controls)

    def on(self, mouths: Mouths, rig: Rig) -> Mouths:
        """`mouths` with the change."""
        expression, jaw = mouths.expression + self.expression, mouths.jaw + self.jaw
        for name, values in self.controls.items():
            row = rig.control_names.index(name)
            expression = expression + np.outer(values, rig.control_expression[row])
            jaw = jaw + np.outer(values, rig.control_jaw[row])
        return Mouths(expression, jaw)


def lip_controls(rig: Rig) -> tuple[str, ...]:
    """Names of the head's controls that move the lips."""
    return tuple(control.name for control in CONTROLS if control.group == "Lips" and control.name in rig.control_names)


def control_rows(rig: Rig, names: tuple[str, ...]) -> Array:
    """What the named controls do to the expression, (C, 100)."""
    rows = [rig.control_names.index(name) for name in names]
    return np.asarray(rig.control_expression, np.float64)[rows]
