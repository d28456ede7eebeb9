# SPDX-License-Identifier: Apache-2.0
"""Semantic controls: what an artist moves, whatever head model is loaded.

Expression components of a head model have no meaning to a person. A control is a direction in expression + jaw space,
solved from landmark goals on the head in use; here stand only the names and how they are shown.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Control:
    """One control. Value 0 is rest, 1 is its full pose, and below 0 it takes away from what lies beneath.

    Soft limits are the slider's, hard limits lie far beyond.
    """

    name: str
    label: str
    group: str
    description: str
    soft_min: float = -1.0
    soft_max: float = 1.0


CONTROLS: tuple[Control, ...] = (
    Control("jaw_open", "Jaw Open", "Jaw", "Lower the jaw; 1 is 20 degrees"),
    Control("lips_close", "Lips Close", "Lips", "Bring the lips together whatever the jaw does"),
    Control("pucker", "Pucker", "Lips", "Narrow and push the lips forward, as in 'oo'"),
    Control("funnel", "Funnel", "Lips", "Round and part the lips, as in 'oh'"),
    Control("wide", "Wide", "Lips", "Stretch the mouth corners apart, as in 'ee'"),
    Control("smile_L", "Smile L", "Lips", "Raise and widen the left mouth corner"),
    Control("smile_R", "Smile R", "Lips", "Raise and widen the right mouth corner"),
    Control("sneer_L", "Sneer L", "Lips", "Raise the left wing of the nose and upper lip"),
    Control("sneer_R", "Sneer R", "Lips", "Raise the right wing of the nose and upper lip"),
    Control("upper_lip_raise", "Upper Lip Raise", "Lips", "Raise the upper lip, showing the teeth"),
    Control("lower_lip_drop", "Lower Lip Drop", "Lips", "Lower the lower lip, showing the teeth"),
    Control("press", "Press", "Lips", "Press the lips together and thin them, as before 'p'"),
    Control("blink_L", "Blink L", "Eyes", "Close the left eye"),
    Control("blink_R", "Blink R", "Eyes", "Close the right eye"),
    Control("brow_raise_L", "Brow Raise L", "Brows", "Raise the left brow"),
    Control("brow_raise_R", "Brow Raise R", "Brows", "Raise the right brow"),
)

CONTROL_NAMES: tuple[str, ...] = tuple(control.name for control in CONTROLS)
