# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools in the sidebar, under what the lips do on the current frame."""

from __future__ import annotations

import bpy

from dubplate_shared.errors import DubplateError

from ..head_panel import HeadPanel
from ..markers.markers import closure_on
from ..markers.operators import DUBPLATE_OT_import_markers
from ..scene.shot_rig import load_rig
from . import operators
from .face_points import LipPairs
from .flags import OPEN_MM
from .stretch import posed_mouth


class DUBPLATE_PT_tools(HeadPanel, bpy.types.Panel):
    """Lip read-out, flags, and tools on the curves"""

    bl_idname = "DUBPLATE_PT_tools"
    bl_parent_id = "DUBPLATE_PT_main"
    bl_label = "Tools"

    def draw_head(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        _draw_lips(layout, context, head)
        _draw_flags(layout)
        column = layout.column(align=True)
        column.operator(operators.DUBPLATE_OT_hold_closure.bl_idname)
        column.operator(operators.DUBPLATE_OT_close_marked.bl_idname)
        grid = layout.grid_flow(columns=2, align=True, even_columns=True)
        for tool in ("smooth", "exaggerate", "retime", "simplify"):
            grid.operator(f"dubplate.{tool}")
        row = layout.row(align=True)
        row.operator(operators.DUBPLATE_OT_copy_mouth.bl_idname, icon="COPYDOWN")
        copied = context.scene.dubplate.mouth_frame
        paste = operators.DUBPLATE_OT_paste_mouth.bl_idname
        row.operator(paste, text=f"Paste Mouth of {copied}" if copied else "Paste Mouth", icon="PASTEDOWN")
        layout.operator(DUBPLATE_OT_import_markers.bl_idname, icon="MARKER_HLT")


def _draw_lips(layout: bpy.types.UILayout, context: bpy.types.Context, head: bpy.types.Object) -> None:
    try:
        gap_mm = lip_gap_mm(head)
    except DubplateError as error:
        layout.label(text=error.message, icon="INFO")
        return
    closure = closure_on(context.scene, head, context.scene.frame_current)
    row = layout.row()
    if closure is None:
        row.label(text=f"Lips {gap_mm:.1f} mm apart")
    elif gap_mm > OPEN_MM:
        row.alert = True
        row.label(text=f"Open on {closure.sound}: {gap_mm:.1f} mm", icon="ERROR")
    else:
        row.label(text=f"Closed on {closure.sound}", icon="CHECKMARK")


def lip_gap_mm(armature: bpy.types.Object) -> float:
    """How far the lips are apart as the head is posed now.  Raises InvalidInput, HeadModelMismatch."""
    now = posed_mouth(armature)
    return float(LipPairs(load_rig(armature)).gap_mm(now.expression, now.jaw)[0])


def _draw_flags(layout: bpy.types.UILayout) -> None:
    row = layout.row(align=True)
    name = operators.DUBPLATE_OT_next_flag.bl_idname
    row.operator(name, text="Previous Flag", icon="TRIA_LEFT").step = "PREVIOUS"
    row.operator(name, text="Next Flag", icon="TRIA_RIGHT").step = "NEXT"


CLASSES = (DUBPLATE_PT_tools,)
