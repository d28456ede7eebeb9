# SPDX-License-Identifier: GPL-3.0-or-later
"""The repair of the track in the sidebar."""

from __future__ import annotations

import bpy

from dubplate_shared.errors import DubplateError

from ..scene.shot_link import find_head, heads
from . import operators, watch
from .pin_objects import frame_of, pin_objects


class DUBPLATE_PT_repair(bpy.types.Panel):
    """Pins, and the track solved again"""

    bl_idname = "DUBPLATE_PT_repair"
    bl_parent_id = "DUBPLATE_PT_main"
    bl_label = "Repair Track"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Dubplate"
    bl_options = frozenset({"DEFAULT_CLOSED"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(heads(context.scene))

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        row = layout.row(align=True)
        row.operator_menu_enum(operators.DUBPLATE_OT_pin_landmark.bl_idname, "points", icon="PINNED")
        row.operator(operators.DUBPLATE_OT_pin_pose.bl_idname, icon="EMPTY_ARROWS")
        _draw_pins(layout, context)
        process = watch.running()
        if process is not None:
            layout.progress(factor=process.progress, text=process.stage)
            layout.operator(operators.DUBPLATE_OT_cancel_repair.bl_idname, icon="CANCEL")
            return
        layout.operator(operators.DUBPLATE_OT_repair.bl_idname, icon="MODIFIER")
        row = layout.row(align=True)
        row.operator(operators.DUBPLATE_OT_undo_repair.bl_idname, icon="LOOP_BACK")
        row.operator(operators.DUBPLATE_OT_read_shot_again.bl_idname, icon="FILE_REFRESH")


def _draw_pins(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    try:
        pins = pin_objects(find_head(context))
    except DubplateError as error:
        layout.label(text=error.message, icon="INFO")
        return
    if pins:
        frames = sorted({frame_of(pin) for pin in pins})
        row = layout.row()
        row.label(text=f"{len(pins)} pins, frames {', '.join(map(str, frames[:4]))}{' ...' if frames[4:] else ''}")
        row.operator(operators.DUBPLATE_OT_clear_pins.bl_idname, text="", icon="X")


CLASSES = (DUBPLATE_PT_repair,)
