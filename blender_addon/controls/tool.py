# SPDX-License-Identifier: GPL-3.0-or-later
"""Drag Lips in the viewport's toolbar: while it is the active tool, a drag on the lips is DUBPLATE_OT_drag_lip."""

from __future__ import annotations

import bpy

from .operators import DUBPLATE_OT_drag_lip


class DragLipsTool(bpy.types.WorkSpaceTool):
    """Drag points of the lips; controls are solved and keyed"""

    bl_idname = "dubplate.drag_lips"
    bl_space_type = "VIEW_3D"
    bl_context_mode = "POSE"
    bl_label = "Drag Lips"
    bl_description = "Drag a point of the lips: the controls that bring it there are solved and keyed on the frame"
    bl_icon = "ops.pose.relax"
    bl_keymap = ((DUBPLATE_OT_drag_lip.bl_idname, {"type": "LEFTMOUSE", "value": "PRESS"}, None),)

    def draw_settings(context: bpy.types.Context, layout: bpy.types.UILayout, tool: object) -> None:
        """Blender calls it without an instance."""
        layout.prop(tool.operator_properties(DUBPLATE_OT_drag_lip.bl_idname), "spread")


class DragLipsObjectTool(DragLipsTool):
    """The same in object mode, in which a shot is after its import"""

    bl_idname = "dubplate.drag_lips_object"
    bl_context_mode = "OBJECT"


_TOOLS = (DragLipsTool, DragLipsObjectTool)


def register() -> None:
    """Add the tools; without a window there is no toolbar."""
    if not bpy.app.background:
        for tool in _TOOLS:
            bpy.utils.register_tool(tool, separator=tool is _TOOLS[0])


def unregister() -> None:
    """Undo register."""
    if not bpy.app.background:
        for tool in reversed(_TOOLS):
            bpy.utils.unregister_tool(tool)
