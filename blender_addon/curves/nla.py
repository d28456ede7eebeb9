# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracks and strips of the NLA, and what they and the active Action come to, without moving the scene's frame.

`evaluate` does Blender's own arithmetic in its own precision, so that reading either way gives the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from dubplate_shared.errors import InvalidInput

from .. import compat
from . import animation
from .animation import FCurves

Array = npt.NDArray[Any]

_SUMS = ("ADD", "COMBINE")  # the same where a channel rests at 0, as all of ours do


@dataclass(frozen=True)
class Layer:
    """Curves that play on some frames.  replaces: else they add.  influence: (T,) float32, NaN where silent."""

    curves: FCurves
    replaces: bool
    influence: Array


def require_stack(datablock: bpy.types.ID) -> bpy.types.AnimData:
    """The datablock's animation, ready for changes of its layers. Raises InvalidInput in tweak mode."""
    data = datablock.animation_data or datablock.animation_data_create()
    if data.use_tweak_mode:
        raise InvalidInput(
            f"A strip of {datablock.name} is being tweaked.", hint="Leave tweak mode: Tab in the NLA editor."
        )
    return data


@contextmanager
def other_action(data: bpy.types.AnimData) -> Iterator[None]:
    """Room for another active Action; afterwards it is the one that it was, and plays as it did."""
    names = ("action_blend_type", "action_extrapolation", "action_influence")
    action, slot, before = data.action, getattr(data, "action_slot", None), [getattr(data, name) for name in names]
    try:
        yield
    finally:
        data.action = action
        if slot is not None:
            data.action_slot = slot
        for name, value in zip(names, before, strict=True):
            setattr(data, name, value)


def add_strip(
    data: bpy.types.AnimData, name: str, action: bpy.types.Action, frames: range, above: bpy.types.NlaTrack | None
) -> bpy.types.NlaStrip:
    """A strip that plays `action` at its own frames, alone on a new locked track right above another, or on top."""
    track = data.nla_tracks.new(prev=above)
    track.name = name
    strip = track.strips.new(name, frames[0], action)
    compat.play(strip, action)
    first, last = frames[0], max(frames[-1], frames[0] + 1)  # a strip has a length
    strip.action_frame_start, strip.action_frame_end = first, last
    strip.frame_start, strip.frame_end = first, last
    strip.use_auto_blend = strip.use_sync_length = False
    track.lock = True
    return strip


def evaluate(datablock: bpy.types.ID, channels: Sequence[tuple[str, int]], frames: Sequence[float]) -> Array | None:
    """What strips and Action come to on `channels`, paths with indices, which rest at 0.

    Returns (T, N) float32; NaN where nothing is keyed. None where more than plain layers decides: drivers, solo,
    tweak mode, strips that are stretched, repeated or of other blending.
    """
    layers = _layers(datablock, np.asarray(frames, np.float64))
    if layers is None or animation.are_driven(datablock, {path for path, _ in channels}):
        return None
    values = np.full((len(frames), len(channels)), np.nan, np.float32)
    for column, channel in enumerate(channels):
        for layer in layers:
            fcurve = layer.curves.get(channel)
            if fcurve is not None:
                values[:, column] = _blend(values[:, column], animation.values_on(fcurve, frames), layer)
    return values


def _blend(below: Array, values: Array, layer: Layer) -> Array:
    lower = np.where(np.isnan(below), np.float32(0), below)
    influence = layer.influence
    blended = lower * (np.float32(1) - influence) + values * influence if layer.replaces else lower + values * influence
    return np.where(np.isnan(influence), below, blended)


def _layers(datablock: bpy.types.ID, frames: Array) -> list[Layer] | None:
    """From the lowest up; None where they are not plain."""
    data = datablock.animation_data
    if data is None:
        return []
    strips = list(_heard_strips(data)) if data.use_nla else []
    if data.use_tweak_mode or any(track.is_solo for track in data.nla_tracks) or not all(map(_is_plain, strips)):
        return None
    layers = [
        Layer(animation.strip_fcurves(strip), strip.blend_type == "REPLACE", strip_influence(strip, frames))
        for strip in strips
    ]
    if data.action is not None:
        if not strips:  # then Blender plays the Action alone, whatever it would do in company
            layers.append(Layer(animation.fcurves(datablock), True, np.ones(len(frames), np.float32)))
        elif data.action_blend_type in ("REPLACE", *_SUMS) and data.action_extrapolation == "HOLD":
            influence = np.full(len(frames), data.action_influence, np.float32)
            layers.append(Layer(animation.fcurves(datablock), data.action_blend_type == "REPLACE", influence))
        else:
            return None
    return layers


def _heard_strips(data: bpy.types.AnimData) -> Iterator[bpy.types.NlaStrip]:
    for track in data.nla_tracks:
        if not track.mute:
            yield from (strip for strip in track.strips if not strip.mute)


def _is_plain(strip: bpy.types.NlaStrip) -> bool:
    return (
        strip.type == "CLIP"
        and strip.blend_type in ("REPLACE", *_SUMS)
        and strip.extrapolation in ("HOLD", "NOTHING")
        and not (strip.use_animated_influence or strip.use_animated_time or strip.use_reverse or strip.use_auto_blend)
        and strip.repeat == strip.scale == 1.0
        and strip.frame_start == strip.action_frame_start
        and len(strip.modifiers) == 0
    )


def strip_influence(strip: bpy.types.NlaStrip, frames: Array) -> Array:
    """How much of the strip plays on each frame, as Blender has it.  frames: (T,) float64.  Returns (T,) float32.

    Linear over the blend-in and over the blend-out, full between, and NaN where it does not play.
    """
    start, end = strip.frame_start, strip.frame_end
    influence = np.ones(len(frames), np.float32)
    fades_out = strip.blend_out > 0 and (frames >= end - strip.blend_out)
    fades_in = strip.blend_in > 0 and (frames <= start + strip.blend_in)
    single = np.float32
    if strip.blend_out > 0:
        influence = np.where(fades_out, np.abs(end - frames).astype(single) / single(strip.blend_out), influence)
    if strip.blend_in > 0:
        influence = np.where(fades_in, np.abs(frames - start).astype(single) / single(strip.blend_in), influence)
    if strip.extrapolation == "NOTHING":
        influence = np.where((frames >= start) & (frames <= end), influence, single(np.nan))
    return influence
