# SPDX-License-Identifier: GPL-3.0-or-later
"""Dragging a point of the lips, as a tool of the viewport and for scripts; keys of the controls."""

import bpy
import numpy as np
from bpy.props import FloatVectorProperty, IntProperty, StringProperty
from bpy_extras import view3d_utils
from mathutils import Vector

from dubplate_shared.errors import DubplateError, InvalidInput
from dubplate_shared.landmarks import LIPS, LOWER_OUTER_LIP

from .. import monitor
from ..actions import OnAHead
from ..curves import animation, channels
from ..layers import stack
from ..rig.controls import ControlMatrix
from ..scene.shot_link import find_head
from .drag import LipDrag
from .grab import Solution

_CATCH_PX = 40  # how near the mouse must be to a point of the lips
_DEFAULT_SPREAD = 3  # frames: with the frame itself a fifth of a second, about a syllable's movement


class DUBPLATE_OT_drag_lip(OnAHead, bpy.types.Operator):
    """Drag a point of the lips: the controls that bring it there are solved and keyed on the frame"""

    bl_idname = "dubplate.drag_lip"
    bl_label = "Drag Lip"

    landmark: IntProperty(
        name="Point",
        description="MediaPipe's number of a point of the lips: 13 and 14 in the middle, 61 and 291 the corners",
        default=LOWER_OUTER_LIP,
        min=0,
        max=467,
        options={"SKIP_SAVE"},
    )
    move: FloatVectorProperty(
        name="Move",
        description="In millimetres: to the subject's left, up, out of the face",
        size=3,
        precision=2,
        options={"SKIP_SAVE"},  # a click that drags nothing would do the last drag again
    )
    sight: FloatVectorProperty(
        name="Sight",
        description="Direction in which the move is free; none where it is 0",
        size=3,
        options={"HIDDEN", "SKIP_SAVE"},
    )
    spread: IntProperty(
        name="Spread",
        description="Frames before and after over which the change comes in and goes out; 0: a key alone",
        default=_DEFAULT_SPREAD,
        min=0,
        soft_max=24,
    )

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        if self.landmark not in LIPS:
            raise InvalidInput(
                f"Point {self.landmark} is not on the lips.", hint="Take 13 or 14 in the middle, 61 or 291 at a corner."
            )
        drag = LipDrag(head, context.scene.frame_current)
        sight = np.array(self.sight)
        solution = drag.pull(self.landmark, np.array(self.move), sight if sight.any() else None)
        drag.key(solution, self.spread)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Take the point that is under the mouse, and follow until the button is let go."""
        if context.region_data is None:
            return self.execute(context)
        try:
            self._drag = LipDrag(find_head(context, self.head), context.scene.frame_current)
            self._catch(context, event)
        except DubplateError as error:
            monitor.show_error(error)
            self.report({"WARNING"}, f"{error.message} {error.hint}")
            return {"CANCELLED"}
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def _catch(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        places = self._drag.world_positions()
        mouse = np.array((event.mouse_region_x, event.mouse_region_y))
        seen = [view3d_utils.location_3d_to_region_2d(context.region, context.region_data, Vector(p)) for p in places]
        distances = [np.inf if point is None else float(np.linalg.norm(np.array(point) - mouse)) for point in seen]
        nearest = int(np.argmin(distances))
        if distances[nearest] > _CATCH_PX:
            raise InvalidInput("No point of the lips is there.", hint="Begin the drag on the lips.")
        self.landmark = LIPS[nearest]
        self._start = places[nearest]
        self._grip = np.array(seen[nearest]) - mouse

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type in {"RIGHTMOUSE", "ESC"}:
            self._drag.put_back()
            context.area.header_text_set(None)
            return {"CANCELLED"}
        if event.type == "MOUSEMOVE":
            self._drag.show(self._follow(context, event))
            context.area.header_text_set(f"Move {', '.join(f'{value:.1f}' for value in self.move)} mm")
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE":
            self._drag.put_back()
            context.area.header_text_set(None)
            return self.execute(context)
        return {"RUNNING_MODAL"}

    def cancel(self, _context: bpy.types.Context) -> None:
        """Blender ends the drag, such as for another file."""
        self._drag.put_back()

    def _follow(self, context: bpy.types.Context, event: bpy.types.Event) -> Solution:
        point = self._grip + np.array((event.mouse_region_x, event.mouse_region_y))
        region, data = context.region, context.region_data
        target = view3d_utils.region_2d_to_location_3d(region, data, point, Vector(self._start))
        sight = view3d_utils.region_2d_to_vector_3d(region, data, point)
        solution, self.move, self.sight = self._drag.pull_in_world(self.landmark, np.array(target), np.array(sight))
        return solution


class DUBPLATE_OT_key_control(OnAHead, bpy.types.Operator):
    """Key the control as it is on this frame, or take its key away"""

    bl_idname = "dubplate.key_control"
    bl_label = "Key Control"

    control: StringProperty(name="Control", description="Its name, such as smile_L")

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        frame = context.scene.frame_current
        if self.control not in ControlMatrix.of(head).names:
            raise InvalidInput(f"{head.name} has no control {self.control!r}.", hint="Take one of the Controls panel.")
        channel = channels.control(self.control)
        curve = animation.fcurves(head).get(channel[:2])
        stack.ensure_offsets(head)
        if curve is not None and animation.has_key(curve, frame):
            head.keyframe_delete(channel.path, index=channel.index, frame=frame)
        else:
            head.keyframe_insert(channel.path, index=channel.index, frame=frame, group=channel.group)


CLASSES = (DUBPLATE_OT_drag_lip, DUBPLATE_OT_key_control)
