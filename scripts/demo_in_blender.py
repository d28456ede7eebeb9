#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artist's part of the demo, in Blender: import the shot, open the jaw further over some frames, render.

Called by `dubplate demo` with one JSON argument: shot, take, actor, out, connection, blend, frames, and edit {first,
last, ease, degrees}.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import bpy

import blender_addon
from blender_addon import command
from blender_addon.curves import channels
from blender_addon.layers.offsets import add_offsets
from blender_addon.scene.import_shot import import_with_notes


def main(work: dict) -> int:
    """Do the work; the exit code."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    blender_addon.register()
    imported = import_with_notes(work["shot"], take=work["take"])
    for note in imported.notes:
        print(f"demo: {note}", flush=True)
    print(f"demo: Blender {bpy.app.version_string} imported {work['shot']}", flush=True)
    edit = work["edit"]
    changed = open_jaw(imported.armature, **edit)
    print(
        f"demo: jaw opened {edit['degrees']:g} degrees further: {changed} frames around {edit['first']}-{edit['last']}"
    )
    bpy.ops.wm.save_as_mainfile(filepath=work["blend"])
    return command.main(
        ["render", "--frames", work["frames"], "--actor", work["actor"], "--out", work["out"],
         "--connection", work["connection"]]
    )  # fmt: skip


def open_jaw(armature: bpy.types.Object, *, first: int, last: int, ease: int, degrees: float) -> int:
    """Open the jaw by `degrees` more, easing in and out over `ease` frames.  Returns how many frames moved."""
    frames = range(first - ease + 1, last + ease)
    outside = [max(first - frame, frame - last, 0) for frame in frames]
    share = [0.5 + 0.5 * math.cos(math.pi * distance / ease) for distance in outside]
    add_offsets(armature, frames, {channels.JAW[0]: [math.radians(degrees) * part for part in share]})
    return len(frames)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
