# SPDX-License-Identifier: GPL-3.0-or-later
"""A shot that was repaired on disk read again into its head: takes and patches beneath, the artist's offsets kept."""

from __future__ import annotations

import bpy

from ..layers import stack
from ..layers.patches import read_patches
from ..layers.stack import Role
from ..layers.takes import load_take
from ..scene.shot_link import ShotLink


def read_again(armature: bpy.types.Object) -> None:
    """Let every take and patch on the head be what the package says now; what is heard stays heard.

    Raises InvalidInput where the package is gone, or one of the takes, or the layers are baked or tweaked; nothing has
    changed then.
    """
    stack.require_layers(armature)
    link = ShotLink.of(armature)
    shot = link.load_shot()
    tracks = [*stack.tracks(armature, Role.TAKE), *stack.tracks(armature, Role.PATCH)]
    takes = [shot.take(name) for name in dict.fromkeys(stack.mark_of(track).take for track in tracks)]
    loaded = {stack.mark_of(track).take for track in stack.tracks(armature, Role.TAKE)}
    muted = [track.mute for track in tracks]
    for take in takes:
        if take.name in loaded:
            load_take(armature, shot, take)
        read_patches(armature, shot, take)
    for track, mute in zip(tracks, muted, strict=True):
        track.mute = mute
    link.store(armature)
