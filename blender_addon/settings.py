# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scene remembers of its renders, and what the window shows of the one under way."""

import bpy
from bpy.props import FloatProperty, IntProperty, PointerProperty, StringProperty

from .compat import PATH_OPTIONS

_MOST_VERSIONS = 9999  # the wire's limit


class DubplateSettings(bpy.types.PropertyGroup):
    """Saved with the scene, as scene.dubplate."""

    actor: StringProperty(
        name="Actor",
        description="The actor package (NAME.dubactor) that draws the face",
        subtype="DIR_PATH",
        options=PATH_OPTIONS,
    )
    output: StringProperty(
        name="Output",
        description="Folder for the plates: v001/SHOT_dub_v001.1001.exr and so on; empty: the one of the preferences",
        subtype="DIR_PATH",
        options=PATH_OPTIONS,
    )
    frames: StringProperty(
        name="Frames",
        description="Frames to render, such as 1001-1100 or 1001-1100x2,1200; empty: the scene's or its preview range",
    )
    version: IntProperty(name="Version", description="Version of the plates", default=1, min=1, max=_MOST_VERSIONS)
    mouth_frame: IntProperty(
        name="Copied Mouth", description="Frame whose mouth was copied, to be pasted on others; 0: none", min=0
    )
    connection: StringProperty(
        name="Connection File",
        description="Connection file of a running backend; empty: start one with the Python of the preferences",
        subtype="FILE_PATH",
        options=PATH_OPTIONS,
    )


class DubplateStatus(bpy.types.PropertyGroup):
    """Not saved, as window_manager.dubplate: what the panel says."""

    progress: FloatProperty(
        name="Progress", description="Part of the render that is done", min=0.0, max=1.0, subtype="FACTOR"
    )
    stage: StringProperty(name="Stage", description="What the backend does now")
    error: StringProperty(name="Error", description="What went wrong last")
    hint: StringProperty(name="Hint", description="What to do about it")
    code: StringProperty(name="Code", description="What kind of error it is")
    fix: StringProperty(name="Fix", description="The operator that does it")
    result: StringProperty(name="Result", description="What the last render wrote")
    drawn: IntProperty(name="Drawn", description="Plates that the render drew")
    kept: IntProperty(name="Kept", description="Plates that stood already, or were drawn by an earlier render")


CLASSES = (DubplateSettings, DubplateStatus)


def register() -> None:
    """Register the groups and hang them on scene and window manager."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Object.dubplate_actor = StringProperty(
        name="Actor of This Head",
        description="The actor (NAME.dubactor) that draws this head, where a scene has several; empty: the scene's",
        subtype="DIR_PATH",
        options=PATH_OPTIONS,
        override={"LIBRARY_OVERRIDABLE"},
    )
    bpy.types.Scene.dubplate = PointerProperty(type=DubplateSettings)
    bpy.types.WindowManager.dubplate = PointerProperty(type=DubplateStatus)


def unregister() -> None:
    """Undo register."""
    del bpy.types.WindowManager.dubplate
    del bpy.types.Scene.dubplate
    del bpy.types.Object.dubplate_actor
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
