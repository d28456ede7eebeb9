# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions on what stands in the scene: a package found again, a plate made smaller, a package dropped on a window."""

from __future__ import annotations

import bpy
from bpy.app.handlers import persistent

from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import Shot

from .. import monitor
from ..actions import OnAHead, PicksAFolder
from ..operators import SHOT_SUFFIX, DUBPLATE_OT_import_shot
from .camera import camera_of
from .missing import missing
from .plate import plate_clip
from .proxy import build_proxy, is_large
from .shot_link import ShotLink, heads


class DUBPLATE_OT_find_shot(PicksAFolder, OnAHead, bpy.types.Operator):
    """Say where the shot package of this head lies now"""

    bl_idname = "dubplate.find_shot"
    bl_label = "Find Shot"

    def _run(self, _context: bpy.types.Context, head: bpy.types.Object) -> None:
        package = self.package(SHOT_SUFFIX)
        if package is None:
            raise InvalidInput("No shot package was chosen.", hint=f"Choose a NAME{SHOT_SUFFIX} folder.")
        link = ShotLink.of(head)
        shot = Shot.load(package)
        link.head.require(shot.info.head, f"Shot {package.name}")
        ShotLink.of_shot(shot, link.take).store(head)
        monitor.clear_error()


class DUBPLATE_OT_build_proxy(OnAHead, bpy.types.Operator):
    """Let Blender make a smaller copy of the plate that plays smoothly; renders and previews use the plate itself"""

    bl_idname = "dubplate.build_proxy"
    bl_label = "Build Plate Proxy"
    bl_options = frozenset({"REGISTER"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return any(is_large(plate_clip(camera_of(context.scene, head))) for head in heads(context.scene))

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        camera = camera_of(context.scene, head)
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
            if each.fix.startswith("dubplate."):
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
