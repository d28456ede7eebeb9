# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file that was opened needs and has not got: packages, plates, sound, actors. Keys need none of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bpy

from dubplate_shared.errors import InvalidInput

from ..compat import sequence_strips
from .plate import plate_clip
from .shot_link import ShotLink, heads


@dataclass(frozen=True)
class Missing:
    """text: what is not there.  fix: the operator that finds it.  head: whose it is, "" for the scene's."""

    text: str
    fix: str
    head: str = ""


def missing(scene: bpy.types.Scene) -> list[Missing]:
    """All that the scene's heads need for previews and renders and cannot be found now."""
    found = [each for head in heads(scene) for each in _of_head(scene, head)]
    if heads(scene):
        found += [
            Missing(f"Sound {Path(strip.sound.filepath).name}", "file.find_missing_files") for strip in _silent(scene)
        ]
    return found


def _of_head(scene: bpy.types.Scene, head: bpy.types.Object) -> Iterator[Missing]:
    link = ShotLink.of(head)
    try:
        link.package()
    except InvalidInput:
        yield Missing(f"Shot {Path(link.path).name}", "dubplate.find_shot", head.name)
    actor = head.dubplate_actor or scene.dubplate.actor
    if actor and not _exists(actor):
        yield Missing(f"Actor {Path(actor).name}", "dubplate.choose_actor", head.name)
    for collection in head.users_collection:
        for camera in collection.objects:
            clip = plate_clip(camera) if camera.type == "CAMERA" else None
            if clip is not None and not _exists(clip.filepath):
                yield Missing(f"Plate {Path(clip.filepath).name}", "file.find_missing_files", head.name)


def _silent(scene: bpy.types.Scene) -> list[bpy.types.SoundStrip]:
    strips = sequence_strips(scene.sequence_editor) if scene.sequence_editor else ()
    return [strip for strip in strips if strip.type == "SOUND" and not _exists(strip.sound.filepath)]


def _exists(path: str) -> bool:
    return Path(bpy.path.abspath(path)).expanduser().exists()
