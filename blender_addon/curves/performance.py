# SPDX-License-Identifier: GPL-3.0-or-later
"""A take as curves on the armature, and back: what is keyed in Blender is what the backend draws.

Values on a frame survive the way there and back to float32's resolution (1e-6). Reading has two ways with the same
result: the F-curves themselves where they alone decide, and otherwise Blender's evaluation frame by frame (NLA,
drivers, constraints).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from dubplate_shared.shot import Shot
from dubplate_shared.take import Take

from ..rig.armature import EXPRESSION_COUNT, HARD_LIMIT, POSED_BONES, expression_name, expression_path, rotation_path
from ..rig.axes import axis_angle_from_euler, euler_from_axis_angle, object_transform
from ..rig.build import head_mesh_of
from ..scene.shot_link import ShotLink
from . import animation
from .animation import Curve

Array = npt.NDArray[Any]

_GROUPS = {"neck": "Neck", "jaw": "Jaw", "eye.L": "Eyes", "eye.R": "Eyes"}
_TAKE_BONES = ("jaw", "eye.L", "eye.R")  # the neck is as filmed and no part of a take


def write_take(armature: bpy.types.Object, shot: Shot, take: Take) -> bpy.types.Action:
    """Give the armature a new Action with the take's curves, and the head's pose as filmed."""
    shot.checked(take)
    track = shot.track
    eyes = track.eyes if take.eyes is None else take.eyes
    euler, location = object_transform(track.rotation, track.translation)
    rotations = {"jaw": take.jaw, "eye.L": eyes[:, :3], "eye.R": eyes[:, 3:], "neck": track.neck}
    curves = [
        *(
            c
            for bone, values in rotations.items()
            for c in _vector(rotation_path(bone), _GROUPS[bone], euler_from_axis_angle(values))
        ),
        *(Curve(expression_path(k), 0, "Expression", take.expression[:, k]) for k in range(EXPRESSION_COUNT)),
        *_vector("rotation_euler", "Head", euler),
        *_vector("location", "Head", location),
    ]
    return animation.write_action(armature, f"{shot.info.name}_{take.name}", shot.frames, curves)


def _vector(path: str, group: str, values: Array) -> list[Curve]:
    return [Curve(path, index, group, values[:, index]) for index in range(values.shape[1])]


def read_take(armature: bpy.types.Object, frames: Sequence[int] | None = None, name: str = "blender") -> Take:
    """What the armature does on `frames` (the shot's by default), with all layers and drivers, as a take.

    The scene's current frame and the mesh's visibility are restored.  Raises InvalidInput where a curve is no number.
    """
    frames = ShotLink.of(armature).frames if frames is None else frames
    expression, euler = _read_fcurves(armature, frames) if _is_plain(armature) else _read_evaluated(armature, frames)
    expression = np.clip(expression, -HARD_LIMIT, HARD_LIMIT)
    jaw, *eyes = (axis_angle_from_euler(euler[:, index]) for index in range(len(_TAKE_BONES)))
    return Take(name, expression, jaw, np.concatenate(eyes, axis=1), {"kind": "blender"})


def _is_plain(armature: bpy.types.Object) -> bool:
    paths = [expression_path(k) for k in range(EXPRESSION_COUNT)] + [rotation_path(bone) for bone in _TAKE_BONES]
    free = all(_follows_its_euler(armature.pose.bones[bone]) for bone in POSED_BONES)
    return free and animation.plays_only_its_action(armature, paths)


def _follows_its_euler(bone: bpy.types.PoseBone) -> bool:
    return bone.rotation_mode == "XYZ" and not any(not constraint.mute for constraint in bone.constraints)


def _read_fcurves(armature: bpy.types.Object, frames: Sequence[int]) -> tuple[Array, Array]:
    """Returns expression (T, 100) and Euler angles (T, 3, 3) of jaw, eye.L, eye.R."""
    found = animation.fcurves(armature)

    def values(path: str, index: int, at_rest: float) -> Array:
        fcurve = found.get((path, index))
        return np.full(len(frames), at_rest) if fcurve is None else np.array([fcurve.evaluate(f) for f in frames])

    expression = [values(expression_path(k), 0, armature[expression_name(k)]) for k in range(EXPRESSION_COUNT)]
    euler = [
        [values(rotation_path(bone), axis, armature.pose.bones[bone].rotation_euler[axis]) for axis in range(3)]
        for bone in _TAKE_BONES
    ]
    return np.stack(expression, axis=-1), np.moveaxis(np.array(euler), -1, 0)


def _read_evaluated(armature: bpy.types.Object, frames: Sequence[int]) -> tuple[Array, Array]:
    """As _read_fcurves, from Blender's own evaluation of every frame."""
    expression = np.zeros((len(frames), EXPRESSION_COUNT))
    euler = np.zeros((len(frames), len(_TAKE_BONES), 3))
    names = [expression_name(k) for k in range(EXPRESSION_COUNT)]
    with _sampling(armature) as scene:
        for row, frame in enumerate(frames):
            scene.frame_set(frame)
            posed = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
            expression[row] = [posed[name] for name in names]
            euler[row] = [_local_euler(posed.pose.bones[bone]) for bone in _TAKE_BONES]
    return expression, euler


def _local_euler(bone: bpy.types.PoseBone) -> Sequence[float]:
    """The bone's rotation against its parent's; at rest both have none, so the parent's inverse is all it takes."""
    if _follows_its_euler(bone):
        return tuple(bone.rotation_euler)
    return tuple((bone.parent.matrix.to_3x3().inverted() @ bone.matrix.to_3x3()).to_euler("XYZ"))


@contextmanager
def _sampling(armature: bpy.types.Object) -> Iterator[bpy.types.Scene]:
    """The scene with the heavy mesh out of the evaluation, and all as it was afterwards."""
    scene = bpy.context.scene
    mesh = head_mesh_of(armature)
    frame, subframe = scene.frame_current, scene.frame_subframe
    hidden = mesh is not None and mesh.hide_viewport
    try:
        if mesh is not None:
            mesh.hide_viewport = True
        yield scene
    finally:
        if mesh is not None:
            mesh.hide_viewport = hidden
        scene.frame_set(frame, subframe=subframe)
