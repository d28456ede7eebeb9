# SPDX-License-Identifier: GPL-3.0-or-later
"""The armature: the one object that carries everything an artist animates.

Bones neck, jaw, eye.L, eye.R (Euler XYZ, so that the jaw's opening is one curve), a hundred expression properties, and
above both a handle for every semantic control. A joint's bone points along +Y with roll 0: its local rotation is the
head model's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt
from mathutils import Vector

from dubplate_shared.landmarks import CHIN
from dubplate_shared.rig import JOINTS, PARENTS, Rig

from . import shapes
from .handles import add_handle_bones, set_up_handles

Array = npt.NDArray[Any]

EXPRESSION_COUNT = 100
POSED_BONES = ("neck", "jaw", "eye.L", "eye.R")
HARD_LIMIT = 10.0  # standard deviations; shape keys cannot go further (Blender clamps sliders at 10)
SOFT_LIMIT = 3.0  # standard deviations: 99.7 % of faces
_BONE_LENGTH = 0.04  # metres; display only, as are those that follow
_CHIN_RADIUS, _GAZE_RADIUS, _COLLAR_RADIUS = 0.03, 0.014, 0.075
_GAZE_BEFORE = (0.0, 0.0, 0.035)  # of the eye's centre


def expression_name(component: int) -> str:
    """Name of an expression component, as property and as shape key."""
    return f"expression_{component:03d}"


def expression_path(component: int) -> str:
    """F-curve path of an expression component on the armature object."""
    return f'["{expression_name(component)}"]'


def rotation_path(bone: str) -> str:
    """F-curve path of a bone's Euler angles."""
    return f'pose.bones["{bone}"].rotation_euler'


def build_armature(rig: Rig, name: str, collection: bpy.types.Collection) -> bpy.types.Object:
    """Make the armature object of a head, in its rest pose, in head space."""
    armature = bpy.data.objects.new(name, bpy.data.armatures.new(name))
    collection.objects.link(armature)
    armature.show_in_front = True
    armature.data.display_type = "STICK"
    armature.rotation_mode = "XYZ"
    _add_bones(armature, rig)
    for bone in armature.pose.bones:
        bone.rotation_mode = "XYZ"
        bone.lock_location = bone.lock_scale = (True, True, True)
    _lock_what_was_filmed(armature)
    _shape_joints(armature, rig)
    set_up_handles(armature, rig)
    for component in range(EXPRESSION_COUNT):
        _add_expression(armature, component)
    return armature


def joints_move(rig: Rig) -> bool:
    """Whether the head's joints move with expression (FLAME's do), and so need pivot and skin bones."""
    return bool(np.abs(rig.joint_expression[1:]).max() > 0)


def pivot_bone(joint: str) -> str:
    """The bone above a moving joint's that carries it to its shifted place."""
    return f"{joint}.pivot"


def skin_bone(joint: str) -> str:
    """The bone below a moving joint's that the skin hangs on."""
    return f"{joint}.skin"


def deforming_bones(rig: Rig) -> tuple[str, ...]:
    """The bone that carries each joint's weights, in the order of the joints."""
    if not joints_move(rig):
        return JOINTS
    return tuple(skin_bone(joint) if joint in POSED_BONES else joint for joint in JOINTS)


def skull_bone(armature: bpy.types.Object) -> str:
    """The bone that carries the face but for jaw and eyes."""
    return skin_bone("neck") if skin_bone("neck") in armature.data.bones else "neck"


def _add_bones(armature: bpy.types.Object, rig: Rig) -> None:
    """Bones exist in edit mode only, and edit mode wants the object to be the active one."""
    layer = bpy.context.view_layer
    before = layer.objects.active
    if before is not None and before.mode != "OBJECT" and bpy.ops.object.mode_set.poll():
        bpy.ops.object.mode_set(mode="OBJECT")
    layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    deforming = deforming_bones(rig)
    for index, (joint, parent) in enumerate(zip(JOINTS, PARENTS, strict=True)):
        above = deforming[parent] if parent >= 0 else None
        chain = (joint,) if deforming[index] == joint else (pivot_bone(joint), joint, deforming[index])
        for name in chain:
            _add_bone(armature.data.edit_bones, name, above, rig.joints[index])
            above = name
    helpers = [bone.name for bone in armature.data.edit_bones if bone.name not in POSED_BONES]
    add_handle_bones(armature.data.edit_bones, rig, dict(zip(JOINTS, deforming, strict=True)))
    bpy.ops.object.mode_set(mode="OBJECT")
    layer.objects.active = before or armature
    _hide(armature.data, helpers)


def _add_bone(bones: bpy.types.ArmatureEditBones, name: str, parent: str | None, position: Array) -> None:
    bone = bones.new(name)
    bone.head = Vector(position.tolist())
    bone.tail = bone.head + Vector((0.0, _BONE_LENGTH, 0.0))
    bone.roll = 0.0
    bone.parent = bones[parent] if parent else None


def _hide(data: bpy.types.Armature, helpers: Sequence[str]) -> None:
    mechanism = data.collections.new("Mechanism")
    mechanism.is_visible = False
    for bone in helpers:
        mechanism.assign(data.bones[bone])


def _shape_joints(armature: bpy.types.Object, rig: Rig) -> None:
    """Rings before the eyes and about the neck, a bow under the chin: the joints themselves lie inside the head."""
    chin = rig.landmarks(rig.vertices)[CHIN] - rig.joints[JOINTS.index("jaw")]
    for joint, shape, radius, place in (
        ("neck", shapes.ring(), _COLLAR_RADIUS, (0.0, 0.0, 0.0)),
        ("jaw", shapes.chin(), _CHIN_RADIUS, tuple(chin.tolist())),
        ("eye.L", shapes.ring(), _GAZE_RADIUS, _GAZE_BEFORE),
        ("eye.R", shapes.ring(), _GAZE_RADIUS, _GAZE_BEFORE),
    ):
        bone = armature.pose.bones[joint]
        bone.custom_shape = shape
        bone.use_custom_shape_bone_size = False
        bone.custom_shape_scale_xyz = (radius, radius, radius)
        bone.custom_shape_translation = place
    armature.pose.bones["neck"].custom_shape_rotation_euler.x = np.pi / 2.0  # it lies flat


def _lock_what_was_filmed(armature: bpy.types.Object) -> None:
    """The head's place and its neck are those of the plate: a take holds expression, jaw and eyes."""
    armature.lock_location = armature.lock_rotation = armature.lock_scale = (True, True, True)
    for bone in ("root", "neck"):
        armature.pose.bones[bone].lock_rotation = (True, True, True)


def _add_expression(armature: bpy.types.Object, component: int) -> None:
    name = expression_name(component)
    armature[name] = 0.0
    armature.id_properties_ui(name).update(
        default=0.0,
        min=-HARD_LIMIT,
        max=HARD_LIMIT,
        soft_min=-SOFT_LIMIT,
        soft_max=SOFT_LIMIT,
        precision=3,
        description=f"Expression component {component} of the head model, in standard deviations; 0 is rest",
    )
    armature.property_overridable_library_set(expression_path(component), True)
