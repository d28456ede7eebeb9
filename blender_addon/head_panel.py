# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panels of a head in the Dubplate tab have in common."""

from __future__ import annotations

import bpy

from .scene.shot_link import head_at_hand, heads


class HeadPanel:
    """Seen where the scene has a head; `draw_head` gets the one at hand."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Dubplate"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(heads(context.scene))

    def draw(self, context: bpy.types.Context) -> None:
        head = head_at_hand(context)
        if head is None:
            self.layout.label(text="Select a head", icon="INFO")
        else:
            self.draw_head(context, head)
