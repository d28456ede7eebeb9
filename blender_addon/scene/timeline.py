# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene's clock and frame: rate, range, resolution, colour."""

from __future__ import annotations

import bpy

from dubplate_shared.shot import Rate, ShotInfo

_MOST_FPS = 32767  # Blender's own limit of render.fps


def scene_rate(rate: Rate) -> tuple[int, float]:
    """Blender's fps and fps_base, whose quotient is the rate: 24000/1001 is 24 over 1.001."""
    fps = min(max(round(rate.fps), 1), _MOST_FPS)
    return fps, fps * rate.den / rate.num


def set_timeline(scene: bpy.types.Scene, info: ShotInfo, aspect: tuple[float, float]) -> None:
    """Make the scene run and look as the shot.  aspect: the pixel's, as camera.pixel_aspect gives it."""
    render = scene.render
    render.fps, render.fps_base = scene_rate(info.rate)
    render.resolution_x, render.resolution_y, render.resolution_percentage = info.width, info.height, 100
    render.pixel_aspect_x, render.pixel_aspect_y = aspect
    scene.frame_start, scene.frame_end = info.first_frame, info.first_frame + info.frame_count - 1
    scene.frame_set(info.first_frame)
    scene.view_settings.view_transform = "Standard"  # a filmic curve would show the plate in other colours
    scene.sync_mode = "AUDIO_SYNC"
    scene.use_audio_scrub = True
