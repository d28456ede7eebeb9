# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons that mend errors: each lets somebody choose what was missing, and keeps it."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty

from . import monitor
from .actions import PicksAFolder


class _Choose(PicksAFolder):
    """A file browser whose choice is kept where the subclass says."""

    bl_options = frozenset({"REGISTER", "UNDO", "INTERNAL"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        path = self.filepath or self.directory
        if not path:
            self.report({"ERROR"}, "Nothing was chosen.")
            return {"CANCELLED"}
        self.keep(context, path)
        monitor.clear_error()
        return {"FINISHED"}


class DUBPLATE_OT_choose_actor(_Choose, bpy.types.Operator):
    """Choose the actor that draws the face: a folder NAME.dubactor"""

    bl_idname = "dubplate.choose_actor"
    bl_label = "Choose Actor"

    head: StringProperty(
        name="Head",
        description="The armature whose own actor it is, if it has one; else the scene's is chosen",
        options={"HIDDEN", "SKIP_SAVE"},
    )

    def keep(self, context: bpy.types.Context, path: str) -> None:
        actor, head = str(self.package(".dubactor") or path), context.scene.objects.get(self.head)
        if head is not None and head.dubplate_actor:
            head.dubplate_actor = actor
        else:
            context.scene.dubplate.actor = actor


class DUBPLATE_OT_choose_output(_Choose, bpy.types.Operator):
    """Choose the folder for the plates"""

    bl_idname = "dubplate.choose_output"
    bl_label = "Choose Output Folder"

    def keep(self, context: bpy.types.Context, path: str) -> None:
        context.scene.dubplate.output = path


class DUBPLATE_OT_choose_python(_Choose, bpy.types.Operator):
    """Choose the Python of the environment that holds Dubplate's backend, such as .venv/bin/python"""

    bl_idname = "dubplate.choose_python"
    bl_label = "Choose Backend Python"
    bl_options = frozenset({"REGISTER", "INTERNAL"})

    def keep(self, context: bpy.types.Context, path: str) -> None:
        context.preferences.addons[__package__].preferences.python = path


class DUBPLATE_OT_open_preferences(bpy.types.Operator):
    """Open Dubplate's preferences"""

    bl_idname = "dubplate.open_preferences"
    bl_label = "Open Preferences"
    bl_options = frozenset({"REGISTER", "INTERNAL"})

    def execute(self, _context: bpy.types.Context) -> set[str]:
        return bpy.ops.preferences.addon_show(module=__package__)


CLASSES = (
    DUBPLATE_OT_choose_actor,
    DUBPLATE_OT_choose_output,
    DUBPLATE_OT_choose_python,
    DUBPLATE_OT_open_preferences,
)
