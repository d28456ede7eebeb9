# SPDX-License-Identifier: Apache-2.0
"""The triangles between MediaPipe's 468 face points, their mirror, and loops of a mesh.

The table `face_triangles.csv` lists the triangles that the edges of MediaPipe's `FACEMESH_TESSELATION` close
(Apache-2.0), the right half made the mirror of the left; the two eyes and the mouth are holes in it. Counter-clockwise
seen from outside.
"""

from collections import defaultdict
from importlib.resources import files

import numpy as np

POINTS = 468
MIDLINE_EDGE = (10, 151)
"""An edge on the symmetry plane (top of the forehead), from which the mirror is walked."""


def table(name: str, dtype: type) -> np.ndarray:
    """A comma-separated table that lies beside this file."""
    with files(__package__).joinpath(name).open(encoding="ascii") as lines:
        return np.loadtxt(lines, delimiter=",", dtype=dtype)


def face_triangles() -> np.ndarray:
    """[852, 3] int64 indices into the 468 points."""
    return table("face_triangles.csv", np.int64)


def mean_face() -> np.ndarray:
    """[468, 3] millimetres, x to the subject's left, y up, z out of the face: measured by `measure.py`."""
    return table("mean_face.csv", np.float64)


def directed_edges(triangles: np.ndarray) -> dict[tuple[int, int], int]:
    """For each directed edge (a, b) of a triangle (a, b, c): c."""
    edges = {}
    for a, b, c in triangles.tolist():
        edges[a, b], edges[b, c], edges[c, a] = c, a, b
    return edges


def mirror_pairs(triangles: np.ndarray, midline_edge: tuple[int, int] = MIDLINE_EDGE) -> np.ndarray:
    """For each vertex of a symmetric mesh its partner on the other side, walked from one edge of the midline.

    Returns [V] int64, its own inverse.  Raises ValueError where the mesh has no such symmetry.
    """
    edges = directed_edges(triangles)
    a, b = midline_edge
    partner = {a: a, b: b}
    waiting = [(a, b)]
    seen = set()
    while waiting:
        edge = waiting.pop()
        if edge in seen or edge not in edges:
            continue
        seen.add(edge)
        a, b = edge
        opposite = edges.get((partner[b], partner[a]))
        if opposite is None:
            raise ValueError(f"edge {edge} has no mirror")
        c = edges[edge]
        if partner.setdefault(c, opposite) != opposite:
            raise ValueError(f"vertex {c} has two mirrors")
        waiting += [(c, b), (a, c), (b, c), (c, a), (b, a)]
    count = int(triangles.max()) + 1
    pairs = np.array([partner[i] for i in range(count)])
    if not (pairs[pairs] == np.arange(count)).all():
        raise ValueError("the mirror is not its own inverse")
    return pairs


def boundary_loops(triangles: np.ndarray) -> list[list[int]]:
    """The mesh's boundary loops, each in the direction of its triangles' edges, longest first."""
    edges = directed_edges(triangles)
    after = {a: b for a, b in edges if (b, a) not in edges}
    loops = []
    while after:
        start = min(after)
        loop = [start]
        while (vertex := after.pop(loop[-1])) != start:
            loop.append(vertex)
        loops.append(loop)
    return sorted(loops, key=len, reverse=True)


def unique_edges(triangles: np.ndarray) -> np.ndarray:
    """[E, 2] int64, each undirected edge once, sorted."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return np.unique(np.sort(edges, axis=1), axis=0)


def neighbours(triangles: np.ndarray) -> dict[int, set[int]]:
    """Vertices that share an edge with each vertex."""
    around: dict[int, set[int]] = defaultdict(set)
    for a, b in unique_edges(triangles).tolist():
        around[a].add(b)
        around[b].add(a)
    return around
