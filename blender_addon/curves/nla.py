# SPDX-License-Identifier: GPL-3.0-or-later
"""Tracks and strips of the NLA, and what they and the active Action come to, without moving the scene's frame.

`evaluate` does Blender's own arithmetic in its own precision, so that reading either way gives the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, count
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
_PLAYED_BY = ("action_blend_type", "action_extrapolation", "action_influence")
_INSTANT = 0.25  # frames that a strip of one frame lasts: it has a length, and plays on its last frame too


@dataclass(frozen=True)
class Layer:
    """Curves that play on some frames.  replaces: else they add.  influence: (T,) float32, NaN where silent.
    times: (T,) of the Action on each frame.
    """

    curves: FCurves
    replaces: bool
    influence: Array
    times: Array


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
    action, slot, before = data.action, getattr(data, "action_slot", None), played_by(data)
    try:
        yield
    finally:
        data.action = action
        if slot is not None:
            data.action_slot = slot
        play_by(data, before)


def played_by(data: bpy.types.AnimData) -> dict[str, object]:
    """How the active Action plays over what lies beneath: blending, extrapolation, influence."""
    return {name: getattr(data, name) for name in _PLAYED_BY}


def play_by(data: bpy.types.AnimData, how: Mapping[str, object]) -> None:
    """Inverse of played_by."""
    for name, value in how.items():
        setattr(data, name, value)


def add_strip(
    data: bpy.types.AnimData, name: str, action: bpy.types.Action, frames: range, above: bpy.types.NlaTrack | None
) -> bpy.types.NlaStrip:
    """A strip that plays `action` at its own frames, alone on a new locked track right above another, or on top.

    The track's name gets a number where one of that name is there.
    """
    taken = {track.name for track in data.nla_tracks}
    numbered = (f"{name}.{number:03d}" for number in count(1))
    track = data.nla_tracks.new(prev=above)
    track.name = next(each for each in chain([name], numbered) if each not in taken)
    strip = track.strips.new(track.name, frames[0], action)
    compat.play(strip, action)
    strip.use_auto_blend = strip.use_sync_length = False
    set_span(strip, frames)
    track.lock = True
    return strip


def set_span(strip: bpy.types.NlaStrip, frames: range) -> None:
    """Let a strip play on these frames, each at its own time."""
    first, last = frames[0], max(frames[-1], frames[0] + _INSTANT)
    strip.action_frame_start, strip.action_frame_end = first, last
    strip.frame_start, strip.frame_end = first, last


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
                values[:, column] = _blend(values[:, column], animation.values_on(fcurve, layer.times), layer)
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
    heard = _heard_tracks(data)
    plain = all(_is_plain(strip) for track in heard for strip in track.strips if not strip.mute)
    if data.use_tweak_mode or any(track.is_solo for track in data.nla_tracks) or not plain:
        return None
    layers = [
        _strip_layer(track.strips, index, frames)
        for track in heard
        for index, strip in enumerate(track.strips)
        if not strip.mute
    ]
    if data.action is not None:
        alone = not heard
        if not alone and (data.action_blend_type not in ("REPLACE", *_SUMS) or data.action_extrapolation != "HOLD"):
            return None
        influence = np.full(len(frames), action_influence(data), np.float32)
        replaces = alone or data.action_blend_type == "REPLACE"
        layers.append(Layer(animation.fcurves(datablock), replaces, influence, frames))
    return layers


def action_influence(data: bpy.types.AnimData) -> np.float32:
    """How much of the active Action plays: all of it where no track is heard, whatever it would do in company."""
    return np.float32(data.action_influence if _heard_tracks(data) else 1.0)


def _heard_tracks(data: bpy.types.AnimData) -> list[bpy.types.NlaTrack]:
    """Those that are not muted; a muted strip's track counts."""
    tracks = data.nla_tracks if data.use_nla else ()
    return [track for track in tracks if not track.mute and len(track.strips)]


def _is_plain(strip: bpy.types.NlaStrip) -> bool:
    return (
        strip.type == "CLIP"
        and strip.blend_type in ("REPLACE", *_SUMS)
        and not (strip.use_animated_influence or strip.use_animated_time or strip.use_reverse or strip.use_auto_blend)
        and strip.repeat == strip.scale == 1.0
        and strip.frame_start == strip.action_frame_start
        and len(strip.modifiers) == 0
    )


def _strip_layer(strips: Sequence[bpy.types.NlaStrip], index: int, frames: Array) -> Layer:
    """A strip among those of its track, of which one plays at a time: one that holds goes on until the next begins."""
    strip = strips[index]
    holds, start, end = strip.extrapolation != "NOTHING", strip.frame_start, strip.frame_end
    following = strips[index + 1].frame_start if index + 1 < len(strips) else np.inf
    plays = (frames >= start) & ((frames <= end) | (holds & (frames < following)))
    if index > 0:
        plays &= frames > strips[index - 1].frame_end
    elif strip.extrapolation == "HOLD":
        plays |= frames < start
    times = np.clip(frames, start, end)
    influence = np.where(plays, strip_influence(strip, times), np.float32(np.nan))
    return Layer(animation.strip_fcurves(strip), strip.blend_type == "REPLACE", influence, times)


def strip_influence(strip: bpy.types.NlaStrip, frames: Array) -> Array:
    """How much of the strip plays on each of its frames, as Blender has it.  frames: (T,) float64.  Returns (T,)
    float32: linear over the blend-in and over the blend-out, and full between.
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
    return influence
