# SPDX-License-Identifier: GPL-3.0-or-later
"""The rig in the Dubplate tab: jaw, controls and eyes as sliders, each the very curve that its handle has."""

from __future__ import annotations

import bpy

from dubplate_shared.controls import CONTROLS
from dubplate_shared.errors import DubplateError

from ..rig.controls import VALUE_AXIS, ControlMatrix, handle_name
from ..scene.shot_link import find_head, heads

_JAW_AXES = ("Open", "Side", "Twist")
_TOOLS = {"POSE": "dubplate.drag_lips", "OBJECT": "dubplate.drag_lips_object"}


class DUBPLATE_PT_controls(bpy.types.Panel):
    """Jaw and semantic controls of the active head"""

    bl_idname = "DUBPLATE_PT_controls"
    bl_label = "Controls"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Dubplate"
    bl_options = frozenset({"DEFAULT_CLOSED"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(heads(context.scene))

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        try:
            head = find_head(context)
        except DubplateError:
            layout.label(text="Select a head", icon="INFO")
            return
        layout.use_property_split = True
        if context.mode in _TOOLS:
            layout.operator("wm.tool_set_by_id", text="Drag Lips", icon="RESTRICT_SELECT_OFF").name = _TOOLS[
                context.mode
            ]
        column = layout.column(align=True)
        for axis, label in enumerate(_JAW_AXES):
            column.prop(head.pose.bones["jaw"], "rotation_euler", index=axis, text=f"Jaw {label}")
        _draw_controls(layout, head)


def _draw_controls(layout: bpy.types.UILayout, head: bpy.types.Object) -> None:
    names = ControlMatrix.of(head).names
    group = ""
    for control in CONTROLS:
        if control.name in names:
            if control.group != group:
                group, column = control.group, layout.column(heading=control.group, align=True)
            bone = head.pose.bones[handle_name(control.name)]
            column.prop(bone, "location", index=VALUE_AXIS, text=control.label)


CLASSES = (DUBPLATE_PT_controls,)
