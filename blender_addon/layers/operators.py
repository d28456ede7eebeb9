# SPDX-License-Identifier: GPL-3.0-or-later
"""The layers' actions: takes against each other, patches, baking. Each is one step of undo."""

import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty

from dubplate_shared.errors import DubplateError
from dubplate_shared.take import TRACKED

from ..actions import OnAHead, attempt
from ..scene.shot_link import ShotLink, find_head
from . import bake, takes
from .offsets import fade_offsets
from .patches import add_patch, patch_share, remove_patch

_DEFAULT_FADE = 4  # frames of a cross-fade: a sixth of a second at 24 fps


class DUBPLATE_OT_load_take(OnAHead, bpy.types.Operator):
    """Put another take of the shot under the offsets, which stay; the take that was heard is muted"""

    bl_idname = "dubplate.load_take"
    bl_label = "Load Take"

    take: StringProperty(name="Take", description="A take of the shot", default=TRACKED)

    def _run(self, _context: bpy.types.Context, head: bpy.types.Object) -> None:
        shot = ShotLink.of(head).load_shot()
        takes.load_take(head, shot, shot.take(self.take))


class DUBPLATE_OT_hear_take(OnAHead, bpy.types.Operator):
    """Hear this take under the offsets, and mute the others"""

    bl_idname = "dubplate.hear_take"
    bl_label = "Hear Take"

    take: StringProperty(name="Take", description="A take that was loaded")

    def _run(self, _context: bpy.types.Context, head: bpy.types.Object) -> None:
        takes.hear_take(head, self.take)


class DUBPLATE_OT_flip_takes(OnAHead, bpy.types.Operator):
    """Hear the other take: A against B, or the next where there are more"""

    bl_idname = "dubplate.flip_takes"
    bl_label = "Flip Takes"

    def _run(self, _context: bpy.types.Context, head: bpy.types.Object) -> None:
        takes.hear_next(head)


class DUBPLATE_OT_patch_range(OnAHead, bpy.types.Operator):
    """Lay a stretch of a take over what is heard, cross-faded; nothing beneath changes"""

    bl_idname = "dubplate.patch_range"
    bl_label = "Patch Range"

    take: StringProperty(name="Take", description="A take of the shot; tracked is what was filmed", default=TRACKED)
    first: IntProperty(
        name="First",
        description="First frame on which the take is heard alone; 0: of the range",
        options={"SKIP_SAVE"},
    )
    last: IntProperty(
        name="Last", description="Last frame on which the take is heard alone; 0: of the range", options={"SKIP_SAVE"}
    )
    fade: IntProperty(
        name="Cross-fade",
        description="Frames before and after over which it comes in and goes out",
        default=_DEFAULT_FADE,
        min=0,
        soft_max=24,
    )
    keep_offsets: BoolProperty(
        name="Keep Offsets",
        description="Add the offsets there too; off: they fade out as the take fades in",
        default=True,
    )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        asked = attempt(self, lambda: self._fill_in(context, find_head(context, self.head)))
        return context.window_manager.invoke_props_dialog(self) if asked == {"FINISHED"} else asked

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        shot = ShotLink.of(head).load_shot()
        self._fill_in(context, head)
        track = add_patch(head, shot, shot.take(self.take), range(self.first, self.last + 1), self.fade)
        if not self.keep_offsets:
            frames, share = patch_share(track)
            fade_offsets(head, frames, share)

    def _fill_in(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        """The range, where it was not told."""
        scene, shot = context.scene, ShotLink.of(head).frames
        preview = scene.use_preview_range
        first, last = (scene.frame_preview_start, scene.frame_preview_end) if preview else (shot[0], shot[-1])
        self.first, self.last = self.first or max(first, shot[0]), self.last or min(last, shot[-1])


class DUBPLATE_OT_remove_patch(OnAHead, bpy.types.Operator):
    """Take the patch away: what lies beneath is heard again"""

    bl_idname = "dubplate.remove_patch"
    bl_label = "Remove Patch"

    patch: StringProperty(name="Patch", description="Name of its NLA track")

    def _run(self, _context: bpy.types.Context, head: bpy.types.Object) -> None:
        remove_patch(head, self.patch)


class DUBPLATE_OT_bake_down(OnAHead, bpy.types.Operator):
    """Put all layers into one Action with a key a frame, for any of Blender's tools; the layers stay, muted"""

    bl_idname = "dubplate.bake_down"
    bl_label = "Bake Down"

    def _run(self, _context: bpy.types.Context, head: bpy.types.Object) -> None:
        bake.bake_down(head)


class DUBPLATE_OT_back_to_layers(OnAHead, bpy.types.Operator):
    """Hear the layers again; what was edited since on the baked curves is added to the offsets"""

    bl_idname = "dubplate.back_to_layers"
    bl_label = "Back to Layers"

    def _run(self, _context: bpy.types.Context, head: bpy.types.Object) -> None:
        edited = bake.back_to_layers(head)
        self.report({"INFO"}, f"Curves edited on the baked Action and kept as offsets: {edited}")


class _TakesOfTheShot:
    """A menu of what the shot's package holds, each for the `operator`."""

    def draw(self, context: bpy.types.Context) -> None:
        try:
            names = ShotLink.of(find_head(context)).load_shot().take_names()
        except DubplateError as error:
            self.layout.label(text=error.message, icon="ERROR")
            return
        self.layout.operator_context = "INVOKE_DEFAULT"
        for name in names:
            self.layout.operator(self.operator, text=name).take = name


class DUBPLATE_MT_takes(_TakesOfTheShot, bpy.types.Menu):
    """The takes of the shot at hand"""

    bl_idname = "DUBPLATE_MT_takes"
    bl_label = "Load Take"
    operator = DUBPLATE_OT_load_take.bl_idname


class DUBPLATE_MT_patches(_TakesOfTheShot, bpy.types.Menu):
    """The takes of the shot, to be laid over a range"""

    bl_idname = "DUBPLATE_MT_patches"
    bl_label = "Patch Range with Take"
    operator = DUBPLATE_OT_patch_range.bl_idname


CLASSES = (
    DUBPLATE_OT_load_take,
    DUBPLATE_OT_hear_take,
    DUBPLATE_OT_flip_takes,
    DUBPLATE_OT_patch_range,
    DUBPLATE_OT_remove_patch,
    DUBPLATE_OT_bake_down,
    DUBPLATE_OT_back_to_layers,
    DUBPLATE_MT_takes,
    DUBPLATE_MT_patches,
)
