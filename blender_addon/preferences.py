# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to the person and the machine, not to the scene."""

import bpy
from bpy.props import IntProperty, StringProperty

_MEMORY_MB = 1024


class DubplatePreferences(bpy.types.AddonPreferences):
    """Shown under Preferences > Add-ons > Dubplate."""

    bl_idname = __package__

    python: StringProperty(
        name="Backend Python",
        description="The Python of the environment that holds Dubplate's backend, such as .venv/bin/python",
        subtype="FILE_PATH",
    )
    head: StringProperty(
        name="Head Model",
        description="Your FLAME file, if shots were tracked with it; empty for Dubplate's own head",
        subtype="FILE_PATH",
    )
    actor_folder: StringProperty(
        name="Actors",
        description="The folder that holds your actors (NAME.dubactor)",
        subtype="DIR_PATH",
    )
    output: StringProperty(
        name="Output",
        description="Where plates are written where the scene names no folder",
        subtype="DIR_PATH",
    )

    key: StringProperty(
        name="Key",
        description="Your NAME.key (dubplate keys make NAME), for backends that are reached over a network",
        subtype="FILE_PATH",
    )

    memory: IntProperty(
        name="Preview Memory",
        description="Megabytes of drawn previews that are kept for each head",
        default=_MEMORY_MB,
        min=64,
        soft_max=16384,
    )

    def draw(self, _context: bpy.types.Context) -> None:
        column = self.layout.column()
        column.use_property_split = True
        for name in ("python", "head", "actor_folder", "output", "key", "memory"):
            column.prop(self, name)


def preference(context: bpy.types.Context, name: str) -> str:
    """A preference as text; empty where the add-on runs without being enabled as one."""
    addon = context.preferences.addons.get(__package__)
    return str(getattr(addon.preferences, name)) if addon and addon.preferences else ""


def memory_limit(context: bpy.types.Context) -> int:
    """Bytes of previews that may be kept for each head."""
    addon = context.preferences.addons.get(__package__)
    return (addon.preferences.memory if addon and addon.preferences else _MEMORY_MB) * 1024 * 1024
