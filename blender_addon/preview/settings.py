# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist looks at. Not saved, as window_manager.dubplate_preview: no file starts a backend by being opened."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, PointerProperty

from . import director

_MODES = (
    ("OFF", "Off", "No preview; the backend is left in peace", "HIDE_ON", 0),
    ("DUBBED", "Dubbed", "The face as the backend draws it, over the plate", "HIDE_OFF", 1),
    ("WIPE", "Wipe", "What was filmed left of a line, the dub right of it", "SPLIT_VERTICAL", 2),
    ("SIDE", "Side by Side", "What was filmed, and beside it the dub", "MOD_MIRROR", 3),
    ("DIFFERENCE", "Difference x8", "What the dub changes, eight times as bright", "SELECT_DIFFERENCE", 4),
)
_PLACES = (
    ("OVERLAY", "Overlay", "Drawn over the camera view", 0),
    ("BACKGROUND", "Camera Background", "An image behind the head, which a viewport render shows too", 1),
)


def _changed(_settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    director.settings_changed(context)


class DubplatePreview(bpy.types.PropertyGroup):
    """How the preview is shown."""

    mode: EnumProperty(name="Preview", description="What the camera view shows", items=_MODES, update=_changed)
    wipe: FloatProperty(
        name="Wipe",
        description="Where the line stands, from the left to the right of the face",
        default=0.5, min=0.0, max=1.0, subtype="FACTOR", update=_changed,
    )  # fmt: skip
    filmed: BoolProperty(
        name="Show Filmed", description="A/B: hide the dub and see what was filmed", default=False, update=_changed
    )
    place: EnumProperty(name="Shown As", description="Where the preview appears", items=_PLACES, update=_changed)
    whole: BoolProperty(
        name="Whole Plate",
        description="Finish the whole plate when all is still, and not only what is around the face",
        default=False,
        update=_changed,
    )
    ahead: BoolProperty(
        name="Draw Ahead",
        description="While all is still, draw the other frames of the range, so that they play in real time",
        default=False,
        update=_changed,
    )
    hides_head: BoolProperty(
        name="Hide Head Mesh",
        description="Hide the head's mesh while the dub is shown, to see a camera background behind the handles",
        default=False,
        update=_changed,
    )


def register() -> None:
    """Hang the settings on the window manager."""
    bpy.utils.register_class(DubplatePreview)
    bpy.types.WindowManager.dubplate_preview = PointerProperty(type=DubplatePreview)


def unregister() -> None:
    """Undo register."""
    del bpy.types.WindowManager.dubplate_preview
    bpy.utils.unregister_class(DubplatePreview)
