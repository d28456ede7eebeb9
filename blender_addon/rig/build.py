# SPDX-License-Identifier: GPL-3.0-or-later
"""The head in Blender: armature, mesh and drivers, together exactly dubplate_shared's Rig.pose."""

from __future__ import annotations

import bpy

from dubplate_shared.rig import Rig

from .armature import build_armature
from .drivers import add_drivers
from .head_mesh import build_head_mesh


def build_rig(rig: Rig, name: str, collection: bpy.types.Collection) -> bpy.types.Object:
    """Make the head at rest, in head space.  Returns the armature; the mesh is its child."""
    armature = build_armature(rig, name, collection)
    head = build_head_mesh(rig, f"{name}_mesh", armature, collection)
    add_drivers(armature, head, rig)
    return armature


def head_mesh_of(armature: bpy.types.Object) -> bpy.types.Object | None:
    """The mesh that build_rig made for `armature`, if it is still there."""
    meshes = (child for child in armature.children if child.type == "MESH" and child.data.shape_keys)
    return next(meshes, None)
