# SPDX-License-Identifier: GPL-3.0-or-later
"""A handle on the face for every semantic control: a bone that slides along its way, in front of what it moves.

The bone above it, unseen, is scaled so that one unit of the handle is the length of its way; its curve then reads 0 at
rest and 1 at the full pose.  A drag stops at the soft limits, a typed or keyed value goes beyond.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt
from mathutils import Vector

from dubplate_shared.controls import CONTROLS
from dubplate_shared.rig import Rig

from . import shapes
from .controls import VALUE_AXIS, ControlMatrix, handle_name

Array = npt.NDArray[Any]

_MM = 1e-3
_BONE_LENGTH = 0.01  # metres; the shapes cover it
_LEAST_INFLUENCE = 1e-6  # a limit of this influence holds the hand that drags, and leaves the value alone


@dataclass(frozen=True)
class Place:
    """Where a handle stands: before a landmark, moved by `offset` [mm]; a value of 1 is `way` [mm] from rest.

    x to the subject's left, y up.  rides_on: the joint that it moves with.  labelled: where its place does not tell.
    """

    landmark: int
    way: tuple[float, float]
    offset: tuple[float, float] = (0.0, 0.0)
    rides_on: str = "neck"
    labelled: bool = False


PLACES = {
    "jaw_open": Place(152, (0, -24), (0, -14)),
    "lips_close": Place(13, (0, 7)),
    "pucker": Place(57, (14, 0), (-24, 4), labelled=True),
    "funnel": Place(57, (14, 0), (-24, -8), labelled=True),
    "wide": Place(287, (14, 0), (24, 4), labelled=True),
    "press": Place(287, (-14, 0), (24, -8), labelled=True),
    "smile_L": Place(291, (12, 9), (3, 0)),
    "smile_R": Place(61, (-12, 9), (-3, 0)),
    "sneer_L": Place(358, (2, 12), (6, 0)),
    "sneer_R": Place(129, (-2, 12), (-6, 0)),
    "upper_lip_raise": Place(164, (0, 8), (0, 1)),
    "lower_lip_drop": Place(17, (0, -8), (0, -5), "jaw"),
    "blink_L": Place(386, (0, -12), (0, 4)),
    "blink_R": Place(159, (0, -12), (0, 4)),
    "brow_raise_L": Place(334, (0, 14), (0, 4)),
    "brow_raise_R": Place(105, (0, 14), (0, 4)),
}
_FORWARD_MM = 8.0  # handles float before the skin
_KNOB_MM = 2.2
_PALETTES = {"Jaw": "THEME09", "Lips": "THEME01", "Eyes": "THEME04", "Brows": "THEME03"}


def way_bone(control: str) -> str:
    """The bone above a handle's that stands still and gives its way its length."""
    return f"{handle_name(control)}.way"


def add_handle_bones(bones: bpy.types.ArmatureEditBones, rig: Rig, carriers: Mapping[str, str]) -> None:
    """In edit mode: two bones a control.  carriers: the bone that carries the skin of each joint."""
    landmarks = rig.landmarks(rig.vertices)
    for control in rig.control_names:
        place = PLACES[control]
        start = landmarks[place.landmark] + np.array([*place.offset, _FORWARD_MM]) * _MM
        along = np.array([*place.way, 0.0]) / np.hypot(*place.way)
        above = carriers[place.rides_on]
        for name in (way_bone(control), handle_name(control)):
            bone = bones.new(name)
            bone.head = Vector(start.tolist())
            bone.tail = bone.head + Vector((along * _BONE_LENGTH).tolist())
            bone.align_roll((0.0, 0.0, 1.0))  # Z out of the face, as its mark and text
            bone.parent = bones[above]
            above = name


def set_up_handles(armature: bpy.types.Object, rig: Rig) -> None:
    """In object mode: what the bones look like, what is locked, where a drag ends, and what they do to the jaw."""
    matrix = ControlMatrix.of_rig(rig)
    matrix.store(armature)
    described = {control.name: control for control in CONTROLS}
    for index, name in enumerate(matrix.names):
        control = described[name]
        place = PLACES[name]
        length = float(np.hypot(*place.way)) * _MM
        turned = float(np.arctan2(-place.way[0], place.way[1]))  # from upward
        shape = shapes.way(control.label, length, turned) if place.labelled else shapes.way()
        _set_up_way(armature.pose.bones[way_bone(name)], shape, length)
        handle = armature.pose.bones[handle_name(name)]
        _set_up_knob(handle, length)
        _limit_drag(handle, control.soft_min, control.soft_max)
        handle.bone.color.palette = _PALETTES[control.group]
        if matrix.jaw[index].any():
            _turn_jaw(armature, name, matrix.jaw[index])


def _set_up_way(bone: bpy.types.PoseBone, shape: bpy.types.Object, length: float) -> None:
    bone.scale = (length, length, length)
    bone.lock_location = bone.lock_rotation = bone.lock_scale = (True, True, True)
    bone.custom_shape = shape
    bone.use_custom_shape_bone_size = False
    bone.bone.show_wire = bone.bone.hide_select = True


def _set_up_knob(bone: bpy.types.PoseBone, length: float) -> None:
    bone.lock_location = tuple(axis != VALUE_AXIS for axis in range(3))
    bone.lock_rotation = bone.lock_scale = (True, True, True)
    bone.custom_shape = shapes.knob()
    bone.use_custom_shape_bone_size = False
    bone.custom_shape_scale_xyz = (_KNOB_MM * _MM / length,) * 3


def _limit_drag(bone: bpy.types.PoseBone, least: float, most: float) -> None:
    limit = bone.constraints.new("LIMIT_LOCATION")
    limit.owner_space = "LOCAL"
    limit.use_transform_limit = True
    limit.influence = _LEAST_INFLUENCE
    for axis, low, high in (("x", 0.0, 0.0), ("y", least, most), ("z", 0.0, 0.0)):
        setattr(limit, f"use_min_{axis}", True)
        setattr(limit, f"use_max_{axis}", True)
        setattr(limit, f"min_{axis}", low)
        setattr(limit, f"max_{axis}", high)


def _turn_jaw(armature: bpy.types.Object, control: str, angles: Array) -> None:
    """Add the control's Euler angles to the jaw bone's own. No driver: Blender 5 lets those stand 1e-4 rad off."""
    turn = armature.pose.bones["jaw"].constraints.new("TRANSFORM")
    turn.name = jaw_constraint(control)
    turn.target, turn.subtarget = armature, handle_name(control)
    turn.target_space = turn.owner_space = "LOCAL"
    turn.use_motion_extrapolate = True
    turn.map_from, turn.from_min_y, turn.from_max_y = "LOCATION", 0.0, 1.0
    turn.map_to, turn.to_euler_order, turn.mix_mode_rot = "ROTATION", "XYZ", "ADD"
    for axis, angle in zip("xyz", angles, strict=True):
        setattr(turn, f"map_to_{axis}_from", "Y")
        setattr(turn, f"to_max_{axis}_rot", float(angle))


def jaw_constraint(control: str) -> str:
    """Name of the constraint by which a control turns the jaw bone."""
    return f"Control {handle_name(control)}"
