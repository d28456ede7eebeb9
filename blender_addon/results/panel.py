# SPDX-License-Identifier: GPL-3.0-or-later
"""The results' part of the Dubplate tab."""

from __future__ import annotations

import bpy

from ..head_panel import HeadPanel
from .operators import PLACES, DUBPLATE_OT_show_results


class DUBPLATE_PT_results(HeadPanel, bpy.types.Panel):
    """Rendered plates"""

    bl_idname = "DUBPLATE_PT_results"
    bl_label = "Plates in the Scene"
    bl_parent_id = "DUBPLATE_PT_main"
    bl_options = frozenset({"DEFAULT_CLOSED"})

    def draw_head(self, _context: bpy.types.Context, _head: bpy.types.Object) -> None:
        column = self.layout.column(align=True)
        for place, label, _, icon, _ in PLACES:
            column.operator(DUBPLATE_OT_show_results.bl_idname, text=label, icon=icon).place = place


CLASSES = (DUBPLATE_PT_results,)
