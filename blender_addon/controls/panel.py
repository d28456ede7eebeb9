# SPDX-License-Identifier: GPL-3.0-or-later
"""The rig in the Dubplate tab: the jaw in degrees, the controls as sliders, each with the key of its handle."""

from __future__ import annotations

import bpy

from dubplate_shared.controls import CONTROLS

from ..curves import animation, channels
from ..head_panel import HeadPanel
from ..rig.armature import EXPRESSION_COUNT, expression_path
from ..rig.controls import ControlMatrix, handle_name
from .operators import DUBPLATE_OT_key_control

_JAW_AXES = ("Open", "Side", "Twist")
_COMPONENTS_A_BLOCK = 10
_TOOLS = {"POSE": "dubplate.drag_lips", "OBJECT": "dubplate.drag_lips_object"}


class DUBPLATE_PT_controls(HeadPanel, bpy.types.Panel):
    """Jaw and semantic controls of the active head"""

    bl_idname = "DUBPLATE_PT_controls"
    bl_label = "Controls"
    bl_options = frozenset({"DEFAULT_CLOSED"})

    def draw_head(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        layout = self.layout
        layout.use_property_split = True
        if context.mode in _TOOLS:
            button = layout.operator("wm.tool_set_by_id", text="Drag Lips", icon="RESTRICT_SELECT_OFF")
            button.name = _TOOLS[context.mode]
        layout.label(text="Jaw Bone")
        column = layout.column(align=True)
        for axis, label in enumerate(_JAW_AXES):
            column.prop(head.pose.bones["jaw"], "rotation_euler", index=axis, text=label)
        _draw_controls(layout, head, context.scene.frame_current)


def _draw_controls(layout: bpy.types.UILayout, head: bpy.types.Object, frame: int) -> None:
    layout.use_property_decorate = False  # Blender's own marks belong to the location: those here do as they do
    names, curves = ControlMatrix.of(head).names, animation.fcurves(head)
    group = ""
    for control in CONTROLS:
        if control.name in names:
            if control.group != group:
                group = control.group
                layout.label(text=group)
                column = layout.column(align=True)
            row = column.row(align=True)
            row.prop(head.pose.bones[handle_name(control.name)], "dubplate_value", text=control.label, slider=True)
            icon = _mark(curves.get(channels.control(control.name)[:2]), frame)
            row.operator(DUBPLATE_OT_key_control.bl_idname, text="", icon=icon, emboss=False).control = control.name


def _mark(curve: bpy.types.FCurve | None, frame: int) -> str:
    if curve is None:
        return "DECORATE"
    return "DECORATE_KEYFRAME" if animation.has_key(curve, frame) else "DECORATE_ANIMATE"


class DUBPLATE_PT_expression(HeadPanel, bpy.types.Panel):
    """The hundred components of the head model, in standard deviations: what the controls are made of"""

    bl_idname = "DUBPLATE_PT_expression"
    bl_label = "Expression Components"
    bl_parent_id = DUBPLATE_PT_controls.bl_idname
    bl_options = frozenset({"DEFAULT_CLOSED"})

    def draw_head(self, _context: bpy.types.Context, head: bpy.types.Object) -> None:
        for first in range(0, EXPRESSION_COUNT, _COMPONENTS_A_BLOCK):
            column = self.layout.column(align=True)
            for component in range(first, first + _COMPONENTS_A_BLOCK):
                column.prop(head, expression_path(component), text=f"{component}", slider=True)


CLASSES = (DUBPLATE_PT_controls, DUBPLATE_PT_expression)
