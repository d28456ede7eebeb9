# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that a button mends: which one, and the buttons."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import StringProperty

from dubplate_shared.error_info import NotAdmitted
from dubplate_shared.errors import BackendLost, BackendUnreachable, DubplateError, InvalidInput, OutputNotWritable

_OF_SETTING = {
    "actor": "dubplate.choose_actor",
    "output": "dubplate.choose_output",
    "python": "dubplate.choose_python",
    "shot": "dubplate.find_shot",
}
_OF_ERROR: tuple[tuple[type[DubplateError], str], ...] = (
    (OutputNotWritable, "dubplate.choose_output"),
    (NotAdmitted, "dubplate.open_preferences"),
    (BackendLost, "dubplate.connect"),
    (BackendUnreachable, "dubplate.connect"),
)


class Unset(InvalidInput):
    """Something is to be chosen first. setting: what: actor, output, python, shot."""

    def __init__(self, message: str, *, hint: str = "", setting: str) -> None:
        super().__init__(message, hint=hint)
        self.setting = setting


def fix_of(error: DubplateError) -> str:
    """The operator whose button mends `error`; "" where none does."""
    if isinstance(error, Unset):
        return _OF_SETTING[error.setting]
    return next((operator for kind, operator in _OF_ERROR if isinstance(error, kind)), "")


class _Choose:
    """A file browser whose choice is kept where the subclass says."""

    bl_options = frozenset({"REGISTER", "UNDO", "INTERNAL"})

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        path = self.filepath or self.directory
        if not path:
            self.report({"ERROR"}, "Nothing was chosen.")
            return {"CANCELLED"}
        self.keep(context, path)
        status = context.window_manager.dubplate
        status.error = status.hint = status.fix = status.code = ""
        return {"FINISHED"}


class DUBPLATE_OT_choose_actor(_Choose, bpy.types.Operator):
    """Choose the actor that draws the face: a folder NAME.dubactor"""

    bl_idname = "dubplate.choose_actor"
    bl_label = "Choose Actor"

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    def keep(self, context: bpy.types.Context, path: str) -> None:
        """A package is a folder: people pick it, step into it, or pick a file in it."""
        chosen = Path(path)
        package = next((each for each in (chosen, *chosen.parents) if each.suffix == ".dubactor"), chosen)
        context.scene.dubplate.actor = str(package)


class DUBPLATE_OT_choose_output(_Choose, bpy.types.Operator):
    """Choose the folder for the plates"""

    bl_idname = "dubplate.choose_output"
    bl_label = "Choose Output Folder"

    filepath: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    directory: StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE"})
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    def keep(self, context: bpy.types.Context, path: str) -> None:
        context.scene.dubplate.output = path


class DUBPLATE_OT_choose_python(_Choose, bpy.types.Operator):
    """Choose the Python of the environment that holds Dubplate's backend, such as .venv/bin/python"""

    bl_idname = "dubplate.choose_python"
    bl_label = "Choose Backend Python"
    bl_options = frozenset({"REGISTER", "INTERNAL"})

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})

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
