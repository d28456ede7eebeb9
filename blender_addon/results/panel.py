# SPDX-License-Identifier: GPL-3.0-or-later
"""The results' part of the Dubplate tab."""

from __future__ import annotations

import bpy

from ..scene.shot_link import heads
from .operators import PLACES, DUBPLATE_OT_show_results


class DUBPLATE_PT_results(bpy.types.Panel):
    """Rendered plates"""

    bl_idname = "DUBPLATE_PT_results"
    bl_label = "Plates in the Scene"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Dubplate"
    bl_parent_id = "DUBPLATE_PT_main"
    bl_options = frozenset({"DEFAULT_CLOSED"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(heads(context.scene))

    def draw(self, _context: bpy.types.Context) -> None:
        column = self.layout.column(align=True)
        for place, label, _, icon, _ in PLACES:
            column.operator(DUBPLATE_OT_show_results.bl_idname, text=label, icon=icon).place = place


CLASSES = (DUBPLATE_PT_results,)
