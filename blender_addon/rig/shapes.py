# SPDX-License-Identifier: GPL-3.0-or-later
"""What the armature's bones look like in the viewport: small meshes, shared by all heads of a file."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_ROUND = 24  # segments of a circle
_TICK = 0.12  # half the width of a mark, in lengths of the way
_TEXT_HEIGHT, _TEXT_BELOW = 0.0045, 0.006  # metres

Mesh = tuple[list[tuple[float, float, float]], list[tuple[int, int]], list[tuple[int, ...]]]


def knob() -> bpy.types.Object:
    """What is grabbed: an octahedron of radius 1, solid, so that it is hit from every side."""
    points = [(1, 0, 0), (0, 1, 0), (-1, 0, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)]
    ring = [(0, 1), (1, 2), (2, 3), (3, 0)]
    faces = [(a, b, 4) for a, b in ring] + [(b, a, 5) for a, b in ring]
    return _shape("knob", (points, [], faces))


def way(label: str = "", length: float = 1.0, turned: float = 0.0) -> bpy.types.Object:
    """What a handle slides on: Y from -1 to 1, a mark at either end and a longer one at rest.

    label: written below it, upright where the way is turned by `turned` radians about Z from upward.
    length: metres of the way from 0 to 1, which the text's size goes by.
    """
    points, edges = [(0.0, -1.0, 0.0), (0.0, 1.0, 0.0)], [(0, 1)]
    for y, width in ((-1.0, _TICK), (0.0, 2 * _TICK), (1.0, _TICK)):
        edges.append((len(points), len(points) + 1))
        points += [(-width, y, 0.0), (width, y, 0.0)]
    if label:
        written, strokes = _outline(label)
        cos, sin = np.cos(turned), np.sin(turned)
        places = (written * _TEXT_HEIGHT + [0.0, -_TEXT_BELOW]) @ [[cos, -sin], [sin, cos]] / length
        edges += [(a + len(points), b + len(points)) for a, b in strokes]
        points += [(x, y, 0.0) for x, y in places.tolist()]
    return _shape(f"way {label}".strip(), (points, edges, []))


def _outline(text: str) -> tuple[Array, list[tuple[int, int]]]:
    """The letters' outlines at size 1, centred.  Returns points (N, 2) and edges."""
    curve = bpy.data.curves.new("Dubplate text", "FONT")
    curve.body, curve.fill_mode, curve.align_x, curve.resolution_u = text, "NONE", "CENTER", 2
    letters = bpy.data.objects.new("Dubplate text", curve)
    mesh = letters.to_mesh()
    points = np.array([vertex.co[:2] for vertex in mesh.vertices])
    edges = [tuple(edge.vertices) for edge in mesh.edges]
    letters.to_mesh_clear()
    bpy.data.objects.remove(letters)
    bpy.data.curves.remove(curve)
    return points, edges


def ring() -> bpy.types.Object:
    """A circle of radius 1 that faces Z: the gaze."""
    angle = np.linspace(0, 2 * np.pi, _ROUND, endpoint=False)
    points = [(float(x), float(y), 0.0) for x, y in zip(np.cos(angle), np.sin(angle), strict=True)]
    edges = [(index, (index + 1) % _ROUND) for index in range(_ROUND)]
    return _shape("ring", (points, edges, []))


def chin() -> bpy.types.Object:
    """The lower half of a flattened circle that faces Z: the jaw."""
    angle = np.linspace(np.pi, 2 * np.pi, _ROUND)
    points = [(float(x), 0.5 * float(y), 0.0) for x, y in zip(np.cos(angle), np.sin(angle), strict=True)]
    edges = [(index, index + 1) for index in range(_ROUND - 1)]
    return _shape("chin", (points, edges, []))


def _shape(name: str, mesh: Mesh) -> bpy.types.Object:
    """The shape's object, in no scene: bones alone use it."""
    name = f"Dubplate {name}"
    found = bpy.data.objects.get((name, None))  # this file's own, and not a library's
    if found is None:
        data = bpy.data.meshes.new(name)
        data.from_pydata(*mesh)
        found = bpy.data.objects.new(name, data)
    return found
