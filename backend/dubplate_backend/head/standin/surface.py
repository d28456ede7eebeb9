# SPDX-License-Identifier: Apache-2.0
"""Triangle surfaces while they are built: joining, splitting edges, and positions of least bending."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import spsolve

from dubplate_backend.head.standin.topology import unique_edges

Points = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Surface:
    """points [V, 3] millimetres, triangles [F, 3] counter-clockwise from outside, labels: name -> [V] bool,
    uv [VT, 2] and uv_triangles [F, 3]: the surface laid flat.
    """

    points: Points
    triangles: Indices
    uv: NDArray[np.float64]
    uv_triangles: Indices
    labels: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def labelled(self, *names: str) -> "Surface":
        """The same surface with every vertex carrying these labels."""
        everywhere = np.ones(len(self.points), bool)
        return replace(self, labels=self.labels | dict.fromkeys(names, everywhere))

    def mirrored(self) -> "Surface":
        """Its reflection in the plane x = 0."""
        swap = [0, 2, 1]
        return replace(
            self,
            points=self.points * [-1, 1, 1],
            triangles=self.triangles[:, swap],
            uv=self.uv * [-1, 1] + [1, 0],
            uv_triangles=self.uv_triangles[:, swap],
        )

    def in_box(self, u0: float, v0: float, u1: float, v1: float) -> "Surface":
        """Its flat picture, which fills the unit square, moved to a box of the atlas."""
        return replace(self, uv=np.array([u0, v0]) + self.uv * [u1 - u0, v1 - v0])


def join(surfaces: Sequence[Surface]) -> Surface:
    """All surfaces as one, vertices in order; a label that a surface lacks is False there."""
    starts = np.cumsum([0, *(len(surface.points) for surface in surfaces)])
    flat_starts = np.cumsum([0, *(len(surface.uv) for surface in surfaces)])
    names = sorted({name for surface in surfaces for name in surface.labels})
    return Surface(
        points=np.concatenate([s.points for s in surfaces]),
        triangles=np.concatenate([s.triangles + start for s, start in zip(surfaces, starts, strict=False)]),
        uv=np.concatenate([s.uv for s in surfaces]),
        uv_triangles=np.concatenate([s.uv_triangles + start for s, start in zip(surfaces, flat_starts, strict=False)]),
        labels={
            name: np.concatenate([s.labels.get(name, np.zeros(len(s.points), bool)) for s in surfaces])
            for name in names
        },
    )


def band_triangles(rows: Indices, lean: NDArray[np.bool_], closed: bool = True) -> Indices:
    """Triangles between rows of vertices.   rows: [R, N] vertex indices.   lean: [N] which diagonal each column takes.

    The first row follows the edges of the surface that the band extends; `closed` joins the last column to the first.
    """
    following = np.roll(rows, -1, 1)
    a, b, c, d = rows[:-1], following[:-1], rows[1:], following[1:]
    one = np.stack([np.stack([a, d, b], -1), np.stack([a, c, d], -1)], 2)  # [R - 1, N, 2, 3]
    other = np.stack([np.stack([a, c, b], -1), np.stack([b, c, d], -1)], 2)
    triangles = np.where(lean[:, None, None], one, other)
    return (triangles if closed else triangles[:, :-1]).reshape(-1, 3)


def fan_triangles(ring: Indices, tip: int) -> Indices:
    """Triangles from a closed ring to one vertex, on the side that `band_triangles` continues to."""
    return np.stack([np.roll(ring, -1), ring, np.full(len(ring), tip)], 1)


def ball(rings: Points, tips: Points) -> Surface:
    """A closed surface from rings [R, N, 3] between two tips [2, 3]; rings run counter-clockwise seen from the first.

    Laid flat as a cylinder, one column repeated at the seam; each triangle at a tip ends in a point of its own.
    """
    count, around = rings.shape[:2]
    lean = np.arange(around) < around // 2
    first, last = np.arange(around), (count - 1) * around + np.arange(around)
    triangles = [band_triangles(np.arange(count * around).reshape(count, around), lean)]
    triangles += [fan_triangles(last, count * around), fan_triangles(first, count * around + 1)[:, [1, 0, 2]]]
    points = np.concatenate([rings.reshape(-1, 3), tips[::-1]])

    across, down = np.meshgrid(np.arange(around + 1) / around, 1 - (np.arange(count) + 1) / (count + 1))
    centres = (np.arange(around) + 0.5) / around
    below, above = np.stack([centres, 0 * centres], 1), np.stack([centres, 0 * centres + 1], 1)
    uv = np.concatenate([np.stack([across.ravel(), down.ravel()], 1), below, above])
    flat = np.arange(count * (around + 1)).reshape(count, around + 1)
    uv_triangles = [band_triangles(flat, np.append(lean, False), closed=False)]
    tip = flat.size + np.arange(around)
    uv_triangles.append(np.stack([flat[-1, 1:], flat[-1, :-1], tip], 1))
    uv_triangles.append(np.stack([flat[0, :-1], flat[0, 1:], tip + around], 1))
    return Surface(points, np.concatenate(triangles), uv, np.concatenate(uv_triangles))


def split_edges(triangles: Indices, vertex_count: int, wanted: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Split edges in the middle. `wanted` [V] bool: edges between two such vertices are split.

    A triangle with two split edges has its third split too, so that only symmetric patterns (one into two, one into
    four) occur.  Returns the triangles and [N, 2] the ends of each new vertex's edge; vertex `vertex_count + n` is new.
    """
    edges = unique_edges(triangles)
    split = {tuple(edge) for edge in edges[wanted[edges].all(1)].tolist()}
    sides = [[tuple(sorted((t[k], t[(k + 1) % 3]))) for k in range(3)] for t in triangles.tolist()]
    growing = True
    while growing:
        growing = False
        for side in sides:
            if sum(edge in split for edge in side) == 2:
                split.update(side)
                growing = True
    ends = sorted(split)
    middle = {edge: vertex_count + n for n, edge in enumerate(ends)}
    result = []
    for corners, side in zip(triangles.tolist(), sides, strict=True):
        cut = [middle.get(edge) for edge in side]
        if None not in cut:
            (a, b, c), (ab, bc, ca) = corners, cut
            result += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        elif any(cut):
            k = next(k for k in range(3) if cut[k])
            a, b, c = (corners[(k + i) % 3] for i in range(3))
            result += [(a, cut[k], c), (cut[k], b, c)]
        else:
            result.append(tuple(corners))
    return np.array(result), np.array(ends).reshape(-1, 2)


def umbrella(triangles: Indices, vertex_count: int) -> sparse.csr_matrix:
    """Each vertex less the mean of its neighbours; on a boundary, of its neighbours along the boundary. [V, V]."""
    directed = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    links = sparse.coo_matrix((np.ones(len(directed)), directed.T), shape=(vertex_count, vertex_count)).tocsr()
    both = links + links.T
    border = both.multiply(both == 1).tocsr()  # an edge of one triangle only
    on_border = np.asarray(border.sum(1)).ravel() > 0
    inside = sparse.diags((~on_border).astype(float))
    weights = inside @ (both > 0).astype(float) + border
    degree = np.asarray(weights.sum(1)).ravel()
    return (sparse.identity(vertex_count) - sparse.diags(1 / np.maximum(degree, 1)) @ weights).tocsr()


def least_bending(triangles: Indices, values: NDArray[np.float64], hold: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of least squared umbrella-Laplacian that stay near given ones.

    values: [V, C].   hold: [V] weight of staying at the value, infinity = exactly.   Returns [V, C].
    """
    laplacian = umbrella(triangles, len(values))
    fixed = np.isinf(hold)
    free = ~fixed
    soft = np.where(fixed, 0, hold)
    system = (laplacian.T @ laplacian + sparse.diags(soft)).tocsr()
    right = soft[:, None] * values - system[:, fixed] @ values[fixed]
    result = values.copy()
    solved = spsolve(system[free][:, free].tocsc(), right[free])
    result[free] = solved.reshape(-1, values.shape[1])
    return result


def vertex_normals(points: Points, triangles: Indices) -> Points:
    """Unit normals, area-weighted.  [V, 3]."""
    corners = points[triangles]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(points)
    for k in range(3):
        np.add.at(normals, triangles[:, k], area)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
