# SPDX-License-Identifier: GPL-3.0-or-later
"""A take as curves on the armature, and back: what is keyed in Blender is what the backend draws.

Values on a frame survive the way there and back to float32's resolution (1e-6). Reading has two ways with the same
result: from the F-curves of all layers where they alone decide, which leaves the scene as it is, and otherwise from
Blender's evaluation frame by frame (drivers, constraints, any NLA).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import Shot
from dubplate_shared.take import Take

from ..rig.armature import EXPRESSION_COUNT, HARD_LIMIT
from ..rig.axes import axis_angle_from_euler, euler_from_axis_angle, object_transform
from ..rig.build import head_mesh_of
from ..rig.controls import ControlMatrix
from ..rig.handles import jaw_constraint
from ..scene.shot_link import ShotLink
from . import channels, nla
from .animation import Curve
from .channels import TAKE_BONES, Channel

Array = npt.NDArray[Any]


def take_curves(shot: Shot, take: Take) -> list[Curve]:
    """A take of the shot, and the head's pose as filmed, as curves with one value a frame of the shot."""
    shot.checked(take)
    track = shot.track
    eyes = track.eyes if take.eyes is None else take.eyes
    euler, location = object_transform(track.rotation, track.translation)
    rotations = {"jaw": take.jaw, "eye.L": eyes[:, :3], "eye.R": eyes[:, 3:], "neck": track.neck}
    curves = [Curve(*channel, take.expression[:, k]) for k, channel in enumerate(channels.EXPRESSION)]
    for bone, values in rotations.items():
        angles = euler_from_axis_angle(values)
        curves += [Curve(*channels.angle(bone, axis), angles[:, axis]) for axis in range(3)]
    for path, values in (("rotation_euler", euler), ("location", location)):
        curves += [Curve(path, axis, "Head", values[:, axis]) for axis in range(3)]
    return curves


def read_take(armature: bpy.types.Object, frames: Sequence[int] | None = None, name: str = "blender") -> Take:
    """What the armature does on `frames` (the shot's by default), with all layers, controls and drivers, as a take.

    The scene's current frame, what is posed there and not keyed, and the mesh's visibility are restored.
    Raises InvalidInput where a curve is no number.
    """
    frames = ShotLink.of(armature).frames if frames is None else frames
    matrix = ControlMatrix.of(armature)
    expression, euler = _summed(read_channels(armature, channels.performance(matrix.names), frames), matrix)
    held = _held_bones(armature, matrix)
    if held:
        euler[:, [TAKE_BONES.index(bone) for bone in held]] = _read_posed(armature, held, frames)
    return _take(expression, euler, name)


def read_pose(posed: bpy.types.Object) -> Take:
    """What an armature does at this moment, keyed or not, as a take of one frame.  posed: as Blender evaluated it."""
    matrix = ControlMatrix.of(posed)
    values = np.array([[_value(posed, channel) for channel in channels.performance(matrix.names)]], np.float32)
    expression, euler = _summed(values, matrix)
    for bone in _held_bones(posed, matrix):
        euler[0, TAKE_BONES.index(bone)] = _turn(posed.pose.bones[bone])
    return _take(expression, euler, "blender")


def read_in_place(armature: bpy.types.Object, frames: Sequence[int]) -> Take | None:
    """As read_take, without ever moving the scene's clock; None where curves and layers alone do not tell."""
    matrix = ControlMatrix.of(armature)
    if _held_bones(armature, matrix):
        return None
    values = _read_layers(armature, channels.performance(matrix.names), frames)
    return None if values is None else _take(*_summed(values, matrix), "blender")


def _held_bones(armature: bpy.types.Object, matrix: ControlMatrix) -> list[str]:
    return [bone for bone in TAKE_BONES if not _follows_its_euler(armature.pose.bones[bone], matrix)]


def _take(expression: Array, euler: Array, name: str) -> Take:
    jaw, *eyes = (axis_angle_from_euler(euler[:, index]) for index in range(len(TAKE_BONES)))
    return Take(name, expression, jaw, np.concatenate(eyes, axis=1), {"kind": "blender"})


def read_channels(armature: bpy.types.Object, wanted: Sequence[Channel], frames: Sequence[int]) -> Array:
    """The values of channels on frames, all layers summed; where nothing is keyed, as set.  Returns (T, N) float32.

    The scene is left as it is where layers alone decide, and restored where not.
    """
    values = _read_layers(armature, wanted, frames)
    return _read_evaluated(armature, wanted, frames) if values is None else values


def _read_layers(armature: bpy.types.Object, wanted: Sequence[Channel], frames: Sequence[int]) -> Array | None:
    values = nla.evaluate(armature, [(channel.path, channel.index) for channel in wanted], frames)
    if values is None:
        return None
    as_set = np.array([_value(armature, channel) for channel in wanted], np.float32)
    return np.where(np.isnan(values), as_set, values)


def _summed(values: Array, matrix: ControlMatrix) -> tuple[Array, Array]:
    """(T, N) of channels.performance to expression (T, 100) and Euler angles (T, 3, 3), the controls added; float64."""
    angles = EXPRESSION_COUNT + len(channels.ANGLES)
    expression, euler, controls = np.split(values.astype(np.float64), [EXPRESSION_COUNT, angles], axis=1)
    euler = euler.reshape(-1, len(TAKE_BONES), 3)
    euler[:, TAKE_BONES.index("jaw")] += controls @ matrix.jaw
    return np.clip(expression, -HARD_LIMIT, HARD_LIMIT) + controls @ matrix.expression, euler


def _value(armature: bpy.types.Object, channel: Channel) -> float:
    try:
        value = armature.path_resolve(channel.path)
    except ValueError as error:
        raise InvalidInput(
            f"{armature.name} has lost {channel.path}, of which its face is made.",
            hint="Undo what deleted it, or import the shot again; its layers can be baked before.",
        ) from error
    return float(value if isinstance(value, (int, float)) else value[channel.index])


def _follows_its_euler(bone: bpy.types.PoseBone, matrix: ControlMatrix) -> bool:
    """Whether the bone turns by its Euler angles and the controls alone."""
    ours = {jaw_constraint(control) for control in matrix.names} if bone.name == "jaw" else set()
    held = (constraint for constraint in bone.constraints if not constraint.mute and constraint.name not in ours)
    return bone.rotation_mode == "XYZ" and next(held, None) is None


def _read_evaluated(armature: bpy.types.Object, wanted: Sequence[Channel], frames: Sequence[int]) -> Array:
    values = np.zeros((len(frames), len(wanted)), np.float32)
    for row, posed in enumerate(_posed(armature, frames)):
        values[row] = [_value(posed, channel) for channel in wanted]
    return values


def _read_posed(armature: bpy.types.Object, bones: Sequence[str], frames: Sequence[int]) -> Array:
    """Euler angles (T, B, 3) of bones against their parents', constraints and all."""
    euler = np.zeros((len(frames), len(bones), 3))
    for row, posed in enumerate(_posed(armature, frames)):
        euler[row] = [_turn(posed.pose.bones[name]) for name in bones]
    return euler


def _turn(bone: bpy.types.PoseBone) -> Sequence[float]:
    """Against its parent, as Euler XYZ. At rest neither has a rotation, so the parent's inverse is all it takes."""
    return tuple((bone.parent.matrix.to_3x3().inverted() @ bone.matrix.to_3x3()).to_euler("XYZ"))


def _posed(armature: bpy.types.Object, frames: Sequence[int]) -> Iterator[bpy.types.Object]:
    """The armature as Blender evaluates it on each frame."""
    with _sampling(armature) as scene:
        for frame in frames:
            scene.frame_set(frame)
            yield armature.evaluated_get(bpy.context.evaluated_depsgraph_get())


_sampled: list[str] = []  # names of the heads that are being sampled


def is_sampling() -> bool:
    """Whether the scene's clock is being moved to read a head: what happens meanwhile is nobody's edit."""
    return bool(_sampled)


@contextmanager
def _sampling(armature: bpy.types.Object) -> Iterator[bpy.types.Scene]:
    """The scene with the heavy mesh out of the evaluation, and all as it was afterwards."""
    scene = bpy.context.scene
    mesh = head_mesh_of(armature)
    frame, subframe, posed = scene.frame_current, scene.frame_subframe, _as_posed(armature)
    hidden = mesh is not None and mesh.hide_viewport
    _sampled.append(armature.name)
    try:
        if mesh is not None:
            mesh.hide_viewport = True
        yield scene
    finally:
        if mesh is not None:
            mesh.hide_viewport = hidden
        scene.frame_set(frame, subframe=subframe)
        _pose_again(armature, posed)
        _sampled.remove(armature.name)


def _as_posed(armature: bpy.types.Object) -> dict[Channel, float]:
    """The performance of this moment, keyed or not."""
    wanted = channels.performance(ControlMatrix.of(armature).names)
    return {channel: _value(armature, channel) for channel in wanted}


def _pose_again(armature: bpy.types.Object, posed: Mapping[Channel, float]) -> None:
    """What was posed and not keyed is gone where the scene's frame was set; what is keyed is there already."""
    for channel, value in posed.items():
        found = armature.path_resolve(channel.path)
        if not isinstance(found, (int, float)):
            if found[channel.index] != value:
                found[channel.index] = value
        elif found != value:
            armature[channel.path[2:-2]] = value  # of ["expression_000"]
