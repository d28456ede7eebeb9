# SPDX-License-Identifier: GPL-3.0-or-later
"""The preview's part of the Dubplate tab."""

from __future__ import annotations

from collections import Counter

import bpy

from ..head_panel import HeadPanel
from . import lives, operators
from .cache import FrameState


class DUBPLATE_PT_preview(HeadPanel, bpy.types.Panel):
    """Live preview"""

    bl_idname = "DUBPLATE_PT_preview"
    bl_label = "Live Preview"
    bl_parent_id = "DUBPLATE_PT_main"

    def draw(self, context: bpy.types.Context) -> None:
        """Whichever head is at hand: what is shown is the window's."""
        layout, settings = self.layout, context.window_manager.dubplate_preview
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(settings, "mode")
        if settings.mode == "OFF":
            return
        if settings.mode == "WIPE":
            layout.prop(settings, "wipe", slider=True)
        layout.operator(operators.DUBPLATE_OT_preview_flip.bl_idname, depress=settings.filmed)
        column = layout.column()
        for name in ("place", "whole", "ahead", "hides_head"):
            column.prop(settings, name)
        _draw_state(layout, context)


def _draw_state(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    live = lives.live_of(context)
    if live is None:
        return
    counts = Counter(state for _, state in live.states())
    told = [f"{counts[state]} {state.value}" for state in FrameState if counts[state]]
    layout.label(text=", ".join(told))
    row = layout.row()
    row.label(text=f"{live.cache.size / 1e6:.0f} MB kept, last drawn in {live.seconds * 1000:.0f} ms")
    row.operator(operators.DUBPLATE_OT_preview_clear.bl_idname, text="", icon="TRASH")
    if live.error is not None:
        layout.label(text=live.error.message, icon="ERROR")


CLASSES = (DUBPLATE_PT_preview,)
