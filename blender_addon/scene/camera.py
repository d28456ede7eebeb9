# SPDX-License-Identifier: GPL-3.0-or-later
"""The shot's camera: a Blender camera that sees each point on the pixel where the tracker saw it.

Pixel centres lie at +0.5 in both worlds, so that the picture spans 0 to width. With the sensor fitted horizontally,
Blender's focal length and shifts are measured by the picture's width; pixel aspect is a pixel's width over its height.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from dubplate_shared.shot import Shot

from ..curves.animation import Curve, write_action
from ..rig.axes import CAMERA_EULER
from .shot_link import BELONGS_KEY

Array = npt.NDArray[Any]

_SENSOR_MM = 36.0  # Blender's default; only its ratio to the focal length matters
_CLIP_START, _CLIP_END = 0.01, 100.0  # metres
_SAME_FOCAL = 1e-6  # relative change of intrinsics over the shot below which the lens is not animated


def lens_and_shift(intrinsics: Array, width: int, height: int) -> Array:
    """intrinsics: (..., 4) fx fy cx cy [px].  Returns (..., 3): focal length [mm], shift x, shift y."""
    fx, fy, cx, cy = np.moveaxis(np.asarray(intrinsics, np.float64), -1, 0)
    lens = fx * _SENSOR_MM / width
    shift_x = (0.5 * width - cx) / width
    shift_y = (cy - 0.5 * height) * (fx / fy) / width  # rows are fx/fy columns high
    return np.stack([lens, shift_x, shift_y], axis=-1)


def pixel_aspect(intrinsics: Array) -> tuple[float, float]:
    """Blender's pixel aspect x and y of a camera; both at least 1, as Blender asks."""
    wide = float(intrinsics[1] / intrinsics[0])  # a pixel twice as wide halves the focal length in columns
    return (wide, 1.0) if wide >= 1.0 else (1.0, 1.0 / wide)


def build_camera(shot: Shot, name: str, collection: bpy.types.Collection, frames: Sequence[int]) -> bpy.types.Object:
    """Make the camera, at the origin and looking along +Y; a zoom is animated."""
    data = bpy.data.cameras.new(name)
    camera = bpy.data.objects.new(name, data)
    collection.objects.link(camera)
    camera.rotation_euler = CAMERA_EULER
    camera.lock_location = camera.lock_rotation = camera.lock_scale = (True, True, True)
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width = _SENSOR_MM
    data.clip_start, data.clip_end = _CLIP_START, _CLIP_END
    lens = lens_and_shift(shot.track.intrinsics, shot.info.width, shot.info.height)  # (T, 3)
    data.lens, data.shift_x, data.shift_y = lens[0]
    if np.ptp(lens, axis=0).max() > _SAME_FOCAL * lens[0, 0]:
        paths = ("lens", "shift_x", "shift_y")
        curves = [Curve(path, 0, "Camera", lens[:, index]) for index, path in enumerate(paths)]
        write_action(data, f"{name}_zoom", frames, curves)
    return camera


def camera_of(scene: bpy.types.Scene, armature: bpy.types.Object) -> bpy.types.Object | None:
    """The camera that came with the head, or else the scene's."""
    cameras = (thing for thing in scene.objects if thing.type == "CAMERA")
    return next((camera for camera in cameras if camera.get(BELONGS_KEY) == armature), scene.camera)
