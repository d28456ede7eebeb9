# SPDX-License-Identifier: GPL-3.0-or-later
"""A control's value as a plain slider, pose_bone.dubplate_value: the handle's Y location without its metres.

It holds nothing of its own and is not animated; keys stand on the location.
"""

from __future__ import annotations

import bpy
from bpy.props import FloatProperty

from ..rig.armature import HARD_LIMIT
from ..rig.controls import VALUE_AXIS


def _get(bone: bpy.types.PoseBone) -> float:
    return float(bone.location[VALUE_AXIS])


def _set(bone: bpy.types.PoseBone, value: float) -> None:
    bone.location[VALUE_AXIS] = value
    if bpy.context.scene.tool_settings.use_keyframe_insert_auto:  # as Blender does for what it draws itself
        bone.keyframe_insert("location", index=VALUE_AXIS)


def register() -> None:
    """Give pose bones the slider."""
    bpy.types.PoseBone.dubplate_value = FloatProperty(
        name="Value",
        description="0 is rest, 1 the full pose; below 0 takes away from what lies beneath",
        get=_get,
        set=_set,
        min=-HARD_LIMIT,
        max=HARD_LIMIT,
        soft_min=-1.0,
        soft_max=1.0,
        precision=3,
        options=set(),
    )


def unregister() -> None:
    """Undo register."""
    del bpy.types.PoseBone.dubplate_value
