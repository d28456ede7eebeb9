# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools as actions: each names its frames, and can be adjusted after it ran (F9)."""

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty

from dubplate_shared.controls import CONTROLS
from dubplate_shared.errors import InvalidInput
from dubplate_shared.flags import Flag, flags_of

from ..actions import OnAHead
from ..markers.markers import closure_on, closures
from ..scene.shot_link import ShotLink
from ..scene.shot_rig import load_rig
from . import edits
from .exaggerate import JAW, MOUTH
from .flags import next_flag, performance_flags
from .stretch import read_mouths, stretch_of

_AROUND = 8  # frames on either side of a moment that is retimed, where no range is told
_WHATS = (
    (MOUTH, "Mouth", "All that moves the mouth, jaw included"),
    (JAW, "Jaw", "The jaw alone"),
    *((control.name, control.label, control.description) for control in CONTROLS if control.name != "jaw_open"),
)


def _frame(name: str, description: str) -> object:
    """Forgotten when the tool is called again: a range that was adjusted is no other range's."""
    return IntProperty(name=name, description=description, default=0, min=0, options={"SKIP_SAVE"})


def _blend(name: str, description: str, default: int) -> object:
    return IntProperty(name=name, description=description, default=default, min=0, soft_max=24)


def _whole_face() -> object:
    return BoolProperty(
        name="Whole Face", description="Take eyes and brows along; else only the mouth changes", default=False
    )


class _OverFrames(OnAHead):
    """Tools that work on a range of frames."""

    first: _frame("First", "First frame; with last at 0 too: as the scene's preview range says, or else all frames")
    last: _frame("Last", "Last frame, included")

    def _frames(self, context: bpy.types.Context, head: bpy.types.Object) -> range:
        return stretch_of(context, head, self.first, self.last)

    def _told(self) -> bool:
        return (self.first, self.last) != (0, 0)


class DUBPLATE_OT_smooth(_OverFrames, bpy.types.Operator):
    """Smooth the performance over a range (Savitzky-Golay); closed lips stay closed"""

    bl_idname = "dubplate.smooth"
    bl_label = "Smooth"

    reach: IntProperty(
        name="Reach", description="Frames on either side that a frame is smoothed with", default=3, min=2, soft_max=12
    )
    whole_face: _whole_face()

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        edits.smooth_stretch(
            head,
            self._frames(context, head),
            reach=self.reach,
            closures=closures(context.scene, head),
            whole_face=self.whole_face,
        )


class DUBPLATE_OT_exaggerate(_OverFrames, bpy.types.Operator):
    """Let the mouth, the jaw or one control do more or less over a range; closed lips stay closed"""

    bl_idname = "dubplate.exaggerate"
    bl_label = "Exaggerate"

    what: EnumProperty(name="What", description="What does more or less", items=_WHATS, default=MOUTH)
    factor: FloatProperty(
        name="Factor",
        description="1 leaves it as it is, below 1 damps it, 0 takes it away",
        default=1.25,
        soft_min=0.0,
        soft_max=2.0,
    )
    blend: _blend("Blend", "Frames on either side over which it comes and goes", 4)

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        frames = self._frames(context, head)
        edits.exaggerate_stretch(head, frames, what=self.what, factor=self.factor, blend=self.blend)


class DUBPLATE_OT_retime(_OverFrames, bpy.types.Operator):
    """Let what happens now happen earlier or later; the ends of the range stay in time"""

    bl_idname = "dubplate.retime"
    bl_label = "Retime"

    moment: _frame("Moment", "Frame of what is moved; 0: the current one")
    by: IntProperty(name="By", description="Frames later; earlier where below 0", default=2, soft_min=-8, soft_max=8)
    whole_face: _whole_face()

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        moment = self.moment or context.scene.frame_current
        frames = self._frames(context, head)
        if not self._told() and not context.scene.use_preview_range:
            reach = _AROUND + abs(self.by)
            frames = stretch_of(context, head, moment - reach, moment + reach)
        edits.retime_stretch(head, frames, moment=moment, to=moment + self.by, whole_face=self.whole_face)


class _FromHereOn(_OverFrames):
    """Tools that work on the current frame unless told otherwise."""

    blend_in: _blend("Blend In", "Frames before the first over which it comes", 3)
    blend_out: _blend("Blend Out", "Frames after the last over which it goes", 3)

    def _frames(self, context: bpy.types.Context, head: bpy.types.Object) -> range:
        now = context.scene.frame_current
        return stretch_of(context, head, *((self.first, self.last) if self._told() else (now, now)))


class DUBPLATE_OT_copy_mouth(OnAHead, bpy.types.Operator):
    """Remember the mouth of the current frame, to be pasted on others"""

    bl_idname = "dubplate.copy_mouth"
    bl_label = "Copy Mouth"

    def _run(self, context: bpy.types.Context, _head: bpy.types.Object) -> None:
        context.scene.dubplate.mouth_frame = context.scene.frame_current


class DUBPLATE_OT_paste_mouth(_FromHereOn, bpy.types.Operator):
    """Hold the mouth of another frame on the current one"""

    bl_idname = "dubplate.paste_mouth"
    bl_label = "Paste Mouth"

    source: _frame("From", "Frame whose mouth is pasted; 0: the one that was copied")
    whole_face: _whole_face()

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        source = self.source or context.scene.dubplate.mouth_frame
        if source not in ShotLink.of(head).frames:
            raise InvalidInput(f"Frame {source} is none of the shot's.", hint="Copy the mouth of a frame first.")
        edits.hold_mouth(
            head,
            source,
            self._frames(context, head),
            blend_in=self.blend_in,
            blend_out=self.blend_out,
            whole_face=self.whole_face,
        )


class DUBPLATE_OT_hold_closure(_FromHereOn, bpy.types.Operator):
    """Let the lips touch, as P, B and M ask for: on the marked sound at the current frame, or on that frame alone"""

    bl_idname = "dubplate.hold_closure"
    bl_label = "Hold Closure"

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        marked = closure_on(context.scene, head, context.scene.frame_current)
        frames = self._frames(context, head)
        if marked is not None and not self._told():
            frames = stretch_of(context, head, marked.frames[0], marked.frames[-1])
        edits.close_lips(head, frames, blend_in=self.blend_in, blend_out=self.blend_out)


class DUBPLATE_OT_close_marked(_OverFrames, bpy.types.Operator):
    """Let the lips touch on every marked P, B and M of a range whose lips are apart"""

    bl_idname = "dubplate.close_marked"
    bl_label = "Close All Marked"

    blend: _blend("Blend", "Frames on either side over which the lips come together and part", 3)

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        open_ones = edits.open_closures(head, self._frames(context, head), closures(context.scene, head))
        for closure in open_ones:
            frames = stretch_of(context, head, closure.frames[0], closure.frames[-1])
            edits.close_lips(head, frames, blend_in=self.blend, blend_out=self.blend)
        self.report({"INFO"}, f"{len(open_ones)} closures were open")


class DUBPLATE_OT_simplify(_OverFrames, bpy.types.Operator):
    """Key your curves on as few frames as the lips allow"""

    bl_idname = "dubplate.simplify"
    bl_label = "Simplify"

    most: FloatProperty(
        name="Error",
        description="How far any point of lips, lids and brows may be off, in millimetres",
        default=0.3,
        min=0.01,
        soft_max=2.0,
    )

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        done = edits.simplify_stretch(head, self._frames(context, head), most_mm=self.most)
        self.report({"INFO"}, f"{done.before} keys became {done.after}, on {done.frames} frames")


class DUBPLATE_OT_next_flag(OnAHead, bpy.types.Operator):
    """Go to the next frame to look at: lips open on a closure, a jaw too fast, a track that does not sit"""

    bl_idname = "dubplate.next_flag"
    bl_label = "Next Flag"

    step: EnumProperty(
        name="Way",
        description="Where to look",
        items=(("NEXT", "Next", "After the current frame"), ("PREVIOUS", "Previous", "Before the current frame")),
    )

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        scene = context.scene
        flag = next_flag(_flags(scene, head), scene.frame_current, 1 if self.step == "NEXT" else -1)
        if flag is None:
            self.report({"INFO"}, "Nothing is flagged")
            return
        scene.frame_set(flag.worst)
        self.report({"INFO"}, f"Frame {flag.worst}: {flag.says}")


def _flags(scene: bpy.types.Scene, head: bpy.types.Object) -> tuple[Flag, ...]:
    """Those of the performance as it is now, and those of the tracker."""
    link = ShotLink.of(head)
    info, mouths = link.load_shot().info, read_mouths(head, link.frames)
    ours = performance_flags(load_rig(head), mouths, link.frames, closures(scene, head), info.rate.fps)
    return (*ours, *flags_of(info.extra.get("tracking", {})))


CLASSES: tuple[type, ...] = (
    DUBPLATE_OT_smooth,
    DUBPLATE_OT_exaggerate,
    DUBPLATE_OT_retime,
    DUBPLATE_OT_copy_mouth,
    DUBPLATE_OT_paste_mouth,
    DUBPLATE_OT_hold_closure,
    DUBPLATE_OT_close_marked,
    DUBPLATE_OT_simplify,
    DUBPLATE_OT_next_flag,
)
