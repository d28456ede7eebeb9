# SPDX-License-Identifier: GPL-3.0-or-later
"""Dubplate in Blender: a tracked shot as an animatable head, and its keys as plates."""

from __future__ import annotations

import atexit

import bpy

from . import command, fix_operators, monitor, operators, panel, preferences, settings
from .controls import operators as control_operators
from .controls import panel as control_panel
from .controls import slider, tool
from .layers import operators as layer_operators
from .layers import panel as layer_panel
from .markers import operators as marker_operators
from .preview import room as preview_room
from .repair import operators as repair_operators
from .repair import panel as repair_panel
from .repair import watch
from .results import operators as result_operators
from .results import panel as result_panel
from .scene import operators as scene_operators
from .tools import operators as tool_operators
from .tools import panel as tool_panel

_CLASSES = (
    preferences.DubplatePreferences,
    *fix_operators.CLASSES,
    *operators.CLASSES,
    *panel.CLASSES,
    *layer_operators.CLASSES,
    *layer_panel.CLASSES,
    *control_operators.CLASSES,
    *control_panel.CLASSES,
    *marker_operators.CLASSES,
    *result_operators.CLASSES,
    *result_panel.CLASSES,
    *scene_operators.CLASSES,
    *tool_operators.CLASSES,
    *tool_panel.CLASSES,
    *repair_operators.CLASSES,
    *repair_panel.CLASSES,
)
_commands: list[object] = []  # handles of registered commands, without which they cannot be taken back


def _draw_import(menu: bpy.types.Menu, _context: bpy.types.Context) -> None:
    menu.layout.operator(operators.DUBPLATE_OT_import_shot.bl_idname, text="Dubplate Shot (.dubshot)")


def _draw_export(menu: bpy.types.Menu, _context: bpy.types.Context) -> None:
    menu.layout.operator(operators.DUBPLATE_OT_export_head.bl_idname, text="Dubplate Head (.abc, .usd)")


def register() -> None:
    """Called by Blender when the add-on is enabled; works without a window."""
    settings.register()
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    slider.register()
    tool.register()
    bpy.types.TOPBAR_MT_file_import.append(_draw_import)
    bpy.types.TOPBAR_MT_file_export.append(_draw_export)
    scene_operators.register()
    preview_room.register()
    _commands.append(bpy.utils.register_cli_command("dubplate", command.main))
    # Blender disables add-ons when it quits; the bpy package does not, and crashes on classes that are left.
    atexit.register(unregister)


def unregister() -> None:
    """Called by Blender when the add-on is disabled: nothing of it stays, and a backend started here ends."""
    atexit.unregister(unregister)
    watch.close()
    preview_room.unregister()
    scene_operators.unregister()
    monitor.close_session()
    while _commands:
        bpy.utils.unregister_cli_command(_commands.pop())
    bpy.types.TOPBAR_MT_file_export.remove(_draw_export)
    bpy.types.TOPBAR_MT_file_import.remove(_draw_import)
    tool.unregister()
    slider.unregister()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
    settings.unregister()
