# SPDX-License-Identifier: GPL-3.0-or-later
"""Plates behind the head, in place of what was filmed."""

from __future__ import annotations

import bpy

from dubplate_shared.errors import InvalidInput

from ..scene.plate import show_clip, space_of
from .plates import Plates


def show_plates(camera: bpy.types.Object | None, plates: Plates, colour_space: str) -> bpy.types.MovieClip:
    """Put them before the shot's own plate in the camera's picture. Raises InvalidInput without a camera."""
    if camera is None:
        raise InvalidInput("The scene has no camera.", hint="Choose one, or import the shot again.")
    first, path = next(iter(plates.files.items()))
    clip = bpy.data.movieclips.get(plates.name)
    if clip is None:
        clip = bpy.data.movieclips.load(str(path))
        clip.name = plates.name
    clip.filepath, clip.frame_start = str(path), first
    clip.colorspace_settings.name = space_of(colour_space)
    return show_clip(camera, clip)
