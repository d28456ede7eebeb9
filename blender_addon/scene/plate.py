# SPDX-License-Identifier: GPL-3.0-or-later
"""The plate behind the head: the footage as the camera's background."""

from __future__ import annotations

import re
from pathlib import Path

import bpy

from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import Shot

_PADDING = re.compile(r"#+")
# What Blender 4.2's own OpenColorIO configuration calls spaces that it would not guess from the file.
COLOUR_SPACES = {
    "lin_rec709_scene": "Linear Rec.709",
    "lin_rec2020_scene": "Linear Rec.2020",
    "lin_ap1_scene": "ACEScg",
    "lin_ap0_scene": "ACES2065-1",
    "lin_p3d65_scene": "Linear DCI-P3 D65",
}


LIGHT = "Linear Rec.709"  # what Blender works in unless somebody chose otherwise


def is_display(colour_space: str) -> bool:
    """Whether values of a plate's colour space are a display's, and not light's."""
    return bool(colour_space) and not colour_space.startswith("lin_")


def space_of(colour_space: str) -> str:
    """What Blender calls a plate's colour space."""
    return "sRGB" if is_display(colour_space) else COLOUR_SPACES.get(colour_space, LIGHT)


def plate_clip(camera: bpy.types.Object | None) -> bpy.types.MovieClip | None:
    """The plate that show_plate put behind a camera's picture; None where it is gone."""
    backgrounds = camera.data.background_images if camera is not None else ()
    return next((each.clip for each in backgrounds if each.source == "MOVIE_CLIP" and each.clip), None)


def first_file(shot: Shot) -> Path:
    """The file to open: the video, or the file of the shot's first frame of a NAME.####.exr pattern.

    Raises InvalidInput where that is not there.
    """
    path = shot.plate_path()
    if "#" not in path.name:
        return path
    number = shot.info.first_frame
    file = path.with_name(_PADDING.sub(lambda run: f"{number:0{len(run[0])}d}", path.name, count=1))
    if not file.is_file():
        raise InvalidInput(f"{file} is not there.", hint="Put the plate back where the shot package expects it.")
    return file


def show_plate(camera: bpy.types.Object, shot: Shot) -> bpy.types.MovieClip:
    """Put the footage behind the camera's picture. Raises InvalidInput where it is missing or cannot be opened."""
    path = first_file(shot)
    try:
        clip = bpy.data.movieclips.load(str(path))
    except RuntimeError as error:
        raise InvalidInput(
            f"Blender cannot open {path}: {error}", hint="Convert the plate, or work without it."
        ) from error
    clip.name = f"{shot.info.name}_plate"
    clip.frame_start = shot.info.first_frame - shot.info.plate.start  # the video may begin with other shots
    colour = clip.colorspace_settings
    space = COLOUR_SPACES.get(shot.info.plate.colour_space)
    if space and space in colour.bl_rna.properties["name"].enum_items:  # a studio's own configuration may not have it
        colour.name = space
    return show_clip(camera, clip)


def show_clip(camera: bpy.types.Object, clip: bpy.types.MovieClip) -> bpy.types.MovieClip:
    """Let a clip fill the camera's picture, before those that are there; once, however often it is asked for."""
    if any(each.clip == clip for each in camera.data.background_images):
        return clip
    background = camera.data.background_images.new()
    background.source = "MOVIE_CLIP"
    background.clip = clip
    background.alpha = 1.0
    background.display_depth = "BACK"
    background.frame_method = "STRETCH"  # the camera's frame is the plate's, pixel aspect included
    camera.data.show_background_images = True
    return clip
