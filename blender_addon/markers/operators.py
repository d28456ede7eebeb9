# SPDX-License-Identifier: GPL-3.0-or-later
"""Import of what is said as markers."""

import bpy
from bpy.props import EnumProperty, FloatProperty, StringProperty

from ..actions import OnAHead
from .labels import SUFFIXES
from .markers import import_markers


class DUBPLATE_OT_import_markers(OnAHead, bpy.types.Operator):
    """Import phonemes or words of a Praat TextGrid, a GRID alignment or subtitles as markers"""

    bl_idname = "dubplate.import_markers"
    bl_label = "Import Markers"

    filepath: StringProperty(
        name="File",
        description="Labels in time: .TextGrid, .align or .srt",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )
    filter_glob: StringProperty(default=";".join(f"*{suffix}" for suffix in SUFFIXES), options={"HIDDEN", "SKIP_SAVE"})
    tier: StringProperty(name="Tier", description="The tier of a TextGrid; empty: the one with phonemes")
    offset: FloatProperty(
        name="Offset",
        description="Seconds of the shot's sound that pass before the file's sound begins",
        default=0.0,
        unit="TIME_ABSOLUTE",
    )
    places: EnumProperty(
        name="Markers",
        description="Where the markers are set",
        items=(
            ("TAKE", "Take", "On the take that is heard: they travel with it"),
            ("TIMELINE", "Timeline", "On the scene's timeline, where they are seen"),
        ),
        options={"ENUM_FLAG"},
        default={"TAKE", "TIMELINE"},
    )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        if self.filepath:  # dropped
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        done = import_markers(
            context.scene,
            head,
            bpy.path.abspath(self.filepath),
            tier=self.tier,
            offset_s=self.offset,
            on_take="TAKE" in self.places,
            on_timeline="TIMELINE" in self.places,
        )
        self.report({"INFO"}, f"{done.count} markers of tier {done.tier!r}")
        if done.outside:
            self.report({"WARNING"}, f"{done.outside} labels lie outside the shot and were left out.")


class DUBPLATE_FH_markers(bpy.types.FileHandler):
    """A file of labels that is dropped on the viewport or a timeline becomes markers"""

    bl_idname = "DUBPLATE_FH_markers"
    bl_label = "Labels as Markers"
    bl_import_operator = DUBPLATE_OT_import_markers.bl_idname
    bl_file_extensions = ";".join(SUFFIXES)

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        return context.area is not None and context.area.type in {"VIEW_3D", "DOPESHEET_EDITOR", "SEQUENCE_EDITOR"}


CLASSES: tuple[type, ...] = (DUBPLATE_OT_import_markers, DUBPLATE_FH_markers)
