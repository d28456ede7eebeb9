# SPDX-License-Identifier: GPL-3.0-or-later
"""The artist's layer: numbers that add to whatever take is heard beneath, on the active Action.

All that edits a performance by number writes here. Outside the frames that are named no curve changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from dubplate_shared.errors import InvalidInput

from .. import compat
from ..curves import animation, nla
from ..curves.animation import FCurves
from ..curves.channels import Channel
from ..curves.performance import read_channels
from . import stack

Array = npt.NDArray[Any]


def offsets(armature: bpy.types.Object) -> FCurves:
    """The curves of the artist's layer, by path and index."""
    return animation.fcurves(armature)


def add_offsets(armature: bpy.types.Object, frames: range, deltas: Mapping[Channel, Array]) -> None:
    """Let `deltas`, (T,) a channel, be heard on top on `frames`; they get one linear key a frame.

    Raises InvalidInput where a strip is being tweaked, or an edit would not be heard: the offsets are turned down to
    nothing, or a curve is muted.
    """
    influence = _influence(armature)
    for channel, fcurve in _fcurves(armature, deltas).items():
        delta = deltas[channel]
        values = animation.keyed_on(fcurve, frames) + np.asarray(delta, np.float32) / influence
        animation.replace_keys(fcurve, frames[0] - 1, frames[-1] + 1, frames, values, "LINEAR")


def reach(armature: bpy.types.Object, frames: range, targets: Mapping[Channel, Array]) -> None:
    """Let the sum of all layers be `targets`, (T,) a channel, on `frames`, by offsets of one key a frame."""
    channels = list(targets)
    now = read_channels(armature, channels, frames)  # [T, N]
    add_offsets(armature, frames, {c: np.asarray(targets[c]) - now[:, i] for i, c in enumerate(channels)})


def fade_offsets(armature: bpy.types.Object, frames: range, share: Array) -> None:
    """Take `share`, (T,) of 0 to 1, of all offsets away on `frames`."""
    data = nla.require_stack(armature)
    if data.action is None or not nla.action_influence(data):
        return
    for (path, index), fcurve in offsets(armature).items():
        values = animation.keyed_on(fcurve, frames) * nla.action_influence(data)
        if values.any():
            add_offsets(armature, frames, {Channel(path, index, ""): -values * np.asarray(share, np.float32)})


def key_offset(armature: bpy.types.Object, frame: int, deltas: Mapping[Channel, float], spread: int) -> None:
    """As add_offsets, on one frame by one soft key; from `spread` frames away on, or the next key, all stays as it is.

    spread: 0 keys the frame alone, which moves all that no other key holds, as any key does.
    """
    influence = _influence(armature)
    for channel, fcurve in _fcurves(armature, deltas).items():
        delta = deltas[channel]
        value = animation.keyed_on(fcurve, [frame]) + np.float32(delta) / influence
        if spread > 0:
            before, after = _between(fcurve, frame, spread)
            animation.replace_keys(fcurve, before, after, [frame], value, "BEZIER")
        else:
            animation.set_key(fcurve, frame, float(value[0]))


def _between(fcurve: bpy.types.FCurve, frame: int, spread: int) -> tuple[float, float]:
    """The ends of an edit around `frame`: no key but the frame's own lies between them."""
    keys = [point.co.x for point in fcurve.keyframe_points]
    return (
        max([frame - spread, *(key for key in keys if key < frame)]),
        min([frame + spread, *(key for key in keys if key > frame)]),
    )


def _influence(armature: bpy.types.Object) -> np.float32:
    """What of an offset is heard."""
    influence = nla.action_influence(nla.require_stack(armature))
    if not influence:
        raise InvalidInput("The offsets are turned down to nothing.", hint="Turn them up in Layers: Offsets.")
    return influence


def _fcurves(armature: bpy.types.Object, wanted: Iterable[Channel]) -> dict[Channel, bpy.types.FCurve]:
    """The curves that are to be written, all of them before any is."""
    data = nla.require_stack(armature)
    stack.ensure_offsets(armature)
    found = {c: compat.ensure_fcurve(data.action, armature, c.path, c.index, c.group) for c in wanted}
    for channel, fcurve in found.items():
        if fcurve.mute or (fcurve.group is not None and fcurve.group.mute):
            raise InvalidInput(
                f"The offset curve of {channel.path} is muted.", hint="Unmute it, or its group, in the Graph Editor."
            )
    return found
