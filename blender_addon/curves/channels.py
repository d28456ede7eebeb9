# SPDX-License-Identifier: GPL-3.0-or-later
"""The animated numbers of a performance, by the names of Blender's F-curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dubplate_shared.controls import CONTROLS

from ..rig.armature import EXPRESSION_COUNT, expression_path, rotation_path
from ..rig.controls import VALUE_AXIS, control_path

TAKE_BONES = ("jaw", "eye.L", "eye.R")  # the neck is as filmed and no part of a take
_BONE_GROUPS = {"neck": "Neck", "jaw": "Jaw", "eye.L": "Eyes", "eye.R": "Eyes"}
_CONTROL_GROUPS = {control.name: control.group for control in CONTROLS}


class Channel(NamedTuple):
    """One animated number on the armature.  path, index: an F-curve's.  group: what it is listed under."""

    path: str
    index: int
    group: str


def expression(component: int) -> Channel:
    """An expression component, in standard deviations."""
    return Channel(expression_path(component), 0, "Expression")


def angle(bone: str, axis: int) -> Channel:
    """One Euler angle of a bone, in radians. Of the jaw: 0 open, 1 side, 2 twist."""
    return Channel(rotation_path(bone), axis, _BONE_GROUPS[bone])


def control(name: str) -> Channel:
    """The value of a semantic control: 0 at rest, 1 at its full pose."""
    return Channel(control_path(name), VALUE_AXIS, _CONTROL_GROUPS[name])


EXPRESSION = tuple(expression(component) for component in range(EXPRESSION_COUNT))
JAW = tuple(angle("jaw", axis) for axis in range(3))
ANGLES = tuple(angle(bone, axis) for bone in TAKE_BONES for axis in range(3))


FILMED = (  # what the plate alone decides
    *(angle("neck", axis) for axis in range(3)),
    *(Channel(path, axis, "Head") for path in ("rotation_euler", "location") for axis in range(3)),
)


def performance(control_names: Sequence[str]) -> tuple[Channel, ...]:
    """All that a performance is keyed on: 100 expression components, 9 angles of jaw and eyes, the controls."""
    return (*EXPRESSION, *ANGLES, *map(control, control_names))
