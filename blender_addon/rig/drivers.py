# SPDX-License-Identifier: GPL-3.0-or-later
"""Drivers that make Blender's evaluation the head model's, number for number. None of them runs Python.

- expression shape keys follow the armature's properties;
- corrective shape keys follow R - I of neck, jaw and eyes (Li et al. 2017, FLAME, eq. 3);
- where the head's joints move with expression, a pivot bone above each joint moves by the shift, and the bone below it
  that carries the skin moves back by it: the joint turns about its shifted place.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from dubplate_shared.rig import JOINTS, Rig

from .armature import (
    EXPRESSION_COUNT,
    POSED_BONES,
    expression_name,
    expression_path,
    joints_move,
    pivot_bone,
    skin_bone,
)
from .head_mesh import corrective_name

Array = npt.NDArray[Any]

# R - I of a unit quaternion w x y z, row by row.
_ROTATION_MINUS_IDENTITY = (
    "-2*(y*y+z*z)", "2*(x*y-w*z)", "2*(x*z+w*y)",
    "2*(x*y+w*z)", "-2*(x*x+z*z)", "2*(y*z-w*x)",
    "2*(x*z-w*y)", "2*(y*z+w*x)", "-2*(x*x+y*y)",
)  # fmt: skip
_TERMS_A_DRIVER = 12  # Blender's driver expressions hold 255 characters; a term has at most 17
_UNITS_A_METRE = 1e6  # shifts in micrometres: Blender 5.0 leaves a value as it is where a driver moves it by under 1e-4
_LEAST_TERM = 1e-9  # metres of joint shift per standard deviation: a term below it is left out


def add_drivers(armature: bpy.types.Object, head: bpy.types.Object, rig: Rig) -> None:
    """Connect the mesh's shape keys, and the bones where they need it, to the armature."""
    keys = head.data.shape_keys
    for component in range(EXPRESSION_COUNT):
        _follow_expression(keys.key_blocks[expression_name(component)], armature, component)
    for index in range(len(POSED_BONES) * len(_ROTATION_MINUS_IDENTITY)):
        bone, entry = divmod(index, len(_ROTATION_MINUS_IDENTITY))
        driver = keys.key_blocks[corrective_name(index)].driver_add("value").driver
        _add_quaternion(driver, armature, POSED_BONES[bone])
        driver.expression = _ROTATION_MINUS_IDENTITY[entry]
    if joints_move(rig):
        for bone in POSED_BONES:
            _follow_joint(armature, bone, np.asarray(rig.joint_expression[JOINTS.index(bone)], np.float64))


def _follow_expression(key: bpy.types.ShapeKey, armature: bpy.types.Object, component: int) -> None:
    driver = key.driver_add("value").driver
    driver.type = "SUM"
    _add_property(driver, "value", armature, expression_path(component))


def _follow_joint(armature: bpy.types.Object, bone: str, shift: Array) -> None:
    """Move the joint's pivot with the expression.  shift: (3, 100) metres per standard deviation."""
    for index, axis in enumerate("xyz"):
        path = _add_shift_sum(armature, bone, axis, shift[index])
        for helper, expression in (
            (pivot_bone(bone), f"shift/{_UNITS_A_METRE:g}"),
            (skin_bone(bone), f"shift/-{_UNITS_A_METRE:g}"),
        ):
            driver = armature.pose.bones[helper].driver_add("location", index).driver
            _add_property(driver, "shift", armature, path)
            driver.expression = expression


def _add_shift_sum(armature: bpy.types.Object, bone: str, axis: str, coefficients: Array) -> str:
    """A chain of driven properties whose last is the sum of coefficient times expression; its path is returned."""
    components = np.flatnonzero(np.abs(coefficients) > _LEAST_TERM)
    path = ""
    for link, start in enumerate(range(0, max(len(components), 1), _TERMS_A_DRIVER)):
        name = f"joint_shift.{bone}.{axis}.{link}"
        armature[name] = 0.0
        driver = armature.driver_add(f'["{name}"]').driver
        terms = []
        if path:
            _add_property(driver, "sum", armature, path)
            terms.append("sum")
        for component in components[start : start + _TERMS_A_DRIVER]:
            variable = f"e{component}"
            _add_property(driver, variable, armature, expression_path(int(component)))
            terms.append(f"{coefficients[component] * _UNITS_A_METRE:.6e}*{variable}")
        driver.expression = "+".join(terms) or "0"
        path = f'["{name}"]'
    return path


def _add_property(driver: bpy.types.Driver, name: str, armature: bpy.types.Object, path: str) -> None:
    variable = driver.variables.new()
    variable.name = name
    variable.targets[0].id = armature
    variable.targets[0].data_path = path


def _add_quaternion(driver: bpy.types.Driver, armature: bpy.types.Object, bone: str) -> None:
    for name in "wxyz":
        variable = driver.variables.new()
        variable.name = name
        variable.type = "TRANSFORMS"
        target = variable.targets[0]
        target.id = armature
        target.bone_target = bone
        target.transform_type = f"ROT_{name.upper()}"
        target.rotation_mode = "QUATERNION"
        target.transform_space = "LOCAL_SPACE"
