# SPDX-License-Identifier: GPL-3.0-or-later
"""Drivers that make Blender's evaluation the head model's, number for number. None of them runs Python.

- expression shape keys follow the armature's properties, and those of the controls their handles;
- corrective shape keys follow R - I of neck, jaw and eyes (Li et al. 2017, FLAME, eq. 3);
- where the head's joints move with expression, a pivot bone above each joint moves by the shift, and the bone below it
  that carries the skin moves back by it: the joint turns about its shifted place.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from .controls import control_key, value_path
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
        _follow(keys.key_blocks[expression_name(component)], armature, expression_path(component))
    for control in rig.control_names:
        _follow(keys.key_blocks[control_key(control)], armature, value_path(control))
    for index in range(len(POSED_BONES) * len(_ROTATION_MINUS_IDENTITY)):
        bone, entry = divmod(index, len(_ROTATION_MINUS_IDENTITY))
        driver = keys.key_blocks[corrective_name(index)].driver_add("value").driver
        _add_quaternion(driver, armature, POSED_BONES[bone])
        driver.expression = _ROTATION_MINUS_IDENTITY[entry]
    if joints_move(rig):
        paths = [*map(expression_path, range(EXPRESSION_COUNT)), *map(value_path, rig.control_names)]
        for bone in POSED_BONES:
            shift = np.asarray(rig.joint_expression[JOINTS.index(bone)], np.float64)  # [3, 100]
            by_control = shift @ np.asarray(rig.control_expression, np.float64).T  # [3, C]
            _follow_joint(armature, bone, paths, np.concatenate([shift, by_control], axis=1))


def _follow(key: bpy.types.ShapeKey, armature: bpy.types.Object, path: str) -> None:
    driver = key.driver_add("value").driver
    driver.type = "SUM"
    _add_property(driver, "value", armature, path)


def _follow_joint(armature: bpy.types.Object, bone: str, paths: Sequence[str], shift: Array) -> None:
    """Move the joint's pivot with expression and controls.  shift: (3, N) metres per unit of each of the N `paths`."""
    for index, axis in enumerate("xyz"):
        path = _add_shift_sum(armature, f"joint_shift.{bone}.{axis}", paths, shift[index])
        for helper, expression in (
            (pivot_bone(bone), f"shift/{_UNITS_A_METRE:g}"),
            (skin_bone(bone), f"shift/-{_UNITS_A_METRE:g}"),
        ):
            driver = armature.pose.bones[helper].driver_add("location", index).driver
            _add_property(driver, "shift", armature, path)
            driver.expression = expression


def _add_shift_sum(armature: bpy.types.Object, name: str, paths: Sequence[str], coefficients: Array) -> str:
    """A chain of driven properties whose last is the sum of coefficient times value; its path is returned."""
    terms = np.flatnonzero(np.abs(coefficients) > _LEAST_TERM)
    path = ""
    for link, start in enumerate(range(0, max(len(terms), 1), _TERMS_A_DRIVER)):
        armature[f"{name}.{link}"] = 0.0
        driver = armature.driver_add(f'["{name}.{link}"]').driver
        summands = []
        if path:
            _add_property(driver, "sum", armature, path)
            summands.append("sum")
        for term in terms[start : start + _TERMS_A_DRIVER]:
            variable = f"e{term}"
            _add_property(driver, variable, armature, paths[term])
            summands.append(f"{coefficients[term] * _UNITS_A_METRE:.6e}*{variable}")
        driver.expression = "+".join(summands) or "0"
        path = f'["{name}.{link}"]'
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
