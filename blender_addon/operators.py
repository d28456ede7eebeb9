# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's actions, thin: each checks, calls one room and says what came of it."""

import bpy
from bpy.props import StringProperty

from dubplate_shared.errors import InvalidInput

from . import monitor
from .actions import OnAHead, PicksAFolder, attempt
from .request import Choice
from .scene.export_head import SUFFIXES, export_head
from .scene.import_shot import import_with_notes
from .scene.plate import plate_clip
from .scene.proxy import is_large
from .scene.shot_link import ShotLink, find_head, heads

SHOT_SUFFIX = ".dubshot"


class DUBPLATE_OT_import_shot(PicksAFolder, bpy.types.Operator):
    """Import a tracked shot: head, curves, camera, plate and sound"""

    bl_idname = "dubplate.import_shot"
    bl_label = "Import Dubplate Shot"
    bl_options = frozenset({"REGISTER", "UNDO"})

    filepath: StringProperty(
        name="Shot",
        description="The shot package, a folder NAME.dubshot",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )
    take: StringProperty(name="Take", description="The performance to put on the curves", default="tracked")
    set_up_scene: bpy.props.BoolProperty(
        name="Set Up Scene",
        description="Let the scene have the shot's camera, rate, range, resolution and colours, if it has no head yet",
        default=True,
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.filepath:  # dropped on a window
            return self.execute(context)
        return PicksAFolder.invoke(self, context, event)

    def execute(self, context: bpy.types.Context) -> set[str]:
        return attempt(self, lambda: self._import(context))

    def _import(self, context: bpy.types.Context) -> None:
        monitor.clear_status()
        package = self.package(SHOT_SUFFIX)
        if package is None:
            raise InvalidInput(
                f"{self.filepath or self.directory or 'Nothing'} is no shot package.",
                hint=f"Choose a NAME{SHOT_SUFFIX} folder.",
            )
        imported = import_with_notes(package, take=self.take, set_up_scene=self.set_up_scene)
        for note in imported.notes:
            self.report({"WARNING"}, note)
        _look_through_camera(context)
        if is_large(plate_clip(imported.camera)):
            self.report({"INFO"}, "The plate is large: Build Plate Proxy in the Dubplate tab lets it play smoothly.")


def _look_through_camera(context: bpy.types.Context) -> None:
    for area in context.screen.areas if context.screen else ():
        if area.type == "VIEW_3D":
            area.spaces.active.region_3d.view_perspective = "CAMERA"


class DUBPLATE_OT_export_head(OnAHead, bpy.types.Operator):
    """Write the animated head and its camera as Alembic or USD"""

    bl_idname = "dubplate.export_head"
    bl_label = "Export Dubplate Head"
    bl_options = frozenset({"REGISTER"})

    filepath: StringProperty(name="File", description="NAME.abc, NAME.usd, NAME.usdc or NAME.usda", subtype="FILE_PATH")
    filter_glob: StringProperty(default="".join(f"*{suffix};" for suffix in SUFFIXES), options={"HIDDEN", "SKIP_SAVE"})
    check_existing: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        named = attempt(self, lambda: self._name_file(context))
        if named == {"FINISHED"}:
            context.window_manager.fileselect_add(self)
            return {"RUNNING_MODAL"}
        return named

    def _name_file(self, context: bpy.types.Context) -> None:
        self.filepath = self.filepath or f"{ShotLink.of(find_head(context, self.head)).name}{SUFFIXES[0]}"

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        monitor.clear_status()
        exported = export_head(context, head, bpy.path.abspath(self.filepath))
        first, last = exported.frames
        self.report({"INFO"}, f"{exported.path}: frames {first} to {last}")
        if exported.camera is None:
            self.report({"WARNING"}, "The scene has no camera: the head was written alone.")


class DUBPLATE_OT_connect(bpy.types.Operator):
    """Connect to a running backend, or start one with the Python of the preferences"""

    bl_idname = "dubplate.connect"
    bl_label = "Connect"

    connection: StringProperty(
        name="Connection File",
        description="Connection file of a running backend; empty: as the scene says",
        subtype="FILE_PATH",
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        return attempt(self, lambda: self._connect(context))

    def _connect(self, context: bpy.types.Context) -> None:
        monitor.clear_status()
        monitor.connect(context, Choice(connection=self.connection))
        if bpy.app.background:  # no timers there
            monitor.wait_until_connected()


class DUBPLATE_OT_disconnect(bpy.types.Operator):
    """Leave the backend; one that was started here ends"""

    bl_idname = "dubplate.disconnect"
    bl_label = "Disconnect"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return monitor.session().hello is not None or monitor.session().starting

    def execute(self, _context: bpy.types.Context) -> set[str]:
        monitor.close_session()
        monitor.clear_status()
        return {"FINISHED"}


class DUBPLATE_OT_render_range(bpy.types.Operator):
    """Render the frame range to plates in the background; Blender stays free"""

    bl_idname = "dubplate.render_range"
    bl_label = "Render Range"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if monitor.is_rendering():
            cls.poll_message_set("A render is under way")
            return False
        return bool(heads(context.scene))

    def execute(self, context: bpy.types.Context) -> set[str]:
        return attempt(self, lambda: self._render(context))

    def _render(self, context: bpy.types.Context) -> None:
        monitor.clear_status()
        monitor.render(context)
        if bpy.app.background:  # no timers there
            monitor.wait()


class DUBPLATE_OT_cancel(bpy.types.Operator):
    """Stop the render; plates already written are whole"""

    bl_idname = "dubplate.cancel"
    bl_label = "Cancel Render"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return monitor.is_rendering()

    def execute(self, _context: bpy.types.Context) -> set[str]:
        return attempt(self, monitor.cancel)


CLASSES = (
    DUBPLATE_OT_import_shot,
    DUBPLATE_OT_export_head,
    DUBPLATE_OT_connect,
    DUBPLATE_OT_disconnect,
    DUBPLATE_OT_render_range,
    DUBPLATE_OT_cancel,
)
