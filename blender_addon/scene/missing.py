# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file that was opened needs and has not got: packages, plates, sound, actors. Keys need none of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bpy

from dubplate_shared.errors import InvalidInput

from ..compat import sequence_strips
from .camera import camera_of
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
        found += [Missing(f"Sound {Path(sound.filepath).name}", "file.find_missing_files") for sound in _silent(scene)]
    return found


def _of_head(scene: bpy.types.Scene, head: bpy.types.Object) -> Iterator[Missing]:
    link = ShotLink.of(head)
    try:
        link.package()
    except InvalidInput:
        yield Missing(f"Shot {link.folder_name}", "dubplate.find_shot", head.name)
    actor = head.dubplate_actor or scene.dubplate.actor
    if actor and not _exists(actor):
        yield Missing(f"Actor {Path(actor).name}", "dubplate.choose_actor", head.name)
    clip = plate_clip(camera_of(scene, head))
    if clip is not None and not _exists(clip.filepath, clip.library):
        yield Missing(f"Plate {Path(clip.filepath).name}", "file.find_missing_files", head.name)


def _silent(scene: bpy.types.Scene) -> list[bpy.types.Sound]:
    strips = sequence_strips(scene.sequence_editor) if scene.sequence_editor else ()
    sounds = [strip.sound for strip in strips if strip.type == "SOUND" and strip.sound is not None]
    return [sound for sound in sounds if sound.packed_file is None and not _exists(sound.filepath, sound.library)]


def _exists(path: str, library: bpy.types.Library | None = None) -> bool:
    """library: the file that a relative path is relative to, where that is not the open one."""
    return Path(bpy.path.abspath(path, library=library)).expanduser().exists()
