# SPDX-License-Identifier: Apache-2.0
"""One head laid over another of other topology: similarity, then a smooth deformation onto the closest points.

Both heads look along +Z with Y up, as FLAME's canonical pose does, so a few joints are start enough.
Sources: Umeyama 1991 (similarity); Amberg et al. 2007, Optimal Step Nonrigid ICP (stiffness let go in steps);
Ericson 2005, Real-Time Collision Detection, 5.1.5 (closest point of a triangle).
"""

from dataclasses import dataclass

import numpy as np
from numpy import ndarray
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

_RIGID_ROUNDS = 8
_TRIM = 0.8
"""Share of the closest pairs that a rigid round believes: hair caps, necks and ears of two heads end differently."""

_STIFFNESSES = (100.0, 40.0, 15.0, 6.0, 2.5, 1.0)
"""Weight of smoothness against closeness, let go in steps."""

_LEAST_REACH_M = 0.005
"""However well most of a surface fits already, a part that is this far off is still believed and drawn in."""

_MIN_NORMAL_COSINE = 0.5
"""Surfaces that face further apart than 60 degrees are not each other's: lids and eyeball, the two lips."""

_JAW_METRES = 0.03
"""What a whole difference in the jaw's skin weight counts as: the two lips touch, and only this tells them apart."""

_CANDIDATES = 14
"""Triangles looked at for each point, nearest centroids first."""

_ANCHOR_WEIGHT = 20.0
"""Of a point whose partner is known, against one whose partner is guessed as the closest."""


@dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation @ x + translation."""

    scale: float
    rotation: ndarray  # [3, 3]
    translation: ndarray  # [3]

    def apply(self, points: ndarray) -> ndarray:
        """points: [..., 3].   Returns [..., 3]."""
        return self.scale * points @ self.rotation.T + self.translation

    def apply_directions(self, vectors: ndarray) -> ndarray:
        """Displacements [..., 3]: scaled and turned, not moved."""
        return self.scale * vectors @ self.rotation.T


@dataclass(frozen=True)
class SurfacePoints:
    """Points on the triangles of a mesh."""

    faces: ndarray  # [N] int64
    barycentrics: ndarray  # [N, 3]
    distances: ndarray  # [N] metres, from the points asked about

    def read(self, faces: ndarray, values: ndarray) -> ndarray:
        """Values of the mesh's vertices, interpolated.   faces: [F, 3], values: [V, ...].   Returns [N, ...]."""
        corners = values[faces[self.faces]]  # [N, 3, ...]
        return np.einsum("nk,nk...->n...", self.barycentrics, corners)


@dataclass(frozen=True)
class Surface:
    """A triangle mesh with what closest-point searches need."""

    vertices: ndarray  # [V, 3] metres
    faces: ndarray  # [F, 3] int64
    jaw: ndarray  # [V] 0..1, the jaw's skin weight

    def part(self, faces: ndarray) -> "Surface":
        """Some of the faces: bool [F] or their ids."""
        return Surface(self.vertices, self.faces[faces], self.jaw)

    def moved(self, vertices: ndarray) -> "Surface":
        """The same mesh with its vertices elsewhere."""
        return Surface(vertices, self.faces, self.jaw)

    def face_normals(self) -> ndarray:
        """[F, 3], unit; zero for faces without area."""
        a, b, c = self.vertices[self.faces].transpose(1, 0, 2)
        return _unit(np.cross(b - a, c - a))

    def vertex_normals(self) -> ndarray:
        """[V, 3], unit, area-weighted."""
        a, b, c = self.vertices[self.faces].transpose(1, 0, 2)
        weighted = np.cross(b - a, c - a)
        sums = np.zeros_like(self.vertices)
        for corner in range(3):
            np.add.at(sums, self.faces[:, corner], weighted)
        return _unit(sums)

    def closest(self, points: ndarray, jaw: ndarray, normals: ndarray | None = None) -> SurfacePoints:
        """The surface's point that belongs to each of `points` [N, 3]: close, and moved by the jaw as much.

        jaw: [N] the points' own share.   normals: [N, 3]; triangles that face elsewhere are then passed over, unless
        all near ones do.
        """
        corners = self.vertices[self.faces]  # [F, 3, 3]
        count = min(_CANDIDATES, len(self.faces))
        _, near = cKDTree(corners.mean(1)).query(points, k=count)
        near = near.reshape(len(points), count)  # [N, K]
        barycentrics, distances = _closest_on_triangles(points[:, None], corners[near])
        share = np.einsum("nkj,nkj->nk", barycentrics, self.jaw[self.faces[near]])
        cost = distances + _JAW_METRES * np.abs(share - jaw[:, None])
        if normals is not None:
            cosine = np.einsum("nc,nkc->nk", normals, self.face_normals()[near])
            cost = np.where(cosine >= _MIN_NORMAL_COSINE, cost, cost + 1.0)  # a metre: after all others
        best = cost.argmin(1)
        rows = np.arange(len(points))
        return SurfacePoints(near[rows, best], barycentrics[rows, best], distances[rows, best])


def fit_similarity(source: ndarray, target: ndarray) -> Similarity:
    """The similarity that takes `source` [N, 3] to `target` [N, 3] with the least squared error.  Umeyama 1991."""
    source_mean, target_mean = source.mean(0), target.mean(0)
    left, stretch, right = np.linalg.svd((target - target_mean).T @ (source - source_mean))
    mirror = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * mirror) @ right
    scale = float((stretch * mirror).sum() / np.square(source - source_mean).sum())
    return Similarity(scale, rotation, target_mean - scale * rotation @ source_mean)


def align(source: Surface, used: ndarray, target: Surface, start: Similarity) -> Similarity:
    """Iterated closest points from `start`, on the vertices `used` [V] bool of the source."""
    similarity = start
    points, normals, jaw = source.vertices[used], source.vertex_normals()[used], source.jaw[used]
    for _ in range(_RIGID_ROUNDS):
        found = target.closest(similarity.apply(points), jaw, normals @ similarity.rotation.T)
        kept = found.distances <= np.quantile(found.distances, _TRIM)
        partners = found.read(target.faces, target.vertices)
        similarity = fit_similarity(points[kept], partners[kept])
    return similarity


def deform(source: Surface, used: ndarray, target: Surface, anchors: tuple[ndarray, ndarray] | None = None) -> ndarray:
    """Lay an aligned source smoothly onto the target.   Returns its vertices [V, 3].

    used: [V] bool, the vertices that seek the target; the others follow their neighbours.
    anchors: vertex ids [N] of the source and where they belong [N, 3], where that is known.
    """
    springs = _springs(source)
    vertices = source.vertices
    for stiffness in _STIFFNESSES:
        normals = source.moved(vertices).vertex_normals()[used]
        found = target.closest(vertices[used], source.jaw[used], normals)
        partners = found.read(target.faces, target.vertices)
        facing = np.einsum("nc,nc->n", normals, target.face_normals()[found.faces])
        reach = max(3.0 * np.median(found.distances), _LEAST_REACH_M)
        weight = np.zeros(len(vertices))
        weight[used] = (facing >= _MIN_NORMAL_COSINE) * np.exp(-np.square(found.distances / reach))
        goal = np.zeros_like(vertices)
        goal[used] = partners - source.vertices[used]
        if anchors is not None:
            weight[anchors[0]] = _ANCHOR_WEIGHT
            goal[anchors[0]] = anchors[1] - source.vertices[anchors[0]]
        # A trace of zero displacement keeps parts that nothing pulls, such as loose teeth, where they are.
        system = sparse.diags(weight + 1e-6) + stiffness * springs
        vertices = source.vertices + splu(system.tocsc()).solve(weight[:, None] * goal)
    return vertices


def components(faces: ndarray, vertex_count: int) -> ndarray:
    """[V] int: which connected part each vertex belongs to, the largest first."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = sparse.coo_matrix((np.ones(len(edges)), edges.T), shape=(vertex_count, vertex_count))
    _, labels = sparse.csgraph.connected_components(graph, directed=False)
    order = np.argsort(-np.bincount(labels), kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[labels]


def _springs(surface: Surface) -> sparse.csc_matrix:
    """The graph Laplacian over edges, each weighing by closeness: [V, V]."""
    faces = surface.faces
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    lengths = np.linalg.norm(surface.vertices[edges[:, 0]] - surface.vertices[edges[:, 1]], axis=1)
    strength = np.median(lengths) / np.maximum(lengths, 0.1 * np.median(lengths))
    count = len(surface.vertices)
    links = sparse.coo_matrix((strength, edges.T), shape=(count, count)).tocsr()
    links = links + links.T
    return (sparse.diags(np.asarray(links.sum(1)).ravel()) - links).tocsc()


def _closest_on_triangles(points: ndarray, corners: ndarray) -> tuple[ndarray, ndarray]:
    """points: [N, 1, 3], corners: [N, K, 3, 3].   Returns barycentrics [N, K, 3] and distances [N, K].

    The foot of the perpendicular where it lies inside, otherwise the closest point of the three edges.
    """
    a, b, c = corners[:, :, 0], corners[:, :, 1], corners[:, :, 2]
    normal = np.cross(b - a, c - a)
    squared = np.maximum(np.square(normal).sum(-1), 1e-30)
    inner = np.stack(
        [
            (np.cross(c - b, points - b) * normal).sum(-1) / squared,
            (np.cross(a - c, points - c) * normal).sum(-1) / squared,
            (np.cross(b - a, points - a) * normal).sum(-1) / squared,
        ],
        axis=-1,
    )  # [N, K, 3]
    best = inner
    best_distance = np.where((inner >= 0).all(-1), _distance(points, corners, inner), np.inf)
    for first in range(3):
        second = (first + 1) % 3
        start, along = corners[:, :, first], corners[:, :, second] - corners[:, :, first]
        share = ((points - start) * along).sum(-1) / np.maximum(np.square(along).sum(-1), 1e-30)
        share = np.clip(share, 0.0, 1.0)
        edge = np.zeros_like(inner)
        edge[..., first], edge[..., second] = 1.0 - share, share
        distance = _distance(points, corners, edge)
        nearer = distance < best_distance
        best = np.where(nearer[..., None], edge, best)
        best_distance = np.where(nearer, distance, best_distance)
    return best, best_distance


def _distance(points: ndarray, corners: ndarray, barycentrics: ndarray) -> ndarray:
    return np.linalg.norm(np.einsum("nkj,nkjc->nkc", barycentrics, corners) - points, axis=-1)


def _unit(vectors: ndarray) -> ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-30)
