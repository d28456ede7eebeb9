# SPDX-License-Identifier: GPL-3.0-or-later
"""All layers in one Action, to be edited by any of Blender's tools, and back: the edits become offsets."""

from __future__ import annotations

from collections.abc import Iterator

import bpy
import numpy as np

from dubplate_shared.errors import InvalidInput

from .. import compat
from ..curves import channels, nla
from ..curves.animation import Curve
from ..curves.performance import read_channels
from ..rig.controls import ControlMatrix
from ..scene.shot_link import ShotLink
from . import stack
from .offsets import add_offsets
from .stack import BAKED_KEY

_ALONE = {"action_blend_type": "REPLACE", "action_extrapolation": "HOLD", "action_influence": 1.0}
_LEAST_EDIT = 1e-6  # in each channel's unit: less is float32's own


def bake_down(armature: bpy.types.Object) -> None:
    """Put what all layers come to into one Action that is played alone; the layers stay beneath it, muted.

    Raises InvalidInput where that was done already, or a strip is being tweaked.
    """
    data, link = stack.require_layers(armature), ShotLink.of(armature)
    wanted = (*channels.performance(ControlMatrix.of(armature).names), *channels.FILMED)
    values = read_channels(armature, wanted, link.frames)  # [T, N]
    curves = [Curve(*channel, values[:, column]) for column, channel in enumerate(wanted)]
    action = stack.make_action(armature, f"{link.name}_baked", link.frames, curves, None)
    heard = [track for track in data.nla_tracks if not track.mute]
    heard_names = [track.name for track in heard]
    action[BAKED_KEY] = {"offsets": data.action, "heard": heard_names, "played": nla.played_by(data)}
    for track in heard:
        track.mute = True
    compat.play(data, action)
    nla.play_by(data, _ALONE)


def back_to_layers(armature: bpy.types.Object) -> int:
    """Hear the layers again. What was edited on the baked Action since is added to the offsets, on the frames where it
    was.  Returns how many curves were edited.  Raises InvalidInput where nothing is baked.
    """
    if not stack.is_baked(armature):
        raise InvalidInput(f"The layers of {armature.name} are not baked down.", hint="Bake them down first.")
    data, frames = nla.require_stack(armature), ShotLink.of(armature).frames
    wanted = channels.performance(ControlMatrix.of(armature).names)
    edited = read_channels(armature, wanted, frames)
    baked, before = data.action, data.action[BAKED_KEY]
    offsets, heard, played = before["offsets"], list(before["heard"]), before["played"].to_dict()
    for track in data.nla_tracks:
        track.mute = track.name not in heard
    compat.play(data, offsets)
    nla.play_by(data, played)
    stack.ensure_offsets(armature)
    stack.drop(baked)
    return _add_difference(armature, wanted, frames, edited - read_channels(armature, wanted, frames))


def _add_difference(
    armature: bpy.types.Object, wanted: tuple[channels.Channel, ...], frames: range, difference: np.ndarray
) -> int:
    edited = 0
    for column, channel in enumerate(wanted):
        delta = difference[:, column]
        runs = list(_runs(np.abs(delta) > _LEAST_EDIT))
        for start, stop in runs:
            add_offsets(armature, frames[start:stop], {channel: delta[start:stop]})
        edited += bool(runs)
    return edited


def _runs(flags: np.ndarray) -> Iterator[tuple[int, int]]:
    """Start and stop (excluded) of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
