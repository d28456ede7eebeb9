# SPDX-License-Identifier: GPL-3.0-or-later
"""A smaller copy of a large plate, which Blender makes and plays in its place; renders and previews never use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy

from dubplate_shared.errors import InvalidInput

LARGE_PX = 2_500_000  # above 1080x1920 a plate seldom plays in real time
_HALF, _QUARTER = 50, 25
_QUARTER_FROM_PX = 6_000_000  # 4K and more


def is_large(clip: bpy.types.MovieClip | None) -> bool:
    """Whether a plate plays better from a smaller copy."""
    return clip is not None and clip.size[0] * clip.size[1] > LARGE_PX


def build_proxy(context: bpy.types.Context, camera: bpy.types.Object, clip: bpy.types.MovieClip) -> None:
    """Let Blender make the copy, in a window as a job of its own with a bar, and show it behind the camera's picture.

    Raises InvalidInput where Blender has no place to do it in.
    """
    size = _QUARTER if clip.size[0] * clip.size[1] > _QUARTER_FROM_PX else _HALF
    clip.use_proxy = True
    for each in (_QUARTER, _HALF, 75, 100):
        setattr(clip.proxy, f"build_{each}", each == size)
    with _clip_editor(context, clip) as area, context.temp_override(area=area, region=area.regions[-1]):
        bpy.ops.clip.rebuild_proxy()
    for background in camera.data.background_images:
        if background.clip == clip:
            background.clip_user.proxy_render_size = f"PROXY_{size}"


@contextmanager
def _clip_editor(context: bpy.types.Context, clip: bpy.types.MovieClip) -> Iterator[bpy.types.Area]:
    """An area that is a clip editor for as long as this takes: Blender makes proxies nowhere else."""
    areas = context.screen.areas if context.screen else ()
    area = context.area or next(iter(areas), None)
    if area is None:
        raise InvalidInput("Proxies are made in a window.", hint="Open the file in Blender's window.")
    before = area.type
    area.type = "CLIP_EDITOR"
    try:
        area.spaces.active.clip = clip
        yield area
    finally:
        area.type = before
