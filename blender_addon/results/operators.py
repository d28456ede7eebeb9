# SPDX-License-Identifier: GPL-3.0-or-later
"""The buttons that bring plates into the scene."""

from __future__ import annotations

import bpy
from bpy.props import EnumProperty

from .. import compat, monitor
from ..actions import OnAHead
from ..request import output_of
from ..scene.camera import camera_of
from ..scene.plate import is_display, plate_clip
from ..scene.shot_link import ShotLink
from .background import show_plates
from .compositor import add_group
from .plates import find_plates
from .sequencer import add_strips

PLACES = (
    ("SEQUENCER", "Sequencer", "As image strips above the sound", "SEQUENCE", 0),
    ("COMPOSITOR", "Compositor", "As a node group that lays the drawn element over the plate", "NODE_COMPOSITING", 1),
    ("BACKGROUND", "Camera Background", "Behind the head, in place of what was filmed", "CAMERA_DATA", 2),
)


class DUBPLATE_OT_show_results(OnAHead, bpy.types.Operator):
    """Bring the rendered plates of this version into the scene"""

    bl_idname = "dubplate.show_results"
    bl_label = "Show Plates"

    place: EnumProperty(name="Place", description="Where the plates are shown", items=PLACES)

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        return next(text for name, _, text, *_ in PLACES if name == properties.place)

    def _run(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        monitor.clear_error()
        scene = context.scene
        link = ShotLink.of(head)
        plates = find_plates(output_of(context), link.name, scene.dubplate.version)
        colour_space = link.load_shot().info.plate.colour_space
        camera = camera_of(scene, head)
        if self.place == "SEQUENCER":
            add_strips(scene, plates, colour_space)
            if is_display(colour_space) and not compat.SEQUENCER_BALANCES:
                self.report({"WARNING"}, "This Blender's sequencer takes plates for light: they look too bright.")
        elif self.place == "COMPOSITOR":
            add_group(scene, plates, plate_clip(camera), colour_space)
        else:
            show_plates(camera, plates, colour_space)
        self.report({"INFO"}, f"{plates.name}: {len(plates.files)} frames")


CLASSES = (DUBPLATE_OT_show_results,)
