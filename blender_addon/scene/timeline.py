# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene's clock and frame: rate, range, resolution, colour."""

from __future__ import annotations

import bpy

from dubplate_shared.shot import Rate, ShotInfo

_MOST_FPS = 32767  # Blender's own limit of render.fps
_SAME_RATE = 1e-6  # relative: fps_base is a float32


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


def differences(scene: bpy.types.Scene, info: ShotInfo) -> list[str]:
    """Sentences on where a scene that is left as it is does not run or look as the shot, and what that does."""
    render, found = scene.render, []
    rate = render.fps / render.fps_base
    if abs(rate - info.rate.fps) > _SAME_RATE * info.rate.fps:
        found.append(
            f"The scene runs at {rate:.3f} frames a second, the shot at {info.rate.fps:.3f}: the sound drifts from the"
            " lips, the keys stay on their frames."
        )
    size = (render.resolution_x, render.resolution_y)
    if size != (info.width, info.height):
        found.append(
            f"The scene's picture is {size[0]}x{size[1]}, the shot's {info.width}x{info.height}: the head does not lie"
            " on the plate."
        )
    last = info.first_frame + info.frame_count - 1
    if info.first_frame < scene.frame_start or last > scene.frame_end:
        found.append(
            f"The scene's range {scene.frame_start}-{scene.frame_end} does not hold the shot's"
            f" {info.first_frame}-{last}: widen it to render all of it."
        )
    if scene.view_settings.view_transform != "Standard":
        found.append(
            f"The view transform is {scene.view_settings.view_transform}: the plate is seen in other colours than with"
            " Standard."
        )
    return found
