# SPDX-License-Identifier: GPL-3.0-or-later
"""Semantic controls on the armature: each is the Y location of one bone, 0 at rest and 1 at its full pose.

What a value does is a row of two matrices, solved on the head in use and kept on the armature as plain custom data:
expression and jaw Euler angles add up, `expression = properties + values @ matrix`, and Blender's evaluation follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from dubplate_shared.rig import Rig

Array = npt.NDArray[Any]

VALUE_AXIS = 1  # of the bone's location: bones point along their handle's way
_KEY = "dubplate_controls"


@dataclass(frozen=True)
class ControlMatrix:
    """names: C names as in dubplate_shared.controls.  expression: (C, 100).  jaw: (C, 3) Euler XYZ, radians."""

    names: tuple[str, ...]
    expression: Array
    jaw: Array

    @classmethod
    def of_rig(cls, rig: Rig) -> ControlMatrix:
        """The rig's own.  Its jaw is axis-angle about one axis, which is the same number as an Euler angle."""
        expression, jaw = (np.asarray(array, np.float64) for array in (rig.control_expression, rig.control_jaw))
        return cls(rig.control_names, expression, jaw)

    def store(self, armature: bpy.types.Object) -> None:
        """Keep it on the armature, where it is found without the shot."""
        armature[_KEY] = {
            name: [*expression.tolist(), *jaw.tolist()]
            for name, expression, jaw in zip(self.names, self.expression, self.jaw, strict=True)
        }

    @classmethod
    def of(cls, armature: bpy.types.Object) -> ControlMatrix:
        """What store kept; without controls where nothing was kept."""
        stored = armature[_KEY].to_dict() if _KEY in armature else {}
        rows = np.array(list(stored.values()), np.float64).reshape(len(stored), 103)
        return cls(tuple(stored), rows[:, :100], rows[:, 100:])


def handle_name(control: str) -> str:
    """Bone of a control, mirrored by Blender's own rule: smile_L is smile.L."""
    return f"{control[:-2]}.{control[-1]}" if control.endswith(("_L", "_R")) else control


def control_path(control: str) -> str:
    """F-curve path of a control's value, at index VALUE_AXIS."""
    return f'pose.bones["{handle_name(control)}"].location'


def value_path(control: str) -> str:
    """Path of a control's value, as drivers read it."""
    return f"{control_path(control)}[{VALUE_AXIS}]"


def control_key(control: str) -> str:
    """Name of the shape key that shows what a control does to the skin."""
    return f"control_{handle_name(control)}"
