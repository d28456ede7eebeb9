# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools on a head in the scene: each reads a stretch of what all layers come to and adds to the artist's.

Takes are never touched, and from the frames that a tool does not name on, every curve stays as it is, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np

from dubplate_shared.errors import InvalidInput

from ..curves import animation
from ..layers.offsets import offsets
from ..markers.tier import Closure
from ..scene.shot_rig import load_rig
from .blend import ramp
from .closure import hold_closure, touching
from .exaggerate import exaggerate
from .face_points import LipPairs
from .flags import OPEN_MM
from .mouth import mouth_share
from .mouths import Change, Mouths
from .retime import retimed
from .simplify import key_rows, slopes_of
from .smooth import smooth
from .stretch import add_change, channel_effects, read_mouths, widened

_LEAST_FRAMES = 3


@dataclass(frozen=True)
class Simplified:
    """Keys before and after, of all curves; frames: on which there are some now."""

    before: int
    after: int
    frames: int


def smooth_stretch(
    armature: bpy.types.Object, frames: range, *, reach: int, closures: list[Closure], whole_face: bool
) -> None:
    """Savitzky-Golay over `frames`; those where the lips touch, or should, stay as they are."""
    rig, around = load_rig(armature), widened(armature, frames, reach, reach)
    mouths = read_mouths(armature, around)
    pinned = touching(rig, mouths)
    pinned |= np.isin(around, [frame for closure in closures for frame in closure.frames])
    start = frames[0] - around[0]
    after = smooth(mouths.columns(), start=start, stop=start + len(frames), pinned=pinned, reach=reach)
    _change(armature, around, frames, mouths, Mouths.of_columns(after), whole_face=whole_face)


def exaggerate_stretch(armature: bpy.types.Object, frames: range, *, what: str, factor: float, blend: int) -> None:
    """More or less of a control, the jaw or the mouth on `frames`, led to over `blend` frames on either side."""
    around, share = _blended(armature, frames, blend, blend)
    change = exaggerate(load_rig(armature), read_mouths(armature, around), what, factor, share)
    add_change(armature, around, change)


def retime_stretch(armature: bpy.types.Object, frames: range, *, moment: int, to: int, whole_face: bool) -> None:
    """What happens on frame `moment` happens on frame `to`; the ends of `frames` stay.  Raises InvalidInput."""
    mouths = read_mouths(armature, frames)
    moment_row, to_row = moment - frames[0], to - frames[0]
    after = retimed(mouths.columns(), start=0, stop=len(frames), moment=moment_row, to=to_row)
    _change(armature, frames, frames, mouths, Mouths.of_columns(after), whole_face=whole_face)


def hold_mouth(
    armature: bpy.types.Object, source: int, frames: range, *, blend_in: int, blend_out: int, whole_face: bool
) -> None:
    """Hold the mouth of frame `source` over `frames`."""
    around, share = _blended(armature, frames, blend_in, blend_out)
    mouths = read_mouths(armature, around)
    wanted = read_mouths(armature, range(source, source + 1)).columns()
    after = mouths.columns() + share[:, None] * (wanted - mouths.columns())
    _change(armature, around, around, mouths, Mouths.of_columns(after), whole_face=whole_face)


def close_lips(armature: bpy.types.Object, frames: range, *, blend_in: int, blend_out: int) -> None:
    """Let the lips touch over `frames`."""
    around = widened(armature, frames, blend_in, blend_out)
    start = frames[0] - around[0]
    change = hold_closure(
        load_rig(armature),
        read_mouths(armature, around),
        start=start,
        stop=start + len(frames),
        blend_in=blend_in,
        blend_out=blend_out,
    )
    add_change(armature, around, change)


def simplify_stretch(armature: bpy.types.Object, frames: range, *, most_mm: float) -> Simplified:
    """Key the artist's curves on fewer frames, the same for all, such that no lip vertex is off by more than `most_mm`.

    Raises InvalidInput where there are no curves, or too few frames to leave some out.
    """
    found = offsets(armature)
    curves = {c: e for c, e in channel_effects(armature).items() if (c.path, c.index) in found}
    if not curves or len(frames) < _LEAST_FRAMES:
        raise InvalidInput(
            "There is nothing to simplify: no curve of yours, or too few frames.",
            hint=f"Choose at least {_LEAST_FRAMES} frames of curves that you have keyed or baked.",
        )
    rig, mouths = load_rig(armature), read_mouths(armature, frames)
    fcurves = [found[channel.path, channel.index] for channel in curves]
    values = np.stack([animation.keyed_on(fcurve, frames) for fcurve in fcurves], axis=1).astype(np.float64)
    before = sum(_keys_within(fcurve, frames) for fcurve in fcurves)
    closed = np.flatnonzero(np.diff(touching(rig, mouths).astype(int)))  # the last open row, and the last closed one
    keep = np.union1d(closed, closed + 1)
    keys = key_rows(rig, mouths, values, np.stack(list(curves.values())), most_mm=most_mm, keep=keep)
    slopes = slopes_of(values)
    at = [frames[row] for row in keys]
    for column, fcurve in enumerate(fcurves):
        ends = frames[0] - 1, frames[-1] + 1
        animation.replace_with_cubics(fcurve, *ends, at, values[keys, column], slopes[keys, column])
    return Simplified(before, len(keys) * len(fcurves), len(keys))


def _keys_within(fcurve: bpy.types.FCurve, frames: range) -> int:
    return sum(frames[0] <= point.co.x <= frames[-1] for point in fcurve.keyframe_points)


def open_closures(armature: bpy.types.Object, frames: range, closures: list[Closure]) -> list[Closure]:
    """Those that begin on `frames` and whose lips are apart."""
    mouths = read_mouths(armature, frames)
    gap_mm = LipPairs(load_rig(armature)).gap_mm(mouths.expression, mouths.jaw)
    apart = {frame for frame, gap in zip(frames, gap_mm, strict=True) if gap > OPEN_MM}
    return [closure for closure in closures if closure.frames[0] in frames and not apart.isdisjoint(closure.frames)]


def _blended(armature: bpy.types.Object, frames: range, blend_in: int, blend_out: int) -> tuple[range, np.ndarray]:
    """`frames` with those that lead to them, and the share of the edit in each."""
    around = widened(armature, frames, blend_in, blend_out)
    start = frames[0] - around[0]
    return around, ramp(len(around), start, start + len(frames), blend_in, blend_out)


def _change(
    armature: bpy.types.Object, rows: range, frames: range, before: Mouths, after: Mouths, *, whole_face: bool
) -> None:
    """Write what makes `after` of `before` on `frames`, of which both hold the `rows`."""
    inside = slice(frames[0] - rows[0], frames[-1] - rows[0] + 1)
    change = Change.between(before, after)
    share = np.eye(before.expression.shape[1]) if whole_face else mouth_share(load_rig(armature))
    add_change(armature, frames, Change(change.jaw[inside], change.expression[inside] @ share.T, {}))
