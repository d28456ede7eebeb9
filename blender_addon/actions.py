# SPDX-License-Identifier: GPL-3.0-or-later
"""What the add-on's actions have in common: errors told with their fix, the head that is meant, packages picked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty

from dubplate_shared.errors import DubplateError

from . import monitor
from .scene.shot_link import find_head, heads


def attempt(operator: bpy.types.Operator, action: Callable[[], None]) -> set[str]:
    """Run `action`; an error of ours is reported with its fix and shown in the panel."""
    try:
        action()
    except DubplateError as error:
        monitor.show_error(error)
        operator.report({"ERROR"}, f"{error.message} {error.hint}".strip())
        return {"CANCELLED"}
    return {"FINISHED"}


class OnAHead:
    """What actions on a head have in common: `_run` gets the one that is meant, and errors are told with their fix."""

    bl_options = frozenset({"REGISTER", "UNDO"})

    head: StringProperty(
        name="Head", description="The armature; empty: the one at hand", options={"HIDDEN", "SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(heads(context.scene))

    def execute(self, context: bpy.types.Context) -> set[str]:
        return attempt(self, lambda: self._run(context, find_head(context, self.head)))


class PicksAFolder:
    """A file browser in which a folder is chosen: people pick it, step into it, or pick a file in it."""

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def package(self, suffix: str) -> Path | None:
        """The folder that ends in `suffix`; None where none was chosen."""
        chosen = [Path(bpy.path.abspath(text)) for text in (self.filepath, self.directory) if text]
        folders = (folder for path in chosen for folder in (path, *path.parents))
        return next((folder for folder in folders if folder.suffix == suffix), None)
