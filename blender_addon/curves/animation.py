# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions and their F-curves, written and read in bulk; where Blenders differ in them is in compat.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from .. import compat

Array = npt.NDArray[Any]
_BISECTIONS = 40  # to the last bit of a frame's number in float32
_SAME_FRAME = 0.01  # Blender takes keys that are nearer for one and the same
_CUT_EXACTLY = ("BEZIER", "LINEAR", "CONSTANT")  # interpolations whose halves are of their own kind
FCurves = dict[tuple[str, int], bpy.types.FCurve]


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
        fcurve = compat.ensure_fcurve(action, datablock, curve.path, curve.index, curve.group)
        add_keys(fcurve, frames, curve.values, "LINEAR")
    return action


def add_keys(fcurve: bpy.types.FCurve, frames: Sequence[float], values: Array, interpolation: str) -> None:
    """Keys at `frames`, where the curve has none."""
    points = fcurve.keyframe_points
    before, count = len(points), len(frames)
    points.add(count)
    co = np.zeros(2 * (before + count), np.float32)
    points.foreach_get("co", co)
    co[2 * before :] = np.stack([frames, values], axis=1).astype(np.float32).ravel()
    points.foreach_set("co", co)
    # Handles: what an artist gets who turns linear keys to Bezier.
    for name, item in (
        ("interpolation", interpolation),
        ("handle_left_type", "AUTO_CLAMPED"),
        ("handle_right_type", "AUTO_CLAMPED"),
    ):
        enums = np.zeros(before + count, np.int32)
        points.foreach_get(name, enums)
        enums[before:] = _keyframe_enum(name, item)
        points.foreach_set(name, enums)
    if before:
        points.sort()
    settle(fcurve)


def settle(fcurve: bpy.types.FCurve) -> None:
    """After changes of its keys: let the curve put its handles in order, and the scene follow it."""
    fcurve.update()
    fcurve.id_data.update_tag()


def replace_keys(
    fcurve: bpy.types.FCurve, before: float, after: float, frames: Sequence[float], values: Array, interpolation: str
) -> None:
    """Keys at `frames` in place of all between `before` and `after`; from these two on, the curve stays as it is.

    What eases, bounces or swings across one of them becomes straight lines from frame to frame: half an ease is none.
    """
    if len(fcurve.keyframe_points):
        with without_modifiers(fcurve):
            _run_on(fcurve, before - 1)
            _run_on(fcurve, after + 1)
            for frame in (before, after):
                _straighten_ease(fcurve, frame)
                _hold(fcurve, frame)
        points = fcurve.keyframe_points
        for index in reversed(_between(points, before, after).tolist()):
            points.remove(points[index], fast=True)
    else:
        add_keys(fcurve, [before, after], np.zeros(2), interpolation)
    add_keys(fcurve, frames, values, interpolation)


@contextmanager
def without_modifiers(fcurve: bpy.types.FCurve) -> Iterator[None]:
    """The curve as its keys alone have it."""
    heard = [modifier for modifier in fcurve.modifiers if not modifier.mute]
    for modifier in heard:
        modifier.mute = True
    try:
        yield
    finally:
        for modifier in heard:
            modifier.mute = False


def replace_with_cubics(
    fcurve: bpy.types.FCurve, before: float, after: float, frames: Sequence[float], values: Array, slopes: Array
) -> None:
    """As replace_keys, with Bezier keys through which the curve runs by `slopes`, (N,) a frame: cubics between them."""
    replace_keys(fcurve, before, after, frames, values, "BEZIER")
    points = fcurve.keyframe_points
    x, y = _read(points, "co").T
    ours = _between(points, before, after)
    for side, direction in (("handle_left", -1), ("handle_right", 1)):
        handles, types = _read(points, side), np.zeros(len(points), np.int32)
        points.foreach_get(f"{side}_type", types)
        third = (x[ours + direction] - x[ours]) / 3.0  # then time runs evenly along the Bezier curve
        handles[ours] = np.stack([x[ours] + third, y[ours] + third * slopes], axis=1)
        types[ours] = _keyframe_enum(f"{side}_type", "ALIGNED")
        points.foreach_set(f"{side}_type", types)
        points.foreach_set(side, handles.astype(np.float32).ravel())
    fcurve.update()


def _read(points: bpy.types.FCurveKeyframePoints, name: str) -> Array:
    """(N, 2) of all points."""
    found = np.zeros(2 * len(points), np.float32)
    points.foreach_get(name, found)
    return found.reshape(-1, 2)


def _between(points: bpy.types.FCurveKeyframePoints, before: float, after: float) -> Array:
    """Indices of the keys between two frames; one that is next to either counts as on it."""
    x = _read(points, "co")[:, 0]
    return np.flatnonzero((x > before + _SAME_FRAME) & (x < after - _SAME_FRAME))


def _around(points: bpy.types.FCurveKeyframePoints, frame: float) -> tuple[int | None, int | None]:
    """Indices of the keys at or before `frame`, and at or after it; the same where one is on it."""
    x = _read(points, "co")[:, 0]
    at_or_before = int(np.searchsorted(x, frame + _SAME_FRAME, "right"))
    before = int(np.searchsorted(x, frame - _SAME_FRAME, "left"))
    return at_or_before - 1 if at_or_before > 0 else None, before if before < len(x) else None


def _keep_handles(points: bpy.types.FCurveKeyframePoints, indices: set[int | None]) -> None:
    """Let handles stay where they are, whatever becomes of their neighbours."""
    for index in indices - {None}:
        points[index].handle_left_type = points[index].handle_right_type = "FREE"


def _run_on(fcurve: bpy.types.FCurve, frame: float) -> None:
    """Where the curve goes on in a straight line beyond its keys, a key at `frame` of that line, if it lies there."""
    points = fcurve.keyframe_points
    left, right = _around(points, frame)
    if fcurve.extrapolation != "LINEAR" or (left is not None and right is not None):
        return
    value = fcurve.evaluate(frame)
    _keep_handles(points, {left, right})
    if right is None:
        points[left].interpolation = "LINEAR"
    points.insert(frame, value, options={"FAST"}).interpolation = "LINEAR"


def _straighten_ease(fcurve: bpy.types.FCurve, frame: float) -> None:
    """Lines from frame to frame in place of an ease that `frame` cuts."""
    points = fcurve.keyframe_points
    left, right = _around(points, frame)
    if left is None or right is None or left == right or points[left].interpolation in _CUT_EXACTLY:
        return
    inside = np.arange(np.ceil(points[left].co.x + _SAME_FRAME), points[right].co.x - _SAME_FRAME)
    values = values_on(fcurve, inside)
    _keep_handles(points, {left, right})
    points[left].interpolation = "LINEAR"
    add_keys(fcurve, inside, values, "LINEAR")


def _hold(fcurve: bpy.types.FCurve, frame: float) -> None:
    """A key at `frame` that changes nothing, and goes on changing nothing whatever becomes of its neighbours."""
    points = fcurve.keyframe_points
    left, right = _around(points, frame)
    _keep_handles(points, {left, right})
    if left is not None and left == right:
        return
    bends = left is not None and right is not None and points[left].interpolation == "BEZIER"
    inner = _split(points[left], points[right], frame) if bends else None
    interpolation = points[left].interpolation if left is not None else "LINEAR"
    middle = fcurve.keyframe_points.insert(frame, fcurve.evaluate(frame), options={"FAST"})
    middle.interpolation = interpolation
    middle.handle_left_type = middle.handle_right_type = "FREE"
    if inner is not None:
        before, after = fcurve.keyframe_points[left], fcurve.keyframe_points[left + 2]
        before.handle_right, after.handle_left = inner[0], inner[4]
        middle.co, middle.handle_left, middle.handle_right = inner[2], inner[1], inner[3]


def _split(left: bpy.types.Keyframe, right: bpy.types.Keyframe, frame: float) -> Array:
    """De Casteljau at the parameter whose x is `frame`.  Returns the five inner points (5, 2) of the two halves."""
    a, b, c, d = (np.array(p, np.float64) for p in (left.co, left.handle_right, right.handle_left, right.co))
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        t = 0.5 * (low + high)
        x = (1 - t) ** 3 * a[0] + 3 * (1 - t) ** 2 * t * b[0] + 3 * (1 - t) * t * t * c[0] + t**3 * d[0]
        low, high = (t, high) if x < frame else (low, t)
    ab, bc, cd = a + t * (b - a), b + t * (c - b), c + t * (d - c)
    abc, bcd = ab + t * (bc - ab), bc + t * (cd - bc)
    return np.stack([ab, abc, abc + t * (bcd - abc), bcd, cd])


def set_key(fcurve: bpy.types.FCurve, frame: float, value: float) -> None:
    """A key as an artist sets it, over the one that is there."""
    fcurve.keyframe_points.insert(frame, value)
    settle(fcurve)


def _keyframe_enum(name: str, item: str) -> int:
    return int(bpy.types.Keyframe.bl_rna.properties[name].enum_items[item].value)


def fcurves(datablock: bpy.types.ID) -> FCurves:
    """F-curves of the active Action, by path and index; without those that are muted or broken."""
    return _heard(compat.channels(datablock))


def strip_fcurves(strip: bpy.types.NlaStrip) -> FCurves:
    """As fcurves, of a strip of the NLA."""
    return _heard(compat.strip_channels(strip))


def _heard(channels: Any) -> FCurves:
    if channels is None:
        return {}
    return {
        (fcurve.data_path, fcurve.array_index): fcurve
        for fcurve in channels.fcurves
        if not fcurve.mute and fcurve.is_valid and not (fcurve.group and fcurve.group.mute)
    }


def values_on(fcurve: bpy.types.FCurve, frames: Sequence[float]) -> Array:
    """What the curve says on `frames`.  Returns (T,) float32."""
    return np.array([fcurve.evaluate(frame) for frame in frames], np.float32)


def keyed_on(fcurve: bpy.types.FCurve, frames: Sequence[float]) -> Array:
    """As values_on, whatever modifiers make of it; a curve without keys adds nothing."""
    if not len(fcurve.keyframe_points):
        return np.zeros(len(frames), np.float32)
    with without_modifiers(fcurve):
        return values_on(fcurve, frames)


def has_key(fcurve: bpy.types.FCurve, frame: float) -> bool:
    """Whether a key stands on `frame`."""
    return bool((_read(fcurve.keyframe_points, "co")[:, 0] == frame).any())


def are_driven(datablock: bpy.types.ID, paths: Iterable[str]) -> bool:
    """Whether a driver decides one of `paths`."""
    animation = datablock.animation_data
    return animation is not None and not {driver.data_path for driver in animation.drivers}.isdisjoint(paths)
