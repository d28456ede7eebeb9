# SPDX-License-Identifier: GPL-3.0-or-later
"""The previews that run in this Blender, and what is to be seen of them now.

A socket's other end cannot live in a .blend, so they stand in this module until they are stopped.
"""

from __future__ import annotations

from collections.abc import Iterable

import bpy

from ..scene.shot_link import head_at_hand
from .compare import Mode, Placed
from .live import Live

lives: dict[int, Live] = {}  # by the armature's session_uid: undo replaces the object, and artists rename it


def head_of(things: Iterable[bpy.types.Object], uid: int) -> bpy.types.Object | None:
    """The head among `things` that a preview belongs to; None where it is gone."""
    return next((thing for thing in things if thing.session_uid == uid), None)


def live_of(context: bpy.types.Context) -> Live | None:
    """The preview of the head at hand, or any where it is not clear which; None where there is none."""
    head = head_at_hand(context)
    return lives.get(head.session_uid) if head is not None else next(iter(lives.values()), None)


def mode(context: bpy.types.Context) -> Mode:
    """What is shown."""
    return Mode(context.window_manager.dubplate_preview.mode)


def placed(context: bpy.types.Context, frame: int) -> list[Placed]:
    """The pictures to show on a frame, each placed in pixels of the scene, whose size need not be the plate's."""
    settings, render = context.window_manager.dubplate_preview, context.scene.render
    shown = Mode.FILMED if settings.filmed else mode(context)
    found = []
    for live in lives.values():
        pictures = live.shown(frame)
        if pictures is not None:
            wide, high = live.rows.plate_size
            scale = (render.resolution_x / wide, render.resolution_y / high)
            found.append(live.arranged(shown, pictures, live.cache.filmed(frame), settings.wipe, scale))
    return [each for each in found if each is not None]
