# SPDX-License-Identifier: GPL-3.0-or-later
"""The one module that touches Actions and the NLA; where Blenders differ in them is in compat.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from .. import compat

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Curve:
    """One animated number.  path, index: as Blender's F-curves have them.  values: (T,)."""

    path: str
    index: int
    group: str
    values: Array


def write_action(
    datablock: bpy.types.ID, name: str, frames: Sequence[int], curves: Sequence[Curve]
) -> bpy.types.Action:
    """Give `datablock` a new Action with one key a frame on every curve; the Action that it had is kept.

    Keys are linear: between frames nothing is invented, and on the frame the value is exact.
    """
    action = bpy.data.actions.new(name)
    action.use_fake_user = True
    animation = datablock.animation_data or datablock.animation_data_create()
    animation.action = action
    for curve in curves:
        _fill(compat.new_fcurve(action, datablock, curve.path, curve.index, curve.group), frames, curve.values)
    return action


def _fill(fcurve: bpy.types.FCurve, frames: Sequence[int], values: Array) -> None:
    count = len(frames)
    points = fcurve.keyframe_points
    points.add(count)
    points.foreach_set("co", np.stack([frames, values], axis=1).astype(np.float32).ravel())
    points.foreach_set("interpolation", np.full(count, _keyframe_enum("interpolation", "LINEAR"), np.int32))
    for side in ("handle_left_type", "handle_right_type"):  # what an artist gets who turns keys to Bezier
        points.foreach_set(side, np.full(count, _keyframe_enum(side, "AUTO_CLAMPED"), np.int32))
    fcurve.update()


def _keyframe_enum(name: str, item: str) -> int:
    return int(bpy.types.Keyframe.bl_rna.properties[name].enum_items[item].value)


def fcurves(datablock: bpy.types.ID) -> dict[tuple[str, int], bpy.types.FCurve]:
    """F-curves of the active Action, by path and index; without those that are muted or broken."""
    channels = compat.channels(datablock)
    if channels is None:
        return {}
    return {
        (fcurve.data_path, fcurve.array_index): fcurve
        for fcurve in channels.fcurves
        if not fcurve.mute and fcurve.is_valid and not (fcurve.group and fcurve.group.mute)
    }


def plays_only_its_action(datablock: bpy.types.ID, paths: Iterable[str]) -> bool:
    """Whether the F-curves of the active Action alone decide `paths`: no NLA, no influence, no drivers on them."""
    animation = datablock.animation_data
    if animation is None:
        return True
    if animation.use_nla and any(track.strips for track in animation.nla_tracks if not track.mute):
        return False
    if animation.action and (animation.action_blend_type != "REPLACE" or animation.action_influence != 1.0):
        return False
    return not {driver.data_path for driver in animation.drivers} & set(paths)
