# SPDX-License-Identifier: GPL-3.0-or-later
"""The Dubplate tab of the 3D viewport's sidebar."""

from __future__ import annotations

import textwrap

import bpy

from . import monitor, operators
from .connection.session import Session
from .layers.operators import DUBPLATE_MT_takes
from .scene.shot_link import ShotLink, head_at_hand, heads

_LINE_CHARACTERS = 36  # of an error text in a sidebar of usual width; Blender's labels do not wrap


class DUBPLATE_PT_main(bpy.types.Panel):
    """Connection, shot and render"""

    bl_idname = "DUBPLATE_PT_main"
    bl_label = "Dubplate"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Dubplate"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        _draw_connection(layout, context)
        _draw_shot(layout, context)
        if heads(context.scene):
            _draw_render(layout, context)
        _draw_error(layout)


def _draw_connection(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    session = monitor.session()
    row = layout.row()
    if session.hello is not None:
        state = "Stuck" if session.stuck else "Connected" if session.responsive else "Busy"
        row.label(text=f"{state}: {session.hello.device}, {session.hello.version}", icon="LINKED")
        row.operator(operators.DUBPLATE_OT_disconnect.bl_idname, text="", icon="X")
    elif session.starting:
        row.label(text=_start_words(session), icon="SORTTIME")
        row.operator(operators.DUBPLATE_OT_disconnect.bl_idname, text="", icon="X")
    else:
        row.label(text="Not connected", icon="UNLINKED")
        row.operator(operators.DUBPLATE_OT_connect.bl_idname)
        layout.prop(context.scene.dubplate, "connection")


def _start_words(session: Session) -> str:
    if not session.own:
        return "The backend is lost, asking again"
    return f"Starting the backend again ({session.restarts})" if session.restarts else "Starting the backend"


def _draw_shot(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    layout.operator(operators.DUBPLATE_OT_import_shot.bl_idname, text="Import Shot", icon="IMPORT")
    at_hand = head_at_hand(context)
    for armature in heads(context.scene):
        link = ShotLink.of(armature)
        box = layout.box()
        active = armature == at_hand
        box.label(text=link.name, icon="ARMATURE_DATA" if active else "BLANK1")
        box.label(text=f"Frames {link.frames[0]} to {link.frames[-1]}, take {link.take}")
        if len(heads(context.scene)) > 1:
            box.prop(armature, "dubplate_actor", text="Actor")
        if active:
            box.menu(DUBPLATE_MT_takes.bl_idname)


def _draw_render(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    settings, status = context.scene.dubplate, monitor.status()
    column = layout.column()
    for name in ("actor", "output", "frames", "version"):
        column.prop(settings, name)
    if monitor.is_rendering():
        layout.progress(factor=status.progress, text=f"{status.stage} {status.progress:.0%}")
        layout.operator(operators.DUBPLATE_OT_cancel.bl_idname, icon="CANCEL")
    else:
        layout.operator(operators.DUBPLATE_OT_render_range.bl_idname, icon="RENDER_ANIMATION")
        if status.stage:
            layout.label(text=f"{status.stage} {status.result}".strip())
    if status.drawn or status.kept:
        layout.label(text=f"{status.drawn} drawn, {status.kept} kept", icon="FILE_TICK")


def _draw_error(layout: bpy.types.UILayout) -> None:
    status = monitor.status()
    if not status.error:
        return
    column = layout.box().column(align=True)
    for index, line in enumerate(textwrap.wrap(status.error, _LINE_CHARACTERS)):
        column.label(text=line, icon="ERROR" if index == 0 else "BLANK1")
    for line in textwrap.wrap(status.hint, _LINE_CHARACTERS):
        column.label(text=line, icon="BLANK1")
    if status.fix:
        column.operator(status.fix)


CLASSES = (DUBPLATE_PT_main,)
