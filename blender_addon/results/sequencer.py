# SPDX-License-Identifier: GPL-3.0-or-later
"""Plates as image strips of the sequencer, above the sound that they belong to."""

from __future__ import annotations

import bpy

from .. import compat
from ..compat import sequence_strips
from ..scene.plate import LIGHT, is_display, space_of
from .plates import Plates


def add_strips(scene: bpy.types.Scene, plates: Plates, colour_space: str) -> list[bpy.types.ImageStrip]:
    """One strip for each stretch of frames, on their own frames; those of the same version are replaced."""
    editor = scene.sequence_editor or scene.sequence_editor_create()
    strips = sequence_strips(editor)
    for strip in [strip for strip in strips if strip.type == "IMAGE" and strip.name.startswith(f"{plates.name}.")]:
        strips.remove(strip)
    channel = 1 + max((strip.channel for strip in strips), default=0)
    added = []
    for run in plates.runs:
        strip = strips.new_image(f"{plates.name}.{run[0]}", str(plates.files[run[0]]), channel, run[0])
        for frame in run[1:]:
            strip.elements.append(plates.files[frame].name)
        strip.colorspace_settings.name = LIGHT if is_display(colour_space) else space_of(colour_space)
        if is_display(colour_space) and compat.SEQUENCER_BALANCES:
            _take_for_display(strip)
        added.append(strip)
    return added


def _take_for_display(strip: bpy.types.ImageStrip) -> None:
    """Undo the sRGB curve that the sequencer puts on what it takes for light, whatever colour space it is told.

    A colour balance does it to a quarter of an 8-bit step: IEC 61966-2-1 without its straight toe.
    Blender takes its offset from 1 on, and the power as a root.
    """
    balance = strip.modifiers.new("Display Values", "COLOR_BALANCE").color_balance
    balance.correction_method = "OFFSET_POWER_SLOPE"
    balance.slope, balance.offset, balance.power = (1 / 1.055,) * 3, (1 + 0.055 / 1.055,) * 3, (1 / 2.4,) * 3
