# SPDX-License-Identifier: GPL-3.0-or-later
"""The shot's voice in the sequencer, so that it scrubs and shows its waveform."""

from __future__ import annotations

import bpy

from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import Shot

from ..compat import sequence_strips


def add_sound(scene: bpy.types.Scene, shot: Shot) -> bpy.types.SoundStrip | None:
    """Lay the shot's audio under its frames; None where it has none. Raises InvalidInput where the file is missing."""
    path = shot.audio_path()
    if path is None:
        return None
    editor = scene.sequence_editor or scene.sequence_editor_create()
    strips = sequence_strips(editor)
    # Sound starts at time 0 of the footage, which is not always the first picture's time.
    start = round(shot.info.first_frame - float(shot.track.time[0]) * shot.info.rate.fps)
    channel = 1 + max((strip.channel for strip in strips), default=0)
    try:
        strip = strips.new_sound(f"{shot.info.name}_audio", str(path), channel, start)
    except RuntimeError as error:
        raise InvalidInput(
            f"Blender cannot open {path}: {error}", hint="Convert it to WAV, or work without sound."
        ) from error
    strip.show_waveform = True
    return strip
