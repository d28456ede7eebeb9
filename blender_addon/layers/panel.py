# SPDX-License-Identifier: GPL-3.0-or-later
"""The layers in the Dubplate tab, the highest on top."""

from __future__ import annotations

import bpy

from dubplate_shared.take import TRACKED

from ..head_panel import HeadPanel
from . import operators, stack
from .stack import Role


class DUBPLATE_PT_layers(HeadPanel, bpy.types.Panel):
    """Takes, patches and offsets of the active head, the lowest below"""

    bl_idname = "DUBPLATE_PT_layers"
    bl_label = "Layers"

    def draw_head(self, _context: bpy.types.Context, head: bpy.types.Object) -> None:
        layout = self.layout
        if stack.is_baked(head):
            layout.label(text="Baked down to one Action", icon="ACTION")
            layout.operator(operators.DUBPLATE_OT_back_to_layers.bl_idname, icon="NLA")
            return
        _draw_offsets(layout, head)
        _draw_patches(layout, head)
        _draw_takes(layout, head)
        layout.operator(operators.DUBPLATE_OT_bake_down.bl_idname, icon="ACTION")


def _draw_offsets(layout: bpy.types.UILayout, head: bpy.types.Object) -> None:
    data = head.animation_data
    row = layout.row()
    row.label(text="Offsets", icon="GREASEPENCIL")
    if data is not None and data.action is not None:
        row.prop(data, "action_influence", text="")


def _draw_patches(layout: bpy.types.UILayout, head: bpy.types.Object) -> None:
    for track in reversed(stack.tracks(head, Role.PATCH)):
        row = layout.row(align=True)
        row.prop(track, "mute", text="", icon="HIDE_ON" if track.mute else "HIDE_OFF", emboss=False)
        row.label(text=track.name)
        row.operator(operators.DUBPLATE_OT_remove_patch.bl_idname, text="", icon="X").patch = track.name
    layout.menu(operators.DUBPLATE_MT_patches.bl_idname)
    layout.operator(operators.DUBPLATE_OT_patch_range.bl_idname, text="Blend to Filmed").take = TRACKED


def _draw_takes(layout: bpy.types.UILayout, head: bpy.types.Object) -> None:
    found = stack.tracks(head, Role.TAKE)
    for track in reversed(found):
        take = stack.mark_of(track).take
        icon = "RADIOBUT_OFF" if track.mute else "RADIOBUT_ON"
        row = layout.row()
        row.alignment = "LEFT"
        row.operator(operators.DUBPLATE_OT_hear_take.bl_idname, text=take, icon=icon, emboss=False).take = take
    if len(found) > 1:
        layout.operator(operators.DUBPLATE_OT_flip_takes.bl_idname, icon="FILE_REFRESH")
    layout.menu(operators.DUBPLATE_MT_takes.bl_idname)


CLASSES = (DUBPLATE_PT_layers,)
