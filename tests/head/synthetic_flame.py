# SPDX-License-Identifier: Apache-2.0
"""A head with exactly FLAME's counts, whose every vertex is known to be one of the stand-in's: ground truth.

The stand-in's skin and eyeballs, without its mouth interior, thinned by edge collapses to 5023 vertices and 9976
faces, given another identity, scaled, turned and moved.
"""

import heapq
from dataclasses import dataclass

import numpy as np

from dubplate_backend.head.flame_files import FACES, VERTICES
from dubplate_backend.head.model import HeadModel


@dataclass(frozen=True)
class SyntheticFlame:
    arrays: dict[str, np.ndarray]  # by FLAME's own names
    origin: np.ndarray  # [5023] the stand-in's vertex that each one is
    truth: np.ndarray  # [Vs, 3] where each of the stand-in's vertices lies on this head


def synthetic_flame(standin: HeadModel, seed: int = 0) -> SyntheticFlame:
    random = np.random.default_rng(seed)
    faces = standin.faces.numpy()
    kept = ~standin.masks["mouth"].numpy()[faces].any(1)
    template = standin.template.double().numpy()
    skin_faces, origin = _thinned(template, faces[kept])

    identity = np.zeros(300)
    identity[:12] = random.normal(0, 0.8, 12)
    angle = np.radians(3.0)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    scale, shift = 1.05, np.array([0.001, -0.03, -0.02])
    shape = standin.shape_basis.double().numpy()

    def placed(points: np.ndarray) -> np.ndarray:
        return scale * points @ turn.T + shift

    def turned(basis: np.ndarray) -> np.ndarray:
        return scale * np.einsum("ij,vjc->vic", turn, basis)

    truth = placed(template + shape @ identity)
    joints = standin.joint_regressor.double().numpy() @ (template + shape @ identity)
    vertices = truth[origin]
    rows = {
        name: getattr(standin, name).double().numpy()[origin]
        for name in ("shape_basis", "expression_basis", "pose_basis")
    }
    weights = standin.skin_weights.double().numpy()[origin]
    arrays = {
        "v_template": vertices,
        "f": skin_faces.astype(np.uint32),
        "shapedirs": np.concatenate([turned(rows["shape_basis"]), turned(rows["expression_basis"])], axis=-1),
        "posedirs": turned(rows["pose_basis"]),
        "J_regressor": np.stack([_regressor_row(vertices, placed(joint[None])[0]) for joint in joints]),
        "J": placed(joints),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": np.array([[0xFFFFFFFF, 0, 1, 1, 1], [0, 1, 2, 3, 4]], dtype=np.uint32),
        "bs_type": "lrotmin",
        "bs_style": "lbs",
    }
    return SyntheticFlame(arrays, origin, truth)


def _regressor_row(vertices: np.ndarray, joint: np.ndarray, count: int = 40) -> np.ndarray:
    """Weights on the nearest vertices that give exactly `joint` and sum to 1."""
    near = np.argsort(np.linalg.norm(vertices - joint, axis=1))[:count]
    system = np.concatenate([vertices[near].T, np.ones((1, count))])
    row = np.zeros(len(vertices))
    row[near] = np.linalg.lstsq(system, np.append(joint, 1.0), rcond=None)[0]
    return row


def _thinned(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shortest edges collapsed until the counts are FLAME's.   Returns faces [9976, 3] and origins [5023].

    Inside, a collapse takes one vertex and two faces; on a border, one and one.
    """
    around: dict[int, set[int]] = {}
    for row, face in enumerate(faces):
        for vertex in face:
            around.setdefault(int(vertex), set()).add(row)
    faces = faces.copy()
    alive = np.ones(len(faces), dtype=bool)

    def edge_faces(a: int, b: int) -> set[int]:
        return around[a] & around[b]

    def neighbours(vertex: int) -> set[int]:
        return {int(v) for row in around[vertex] for v in faces[row]} - {vertex}

    def on_border(vertex: int) -> bool:
        return any(len(edge_faces(vertex, other)) == 1 for other in neighbours(vertex))

    def collapse(gone: int, kept: int) -> bool:
        shared = edge_faces(gone, kept)
        if len(neighbours(gone) & neighbours(kept)) != len(shared) or len(around[gone]) < 3:
            return False
        for row in around[gone] - shared:
            corners = [kept if v == gone else int(v) for v in faces[row]]
            before, after = (np.cross(p[1] - p[0], p[2] - p[0]) for p in (points[faces[row]], points[corners]))
            if before @ after <= 0.2 * np.linalg.norm(before) * np.linalg.norm(after):
                return False
        for row in shared:
            alive[row] = False
            for vertex in faces[row]:
                around[int(vertex)].discard(row)
        for row in around[gone]:
            faces[row] = [kept if v == gone else v for v in faces[row]]
            around[kept].add(row)
        del around[gone]
        return True

    def run(wanted: bool, done) -> None:
        heap = [(float(np.linalg.norm(points[a] - points[b])), a, b) for a in around for b in neighbours(a)]
        heapq.heapify(heap)
        while not done():
            _, gone, kept = heapq.heappop(heap)
            if gone not in around or kept not in around or not edge_faces(gone, kept):
                continue
            border_edge = len(edge_faces(gone, kept)) == 1
            if border_edge != wanted or (not wanted and on_border(gone)):
                continue
            if collapse(gone, kept):
                for other in neighbours(kept):
                    heapq.heappush(heap, (float(np.linalg.norm(points[kept] - points[other])), other, kept))

    run(True, lambda: 2 * len(around) - int(alive.sum()) <= 2 * VERTICES - FACES)
    run(False, lambda: len(around) <= VERTICES)
    origin = np.array(sorted(around))
    assert len(origin) == VERTICES, len(origin)
    assert alive.sum() == FACES, alive.sum()
    return np.searchsorted(origin, faces[alive]), origin
