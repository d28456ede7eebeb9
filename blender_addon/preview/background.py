# SPDX-License-Identifier: GPL-3.0-or-later
"""The preview as an image behind the head, for those who want it in the scene: works without a window too."""

from __future__ import annotations

import bpy
import numpy as np

from . import lives
from .compare import onto_plate

IMAGE = "Dubplate Preview"
_STEPS = 4096
_SRGB = np.linspace(0.0, 1.0, _STEPS)
# Display values to light, for Blender shows a float image through the sRGB curve (IEC 61966-2-1).
_LIGHT = np.where(_SRGB <= 0.04045, _SRGB / 12.92, ((_SRGB + 0.055) / 1.055) ** 2.4).astype(np.float32)


def show(context: bpy.types.Context) -> None:
    """Put what is to be seen of the current frame behind the camera's picture, where that is chosen."""
    settings = context.window_manager.dubplate_preview
    if settings.place != "BACKGROUND" or settings.mode == "OFF":
        remove(context)
        return
    scene = context.scene
    if scene.camera is None:
        return
    width, height = scene.render.resolution_x, scene.render.resolution_y
    whole = np.zeros((height, width, 4), np.float32)  # rows from the bottom, as Blender has them
    for placed in lives.placed(context, scene.frame_current):
        part, x, y = onto_plate(placed, width, height)
        part[..., :3] = _LIGHT[(part[..., :3] * (_STEPS - 1) + 0.5).astype(np.int32)]
        whole[::-1][y : y + part.shape[0], x : x + part.shape[1]] = part
    image = _image(width, height)
    image.pixels.foreach_set(whole.ravel())
    image.update()
    _behind(scene.camera, image)


def remove(context: bpy.types.Context) -> None:
    """Take the image out of the scene again."""
    image = bpy.data.images.get(IMAGE)
    if image is None:
        return
    for camera in bpy.data.cameras:
        for background in list(camera.background_images):
            if background.image == image:
                camera.background_images.remove(background)
    bpy.data.images.remove(image)


def _image(width: int, height: int) -> bpy.types.Image:
    image = bpy.data.images.get(IMAGE)
    if image is not None and tuple(image.size) != (width, height):
        bpy.data.images.remove(image)
        image = None
    if image is None:
        image = bpy.data.images.new(IMAGE, width, height, alpha=True, float_buffer=True)
        image.alpha_mode = "STRAIGHT"
    return image


def _behind(camera: bpy.types.Object, image: bpy.types.Image) -> None:
    if any(background.image == image for background in camera.data.background_images):
        return
    background = camera.data.background_images.new()
    background.image, background.alpha = image, 1.0
    background.display_depth, background.frame_method = "BACK", "STRETCH"
    camera.data.show_background_images = True
