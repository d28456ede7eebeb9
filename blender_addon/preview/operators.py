# SPDX-License-Identifier: GPL-3.0-or-later
"""The previews' actions and their keys: none is modal, and none pushes undo, for nothing of the scene changes."""

from __future__ import annotations

import bpy

from . import director, lives
from .compare import Mode

_LOOK_MODES = (Mode.DUBBED, Mode.WIPE, Mode.SIDE, Mode.DIFFERENCE)
_keys: list[tuple[bpy.types.KeyMap, bpy.types.KeyMapItem]] = []


class DUBPLATE_OT_preview_toggle(bpy.types.Operator):
    """Start or stop the live preview"""

    bl_idname = "dubplate.preview_toggle"
    bl_label = "Live Preview"

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = context.window_manager.dubplate_preview
        settings.mode = "DUBBED" if settings.mode == "OFF" else "OFF"
        return {"FINISHED"}


class DUBPLATE_OT_preview_flip(bpy.types.Operator):
    """Flip between the dub and what was filmed"""

    bl_idname = "dubplate.preview_flip"
    bl_label = "Flip Dub and Filmed"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return lives.mode(context) != Mode.OFF

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = context.window_manager.dubplate_preview
        settings.filmed = not settings.filmed
        return {"FINISHED"}


class DUBPLATE_OT_preview_next(bpy.types.Operator):
    """Look in the next way: dubbed, wipe, side by side, difference"""

    bl_idname = "dubplate.preview_next"
    bl_label = "Next Preview Mode"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return lives.mode(context) != Mode.OFF

    def execute(self, context: bpy.types.Context) -> set[str]:
        at = _LOOK_MODES.index(lives.mode(context))
        context.window_manager.dubplate_preview.mode = _LOOK_MODES[(at + 1) % len(_LOOK_MODES)]
        return {"FINISHED"}


class DUBPLATE_OT_preview_clear(bpy.types.Operator):
    """Forget the previews that were drawn, failed ones too, and draw anew"""

    bl_idname = "dubplate.preview_clear"
    bl_label = "Clear Previews"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return bool(lives.lives)

    def execute(self, context: bpy.types.Context) -> set[str]:
        for live in lives.lives.values():
            live.cache.clear()
        director.settings_changed(context)
        return {"FINISHED"}


CLASSES = (
    DUBPLATE_OT_preview_toggle,
    DUBPLATE_OT_preview_flip,
    DUBPLATE_OT_preview_next,
    DUBPLATE_OT_preview_clear,
)


def register_keys() -> None:
    """J flips, Shift J looks in the next way, Ctrl J starts and stops. There are no keys in the background."""
    keyconfig = bpy.context.window_manager.keyconfigs.addon
    if keyconfig is None:
        return
    for space, name in (("VIEW_3D", "3D View"), ("DOPESHEET_EDITOR", "Dopesheet"), ("GRAPH_EDITOR", "Graph Editor")):
        keymap = keyconfig.keymaps.new(name=name, space_type=space)
        for operator, modifier in (
            (DUBPLATE_OT_preview_flip, {}),
            (DUBPLATE_OT_preview_next, {"shift": True}),
            (DUBPLATE_OT_preview_toggle, {"ctrl": True}),
        ):
            _keys.append((keymap, keymap.keymap_items.new(operator.bl_idname, "J", "PRESS", **modifier)))


def unregister_keys() -> None:
    """Undo register_keys."""
    while _keys:
        keymap, item = _keys.pop()
        keymap.keymap_items.remove(item)
