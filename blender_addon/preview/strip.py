# SPDX-License-Identifier: GPL-3.0-or-later
"""A strip at the foot of timeline, dope sheet, graph and NLA: which frames are drawn, stale, or failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import bpy

from . import lives
from .cache import FrameState

EDITORS = ("DOPESHEET_EDITOR", "GRAPH_EDITOR", "NLA_EDITOR")
COLOURS = {
    FrameState.DRAWN: (0.25, 0.60, 0.35, 0.9),
    FrameState.STALE: (0.80, 0.62, 0.20, 0.9),
    FrameState.FAILED: (0.80, 0.25, 0.22, 0.9),
}
_HEIGHT_PX = 4
_SCROLLER_PX = 12  # Blender's own scroll bar lies below

_handlers: list[tuple[type, object]] = []


def register() -> None:
    """Draw from now on; nothing to draw on in the background."""
    if bpy.app.background or _handlers:
        return
    for space in (bpy.types.SpaceDopeSheetEditor, bpy.types.SpaceGraphEditor, bpy.types.SpaceNLA):
        _handlers.append((space, space.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")))


def unregister() -> None:
    """Draw no more."""
    while _handlers:
        space, handler = _handlers.pop()
        space.draw_handler_remove(handler, "WINDOW")


def runs(states: Iterable[tuple[int, FrameState]]) -> Iterator[tuple[int, int, FrameState]]:
    """First and last frame of each stretch of one state, without those that say nothing."""
    for state, stretch in groupby(states, key=lambda each: each[1]):
        frames = [frame for frame, _ in stretch]
        if state in COLOURS:
            yield frames[0], frames[-1], state


def _draw() -> None:
    import gpu
    from gpu_extras.batch import batch_for_shader

    context = bpy.context
    live, region = lives.live_of(context), context.region
    if live is None:
        return
    scale = context.preferences.system.ui_scale
    low = _SCROLLER_PX * scale
    high = low + _HEIGHT_PX * scale
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    gpu.state.blend_set("ALPHA")
    for first, last, state in runs(live.states()):
        left = region.view2d.view_to_region(first - 0.5, 0, clip=False)[0]
        right = region.view2d.view_to_region(last + 0.5, 0, clip=False)[0]
        if right < 0 or left > region.width:
            continue
        corners = ((left, low), (right, low), (right, high), (left, high))
        shader.uniform_float("color", COLOURS[state])
        batch_for_shader(shader, "TRI_FAN", {"pos": corners}).draw(shader)
    gpu.state.blend_set("NONE")
