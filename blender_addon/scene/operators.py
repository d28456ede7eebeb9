# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions on what stands in the scene: a package found again, a plate made smaller, a package dropped on a window."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.app.handlers import persistent
from bpy.props import BoolProperty, StringProperty

from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import Shot

from .. import monitor
from ..operators import SHOT_SUFFIX, DUBPLATE_OT_import_shot, attempt
from .camera import camera_of
from .missing import missing
from .plate import plate_clip
from .proxy import build_proxy, is_large
from .shot_link import ShotLink, find_head, heads


class DUBPLATE_OT_find_shot(bpy.types.Operator):
    """Say where the shot package of this head lies now"""

    bl_idname = "dubplate.find_shot"
    bl_label = "Find Shot"
    bl_options = frozenset({"REGISTER", "UNDO"})

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})
    head: StringProperty(name="Head", description="The armature; empty: the one at hand", options={"SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        return attempt(self, lambda: self._find(context))

    def _find(self, context: bpy.types.Context) -> None:
        chosen = [Path(bpy.path.abspath(text)) for text in (self.filepath, self.directory) if text]
        package = next((each for path in chosen for each in (path, *path.parents) if each.suffix == SHOT_SUFFIX), None)
        if package is None:
            raise InvalidInput("No shot package was chosen.", hint=f"Choose a NAME{SHOT_SUFFIX} folder.")
        head = find_head(context, self.head)
        link = ShotLink.of(head)
        shot = Shot.load(package)
        link.head.require(shot.info.head, f"Shot {package.name}")
        ShotLink.of_shot(shot, link.take).store(head)
        monitor.clear_error()


class DUBPLATE_OT_build_proxy(bpy.types.Operator):
    """Let Blender make a smaller copy of the plate that plays smoothly; renders and previews use the plate itself"""

    bl_idname = "dubplate.build_proxy"
    bl_label = "Build Plate Proxy"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return any(is_large(plate_clip(camera_of(context.scene, head))) for head in heads(context.scene))

    def execute(self, context: bpy.types.Context) -> set[str]:
        return attempt(self, lambda: self._build(context))

    def _build(self, context: bpy.types.Context) -> None:
        camera = camera_of(context.scene, find_head(context))
        clip = plate_clip(camera)
        if camera is None or clip is None:
            raise InvalidInput("The shot's plate is not in the scene.", hint="Import the shot again: its keys stay.")
        build_proxy(context, camera, clip)


class DUBPLATE_FH_shot(bpy.types.FileHandler):
    """A shot package that is dropped on a window is imported"""

    bl_idname = "DUBPLATE_FH_shot"
    bl_label = "Dubplate Shot"
    bl_import_operator = DUBPLATE_OT_import_shot.bl_idname
    bl_file_extensions = SHOT_SUFFIX

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        return context.area is not None and context.area.type in {"VIEW_3D", "OUTLINER", "PROPERTIES"}


class DUBPLATE_PT_missing(bpy.types.Panel):
    """What this file needs and cannot find; all keys are kept"""

    bl_idname = "DUBPLATE_PT_missing"
    bl_label = "Missing"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Dubplate"
    bl_parent_id = "DUBPLATE_PT_main"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(missing(context.scene))

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.label(text="All keys are kept.")
        for each in missing(context.scene):
            row = self.layout.row()
            row.label(text=each.text, icon="ERROR")
            button = row.operator(each.fix, text="Find")
            if each.fix == DUBPLATE_OT_find_shot.bl_idname:
                button.head = each.head


@persistent
def _say_what_is_missing(_file: str) -> None:
    """A file was opened: what it lacks stands in the panel, and in the log of a run without one."""
    found = missing(bpy.context.scene)
    if found and bpy.app.background:
        print("Dubplate misses, keeping all keys: " + "; ".join(each.text for each in found), flush=True)


CLASSES = (
    DUBPLATE_OT_find_shot,
    DUBPLATE_OT_build_proxy,
    DUBPLATE_FH_shot,
    DUBPLATE_PT_missing,
)


def register() -> None:
    """Look at every file that is opened."""
    bpy.app.handlers.load_post.append(_say_what_is_missing)


def unregister() -> None:
    """Undo register."""
    bpy.app.handlers.load_post.remove(_say_what_is_missing)
