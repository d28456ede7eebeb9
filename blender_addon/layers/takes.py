# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine's takes at the bottom of the stack: a new one replaces what is heard and keeps the offsets."""

from __future__ import annotations

from dataclasses import replace

import bpy

from dubplate_shared.shot import Shot
from dubplate_shared.take import TRACKED, Take

from ..curves.performance import take_curves
from ..scene.shot_link import ShotLink
from . import stack
from .stack import Mark, Role


def load_take(armature: bpy.types.Object, shot: Shot, take: Take) -> None:
    """Let `take` be what is heard under the offsets; a take of this name that is there already is read anew.

    Raises InvalidInput where the take does not fit the shot, or the layers are baked or tweaked.
    """
    stack.require_layers(armature)
    link = ShotLink.of_shot(shot, take.name)
    mark = Mark(Role.TAKE, take.name, str(take.origin.get("sha256", "")))
    name = f"{shot.info.name}_{take.name}"
    action = stack.make_action(armature, name, shot.frames, take_curves(shot, take), mark)
    for track in stack.tracks(armature, Role.TAKE):
        if stack.mark_of(track).take == take.name:
            stack.swap(track, action, link.frames)
            break
    else:
        stack.insert(armature, f"Take: {take.name}", action, link.frames, Role.TAKE)
    link.store(armature)
    hear_take(armature, take.name)
    stack.ensure_offsets(armature)


def hear_take(armature: bpy.types.Object, name: str) -> None:
    """Mute all takes but one: A against B. Raises InvalidInput where it was not loaded, or as load_take."""
    stack.require_layers(armature)
    chosen = stack.take_track(armature, name)
    for track in stack.tracks(armature, Role.TAKE):
        track.mute = track != chosen
    replace(ShotLink.of(armature), take=name).store(armature)


def hear_next(armature: bpy.types.Object) -> None:
    """Hear the take above the one that is heard, or the lowest after the highest. Raises InvalidInput as hear_take."""
    names = [stack.mark_of(track).take for track in stack.tracks(armature, Role.TAKE)]
    heard = stack.heard_take(armature)
    after = names.index(heard) + 1 if heard in names else 0
    hear_take(armature, names[after % len(names)] if names else TRACKED)
