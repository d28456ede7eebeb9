# SPDX-License-Identifier: GPL-3.0-or-later
"""The repair of the track in the sidebar."""

from __future__ import annotations

import bpy

from ..head_panel import HeadPanel
from . import operators, watch
from .pin_objects import frame_of, pin_objects


class DUBPLATE_PT_repair(HeadPanel, bpy.types.Panel):
    """Pins, and the track solved again"""

    bl_idname = "DUBPLATE_PT_repair"
    bl_parent_id = "DUBPLATE_PT_main"
    bl_label = "Repair Track"
    bl_options = frozenset({"DEFAULT_CLOSED"})

    def draw(self, context: bpy.types.Context) -> None:
        process = watch.running()
        if process is not None:  # whichever head is at hand
            self.layout.progress(factor=process.progress, text=process.stage)
            self.layout.operator(operators.DUBPLATE_OT_cancel_repair.bl_idname, icon="CANCEL")
        HeadPanel.draw(self, context)

    def draw_head(self, _context: bpy.types.Context, head: bpy.types.Object) -> None:
        layout = self.layout
        row = layout.row(align=True)
        row.operator_menu_enum(operators.DUBPLATE_OT_pin_landmark.bl_idname, "points", icon="PINNED")
        row.operator(operators.DUBPLATE_OT_pin_pose.bl_idname, icon="EMPTY_ARROWS")
        _draw_pins(layout, head)
        if watch.running() is not None:
            return
        layout.operator(operators.DUBPLATE_OT_repair.bl_idname, icon="MODIFIER")
        row = layout.row(align=True)
        row.operator(operators.DUBPLATE_OT_undo_repair.bl_idname, icon="LOOP_BACK")
        row.operator(operators.DUBPLATE_OT_read_shot_again.bl_idname, icon="FILE_REFRESH")


def _draw_pins(layout: bpy.types.UILayout, head: bpy.types.Object) -> None:
    pins = pin_objects(head)
    if pins:
        frames = sorted({frame_of(pin) for pin in pins})
        row = layout.row()
        row.label(text=f"{len(pins)} pins, frames {', '.join(map(str, frames[:4]))}{' ...' if frames[4:] else ''}")
        row.operator(operators.DUBPLATE_OT_clear_pins.bl_idname, text="", icon="X")


CLASSES = (DUBPLATE_PT_repair,)
