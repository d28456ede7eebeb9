# SPDX-License-Identifier: GPL-3.0-or-later
"""A shot package into the scene: head, curves, camera, plate, sound and clock."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import bpy

from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import Shot
from dubplate_shared.take import TRACKED

from ..layers.takes import load_take
from ..rig.build import build_rig
from .camera import build_camera, pixel_aspect
from .plate import show_plate
from .shot_link import BELONGS_KEY, heads
from .sound import add_sound
from .timeline import differences, set_timeline


@dataclass(frozen=True)
class Imported:
    """armature: the head.  notes: sentences on what could not be had or does not agree; empty when all is well."""

    armature: bpy.types.Object
    camera: bpy.types.Object
    notes: tuple[str, ...]


def import_shot(path: Path | str, *, take: str = TRACKED) -> bpy.types.Object:
    """Import a shot into the current scene.  Returns the armature. Raises InvalidInput."""
    return import_with_notes(path, take=take).armature


def import_with_notes(path: Path | str, *, take: str = TRACKED, set_up_scene: bool = True) -> Imported:
    """As import_shot, and say what was left out. Nothing is added to the scene where the package cannot be read.

    set_up_scene: let the scene run and look as the shot; one that has a head already is left as it is, and where it
    differs is said.
    """
    shot = Shot.load(path)
    performance = shot.take(take)
    if shot.rig is None:
        raise InvalidInput(f"{path} holds no head for Blender (head.npz).", hint="Track the shot again.")
    scene = bpy.context.scene
    alone = not heads(scene)
    name = shot.info.name
    collection = bpy.data.collections.new(name)
    scene.collection.children.link(collection)
    armature = build_rig(shot.rig, f"HEAD_{name}", collection)
    load_take(armature, shot, performance)
    camera = build_camera(shot, f"CAM_{name}", collection, shot.frames)
    camera[BELONGS_KEY] = armature
    notes = []
    if alone and set_up_scene:
        scene.camera = camera
        set_timeline(scene, shot.info, pixel_aspect(shot.track.intrinsics[0]))
    else:
        notes += differences(scene, shot.info)
        notes += _other_camera(scene, camera)
    notes += _media(scene, shot, camera)
    if shot.track.distortion.any():
        notes.append(
            "The lens has distortion, which Blender's camera has not: the head may sit off the plate at the edges."
        )
    bpy.context.view_layer.objects.active = armature
    armature.select_set(True)
    return Imported(armature, camera, tuple(notes))


def _other_camera(scene: bpy.types.Scene, camera: bpy.types.Object) -> list[str]:
    if scene.camera is None:
        scene.camera = camera
        return []
    return [f"The scene goes on looking through {scene.camera.name}; this shot's own camera is {camera.name}."]


def _media(scene: bpy.types.Scene, shot: Shot, camera: bpy.types.Object) -> list[str]:
    """Plate and sound. The keys matter more than the pictures: what is missing is said, and the import goes on."""
    notes = []
    try:
        clip = show_plate(camera, shot)
        if tuple(clip.size) != (shot.info.width, shot.info.height):
            notes.append(
                f"Blender reads the plate as {clip.size[0]}x{clip.size[1]}; "
                f"the shot is {shot.info.width}x{shot.info.height}."
            )
    except InvalidInput as error:
        notes.append(f"{error.message} {error.hint}")
    try:
        if add_sound(scene, shot) is None:
            notes.append("The shot has no sound.")
    except InvalidInput as error:
        notes.append(f"{error.message} {error.hint}")
    return notes
