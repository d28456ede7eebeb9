# SPDX-License-Identifier: GPL-3.0-or-later
"""The head's mesh: surface, UV, materials, weights and shape keys, all written in bulk."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from dubplate_shared.rig import Rig

from .armature import EXPRESSION_COUNT, HARD_LIMIT, deforming_bones, expression_name
from .controls import control_key

Array = npt.NDArray[Any]

CORRECTIVE_COUNT = 36  # nine entries of R - I for each of neck, jaw, eye.L, eye.R
_LEAST_WEIGHT = 1e-7  # below float32's resolution of a weight near one
# Viewport colours (linear RGBA) of the regions, later ones over earlier ones: neutral clay, so that light reads.
_SKIN = ("Skin", (0.55, 0.42, 0.36, 1.0))
_REGIONS = {
    "mouth": ("Mouth", (0.25, 0.06, 0.06, 1.0)),
    "lips": ("Lips", (0.45, 0.18, 0.17, 1.0)),
    "gums": ("Gums", (0.45, 0.12, 0.12, 1.0)),
    "teeth": ("Teeth", (0.80, 0.78, 0.70, 1.0)),
    "tongue": ("Tongue", (0.50, 0.15, 0.15, 1.0)),
    "eyes": ("Eyes", (0.75, 0.75, 0.75, 1.0)),
    "iris": ("Iris", (0.10, 0.14, 0.18, 1.0)),  # dark, so that the gaze is read from afar
    "pupil": ("Pupil", (0.01, 0.01, 0.01, 1.0)),
}


def corrective_name(index: int) -> str:
    """Name of the shape key of entry `index` of the 36 entries of R - I."""
    return f"corrective_{index:02d}"


def build_head_mesh(
    rig: Rig, name: str, armature: bpy.types.Object, collection: bpy.types.Collection
) -> bpy.types.Object:
    """Make the mesh object, parented to and deformed by `armature`; its drivers are drivers.py's."""
    head = bpy.data.objects.new(name, _build_surface(rig, name))
    collection.objects.link(head)
    head.parent = armature
    head.hide_select = True  # a click on the face selects the armature's controls, not the skin
    _add_weights(head, rig)
    _add_shape_keys(head, rig)
    modifier = head.modifiers.new("Head Armature", "ARMATURE")
    modifier.object = armature
    modifier.use_deform_preserve_volume = False  # dual quaternions are not linear blend skinning
    return head


def _build_surface(rig: Rig, name: str) -> bpy.types.Mesh:
    mesh = bpy.data.meshes.new(name)
    count = len(rig.faces)
    mesh.vertices.add(len(rig.vertices))
    mesh.vertices.foreach_set("co", _flat(rig.vertices))
    mesh.loops.add(3 * count)
    mesh.loops.foreach_set("vertex_index", np.ascontiguousarray(rig.faces, np.int32).ravel())
    mesh.polygons.add(count)
    mesh.polygons.foreach_set("loop_start", np.arange(0, 3 * count, 3, dtype=np.int32))
    mesh.polygons.foreach_set("use_smooth", np.ones(count, bool))
    mesh.update(calc_edges=True)
    uv = mesh.uv_layers.new(name="UVMap")
    uv.data.foreach_set("uv", _flat(rig.uv[rig.faces_uv.ravel()]))
    _add_materials(mesh, rig)
    return mesh


def _add_materials(mesh: bpy.types.Mesh, rig: Rig) -> None:
    slots = np.zeros(len(rig.faces), np.int32)
    mesh.materials.append(_material(*_SKIN))
    for mask, (label, colour) in _REGIONS.items():
        if mask in rig.masks:
            slots[rig.masks[mask][rig.faces].all(axis=1)] = len(mesh.materials)
            mesh.materials.append(_material(label, colour))
    mesh.polygons.foreach_set("material_index", slots)


def _material(label: str, colour: tuple[float, ...]) -> bpy.types.Material:
    name = f"Dubplate {label}"
    material = bpy.data.materials.get((name, None))  # this file's own, and not a library's
    if material is None:
        material = bpy.data.materials.new(name)
        material.diffuse_color = colour
    return material


def _add_weights(head: bpy.types.Object, rig: Rig) -> None:
    weights = np.asarray(rig.skin_weights, np.float64)
    for bone, column in zip(deforming_bones(rig), weights.T, strict=True):
        group = head.vertex_groups.new(name=bone)
        for value in np.unique(column[column > _LEAST_WEIGHT]):  # vertices of equal weight go in one call
            group.add(np.flatnonzero(column == value).tolist(), float(value), "REPLACE")


def _add_shape_keys(head: bpy.types.Object, rig: Rig) -> None:
    rest = np.asarray(rig.vertices, np.float64)
    head.shape_key_add(name="Basis", from_mix=False)
    for component in range(EXPRESSION_COUNT):
        _add_shape_key(head, expression_name(component), rest + rig.expression_basis[:, :, component])
    for index in range(CORRECTIVE_COUNT):
        _add_shape_key(head, corrective_name(index), rest + rig.pose_basis[:, :, index])
    for control, expression in zip(rig.control_names, np.asarray(rig.control_expression, np.float64), strict=True):
        _add_shape_key(head, control_key(control), rest + rig.expression_basis @ expression)


def _add_shape_key(head: bpy.types.Object, name: str, positions: Array) -> None:
    key = head.shape_key_add(name=name, from_mix=False)
    key.slider_min, key.slider_max = -HARD_LIMIT, HARD_LIMIT
    key.data.foreach_set("co", _flat(positions))


def _flat(array: Array) -> Array:
    return np.ascontiguousarray(array, np.float32).ravel()
