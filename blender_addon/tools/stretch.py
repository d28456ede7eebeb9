# SPDX-License-Identifier: GPL-3.0-or-later
"""A stretch of the performance read from all layers, and a change of it written to the artist's."""

from __future__ import annotations

import bpy
import numpy as np

from dubplate_shared.errors import InvalidInput

from ..curves import channels
from ..curves.channels import Channel
from ..curves.performance import read_take
from ..layers.offsets import add_offsets
from ..rig.armature import EXPRESSION_COUNT, expression_name
from ..rig.axes import euler_from_axis_angle
from ..rig.controls import VALUE_AXIS, ControlMatrix, handle_name
from ..scene.shot_link import ShotLink
from .mouths import Change, Mouths

_LEAST_CHANGE = 1e-6  # of a curve's unit: a hundred of them move no lip by a micrometre


def read_mouths(armature: bpy.types.Object, frames: range) -> Mouths:
    """What the face does on `frames`, as the backend would draw it."""
    take = read_take(armature, frames)
    return Mouths(take.expression.astype(np.float64), euler_from_axis_angle(take.jaw))


def posed_mouth(armature: bpy.types.Object) -> Mouths:
    """What the face does now, as it is posed, keyed or not; one frame."""
    matrix = ControlMatrix.of(armature)
    bones = armature.pose.bones
    controls = np.array([bones[handle_name(name)].location[VALUE_AXIS] for name in matrix.names])
    expression = np.array([armature[expression_name(k)] for k in range(EXPRESSION_COUNT)])
    jaw = np.array(bones["jaw"].rotation_euler)
    return Mouths((expression + controls @ matrix.expression)[None], (jaw + controls @ matrix.jaw)[None])


def add_change(armature: bpy.types.Object, frames: range, change: Change) -> None:
    """Add to the artist's offsets on `frames`, the rows of `change`; a curve that hardly changes gets no key."""
    columns = {channel: change.jaw[:, axis] for axis, channel in enumerate(channels.JAW)}
    columns |= {channels.control(name): values for name, values in change.controls.items()}
    columns |= {channel: change.expression[:, k] for k, channel in enumerate(channels.EXPRESSION)}
    add_offsets(armature, frames, {c: values for c, values in columns.items() if np.abs(values).max() > _LEAST_CHANGE})


def channel_effects(armature: bpy.types.Object) -> dict[Channel, np.ndarray]:
    """What a unit of each channel adds to jaw and expression, (103,) as Mouths.columns has them. Eyes add nothing."""
    matrix, rows = ControlMatrix.of(armature), np.eye(3 + EXPRESSION_COUNT)
    effects = dict(zip((*channels.JAW, *channels.EXPRESSION), rows, strict=True))
    for name, jaw, expression in zip(matrix.names, matrix.jaw, matrix.expression, strict=True):
        effects[channels.control(name)] = np.concatenate([jaw, expression])
    return effects


def stretch_of(context: bpy.types.Context, armature: bpy.types.Object, first: int, last: int) -> range:
    """The frames first to last that the shot has; where both are 0, the preview range, or else all of the shot.

    Raises InvalidInput where that is none.
    """
    shot, scene = ShotLink.of(armature).frames, context.scene
    if first == last == 0:
        first, last = shot[0], shot[-1]
        if scene.use_preview_range:
            first, last = scene.frame_preview_start, scene.frame_preview_end
    frames = range(max(first, shot[0]), min(last, shot[-1]) + 1)
    if not frames:
        raise InvalidInput(
            f"Frames {first} to {last} are none of the shot's.",
            hint=f"Choose some of {shot[0]} to {shot[-1]}, the smaller one first.",
        )
    return frames


def widened(armature: bpy.types.Object, frames: range, before: int, after: int) -> range:
    """`frames` with some more on either side, as far as the shot goes."""
    shot = ShotLink.of(armature).frames
    return range(max(frames[0] - before, shot[0]), min(frames[-1] + after, shot[-1]) + 1)
