# SPDX-License-Identifier: GPL-3.0-or-later
"""Pins, and the repair of the track that they ask for."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from dubplate_shared import landmarks
from dubplate_shared.errors import InvalidInput

from .. import monitor
from ..actions import OnAHead
from ..scene.shot_link import ShotLink
from ..tools.stretch import stretch_of
from . import watch
from .pin_objects import pin_landmark, pin_objects, pin_pose, read_pins, remove_pins
from .read_again import read_again

# What a person places: the mouth's corners, and the middle of both lips inside and out.
_LIPS = (
    landmarks.RIGHT_MOUTH_CORNER,
    landmarks.LEFT_MOUTH_CORNER,
    landmarks.UPPER_OUTER_LIP,
    landmarks.LOWER_OUTER_LIP,
    landmarks.UPPER_INNER_LIP,
    landmarks.LOWER_INNER_LIP,
)
_POINTS = {
    "LIPS": ("Lips", "Both corners, and the middle of both lips inside and out", _LIPS),
    "CORNER_L": ("Mouth Corner L", "The left corner of the mouth", (landmarks.LEFT_MOUTH_CORNER,)),
    "CORNER_R": ("Mouth Corner R", "The right corner of the mouth", (landmarks.RIGHT_MOUTH_CORNER,)),
    "UPPER_LIP": ("Upper Lip", "The lower edge of the upper lip", (landmarks.UPPER_INNER_LIP,)),
    "LOWER_LIP": ("Lower Lip", "The upper edge of the lower lip", (landmarks.LOWER_INNER_LIP,)),
    "CHIN": ("Chin", "The lowest point of the chin", (landmarks.CHIN,)),
    "NOSE": ("Nose", "The tip of the nose", (landmarks.NOSE_TIP,)),
    "EYE_L": ("Eye L", "The outer corner of the left eye", (landmarks.LEFT_EYE_OUTER,)),
    "EYE_R": ("Eye R", "The outer corner of the right eye", (landmarks.RIGHT_EYE_OUTER,)),
    "NUMBER": ("By Number", "Any of MediaPipe's landmarks", ()),
}
_PYTHON = StringProperty(
    name="Python",
    description="The Python of the environment with the backend; empty: as the preferences say",
    subtype="FILE_PATH",
    options={"SKIP_SAVE"},
)


class DUBPLATE_OT_pin_landmark(OnAHead, bpy.types.Operator):
    """Pin points of the head on this frame: move them to where the plate has them, then repair the track"""

    bl_idname = "dubplate.pin_landmark"
    bl_label = "Pin Points"

    points: EnumProperty(
        name="Points",
        description="Which points of the face are pinned",
        items=[(name, label, description) for name, (label, description, _) in _POINTS.items()],
        default="LIPS",
    )
    number: IntProperty(
        name="Number",
        description="Of MediaPipe's landmark, where points are pinned by number",
        default=landmarks.NOSE_TIP,
        min=0,
        max=landmarks.COUNT - 1,
    )

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        numbers = _POINTS[self.points][2] or (self.number,)
        pins = [pin_landmark(head, number, context.scene.frame_current) for number in numbers]
        _select(context, pins)


class DUBPLATE_OT_pin_pose(OnAHead, bpy.types.Operator):
    """Key the pose of the head on this frame: move and turn the arrows, which it follows, then repair the track"""

    bl_idname = "dubplate.pin_pose"
    bl_label = "Pin Head Pose"

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        _select(context, [pin_pose(head, context.scene.frame_current)])


class DUBPLATE_OT_clear_pins(OnAHead, bpy.types.Operator):
    """Take the pins out of the scene; what they have repaired stays"""

    bl_idname = "dubplate.clear_pins"
    bl_label = "Clear Pins"

    everywhere: BoolProperty(
        name="On All Frames", description="Those of all frames; else those of the current one", default=True
    )

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        remove_pins(head, pin_objects(head, None if self.everywhere else [context.scene.frame_current]))


class DUBPLATE_OT_repair(OnAHead, bpy.types.Operator):
    """Let the backend solve the track again such that the pins hold; your offsets stay, and so do all other frames"""

    bl_idname = "dubplate.repair"
    bl_label = "Repair Track"
    bl_options = frozenset({"REGISTER"})

    first: IntProperty(
        name="First",
        description="First frame to solve again; with last at 0 too: the preview range, or else what is flagged around "
        "the pins",
        min=0,
        options={"SKIP_SAVE"},
    )
    last: IntProperty(name="Last", description="Last frame to solve again, included", min=0, options={"SKIP_SAVE"})
    write_report: BoolProperty(
        name="Report", description="Write report.html anew; it is left out otherwise", default=False
    )
    write_preview: BoolProperty(
        name="Preview",
        description="Write preview.mp4 anew, which takes a while; it is left out otherwise",
        default=False,
    )
    python: _PYTHON

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        monitor.clear_status()
        told = (self.first, self.last) != (0, 0) or context.scene.use_preview_range
        frames = stretch_of(context, head, self.first, self.last)
        pins = pin_objects(head, frames)
        if not pins:
            raise InvalidInput("No frame to repair has a pin.", hint="Pin points or the head's pose on a frame first.")
        pins_file = Path(bpy.app.tempdir) / "dubplate_pins.json"
        read_pins(ShotLink.of(head).load_shot(), pins).save(pins_file)
        arguments = ["--pins", str(pins_file), *(("--frames", f"{frames[0]}-{frames[-1]}") if told else ())]
        arguments.append("--report" if self.write_report else "--no-report")
        arguments.append("--preview" if self.write_preview else "--no-preview")
        _start(context, head, arguments, self.python)


class DUBPLATE_OT_undo_repair(OnAHead, bpy.types.Operator):
    """Put back the track that the last repair has replaced; your offsets stay"""

    bl_idname = "dubplate.undo_repair"
    bl_label = "Undo Repair"
    bl_options = frozenset({"REGISTER"})

    python: _PYTHON

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        monitor.clear_status()
        _start(context, head, ["--undo"], self.python)


class DUBPLATE_OT_cancel_repair(bpy.types.Operator):
    """Stop the repair; the track stays as it is"""

    bl_idname = "dubplate.cancel_repair"
    bl_label = "Cancel Repair"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        return watch.running() is not None

    def execute(self, _context: bpy.types.Context) -> set[str]:
        watch.running().stop()
        return {"FINISHED"}


class DUBPLATE_OT_read_shot_again(OnAHead, bpy.types.Operator):
    """Read the track and the takes of the shot again; your offsets stay"""

    bl_idname = "dubplate.read_shot_again"
    bl_label = "Read Shot Again"

    def _run(self, _context: bpy.types.Context, head: bpy.types.Object) -> None:
        monitor.clear_status()
        read_again(head)
        monitor.status().stage = "The track was read again"


def _start(context: bpy.types.Context, head: bpy.types.Object, arguments: list[str], python: str) -> None:
    watch.start(context, head, arguments, python)
    if bpy.app.background:  # no timers there
        watch.wait()


def _select(context: bpy.types.Context, pins: list[bpy.types.Object]) -> None:
    """So that they can be moved at once (G)."""
    for thing in context.view_layer.objects:
        thing.select_set(thing in pins)
    context.view_layer.objects.active = pins[-1]


CLASSES: tuple[type, ...] = (
    DUBPLATE_OT_pin_landmark,
    DUBPLATE_OT_pin_pose,
    DUBPLATE_OT_clear_pins,
    DUBPLATE_OT_repair,
    DUBPLATE_OT_undo_repair,
    DUBPLATE_OT_cancel_repair,
    DUBPLATE_OT_read_shot_again,
)
