# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender registers of the previews."""

from __future__ import annotations

import bpy

from . import director, operators, panel, settings

_CLASSES = (*operators.CLASSES, *panel.CLASSES)


def register() -> None:
    """After the Dubplate tab, beneath which its panel stands."""
    settings.register()
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    operators.register_keys()


def unregister() -> None:
    """Undo register, and stop what runs."""
    director.stop(bpy.context)
    operators.unregister_keys()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
    settings.unregister()
