# SPDX-License-Identifier: GPL-3.0-or-later
"""The plate behind the head: the footage as the camera's background."""

from __future__ import annotations

import re
from pathlib import Path

import bpy

from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import Shot

_PADDING = re.compile(r"#+")


def first_file(path: Path) -> Path:
    """The file to open: the video itself, or the first file of a NAME.####.exr pattern. Raises InvalidInput."""
    if "#" not in path.name:
        return path
    files = sorted(path.parent.glob(_PADDING.sub("[0-9]*", path.name)))
    if not files:
        raise InvalidInput(
            f"No frames of {path} are there.", hint="Put the plate back where the shot package expects it."
        )
    return files[0]


def show_plate(camera: bpy.types.Object, shot: Shot) -> bpy.types.MovieClip:
    """Put the footage behind the camera's picture. Raises InvalidInput where it is missing or cannot be opened."""
    path = first_file(shot.plate_path())
    try:
        clip = bpy.data.movieclips.load(str(path))
    except RuntimeError as error:
        raise InvalidInput(
            f"Blender cannot open {path}: {error}", hint="Convert the plate, or work without it."
        ) from error
    clip.name = f"{shot.info.name}_plate"
    clip.frame_start = shot.info.first_frame
    background = camera.data.background_images.new()
    background.source = "MOVIE_CLIP"
    background.clip = clip
    background.alpha = 1.0
    background.display_depth = "BACK"
    background.frame_method = "STRETCH"  # the camera's frame is the plate's, pixel aspect included
    camera.data.show_background_images = True
    return clip
