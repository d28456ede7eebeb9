# SPDX-License-Identifier: Apache-2.0
"""The UV atlas: every surface laid flat without overlaps, the skin in one piece with room for the mouth.

The skin is laid out as a net of springs between fixed borders (Tutte 1963; Floater 1997: any positive weights give a
layout without fold-overs). The springs are tuned, round by round, until lengths in the picture follow lengths on the
head times the room wanted there.
"""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

from dubplate_backend.head.standin.surface import Indices, Points
from dubplate_backend.head.standin.topology import unique_edges

ROUNDS = 24
RATE = 0.35
ROUNDING = 8
"""Exponent of the superellipse on which the skin's border lies: near a square, which wastes little of the atlas."""

# Where everything lies: (u0, v0, u1, v1).
SKIN_BOX = (0.005, 0.205, 0.795, 0.995)
LEFT_EYE_BOX = (0.81, 0.81, 0.99, 0.99)
RIGHT_EYE_BOX = (0.81, 0.62, 0.99, 0.80)
TONGUE_BOX = (0.81, 0.46, 0.99, 0.61)
LEFT_EAR_BOX = (0.81, 0.335, 0.99, 0.45)
RIGHT_EAR_BOX = (0.81, 0.21, 0.99, 0.325)
UPPER_TEETH_BOX = (0.01, 0.125, 0.70, 0.195)
LOWER_TEETH_BOX = (0.01, 0.015, 0.70, 0.085)
UPPER_GUM_BOX = (0.71, 0.11, 0.99, 0.195)
LOWER_GUM_BOX = (0.71, 0.015, 0.99, 0.10)


def spring_layout(points: Points, triangles: Indices, fixed: Indices, places: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Positions in the plane of a disc-like surface whose border is fixed on a convex curve.

    fixed: [B] vertices, places: [B, 2] where they lie.   room: [V] > 0, wanted magnification.   Returns [V, 2].
    """
    edges = unique_edges(triangles)
    wanted = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1) * room[edges].mean(1)
    wanted = np.maximum(wanted, 0.02 * np.median(wanted))
    strength = np.ones(len(edges))
    flat = np.zeros((len(points), 2))
    flat[fixed] = places
    free = np.setdiff1d(np.arange(len(points)), fixed)
    for _ in range(ROUNDS):
        links = sparse.coo_matrix((strength, edges.T), shape=(len(points),) * 2).tocsr()
        links = links + links.T
        system = (sparse.diags(np.asarray(links.sum(1)).ravel()) - links).tocsr()
        flat[free] = spsolve(system[free][:, free].tocsc(), -system[free][:, fixed] @ places)
        length = np.linalg.norm(flat[edges[:, 0]] - flat[edges[:, 1]], axis=1)
        ratio = np.maximum(length, 1e-7) / wanted
        strength = np.clip(strength * (ratio / np.median(ratio)) ** (2 * RATE), 1e-3, 1e3)
    return flat


def square_border(count: int) -> np.ndarray:
    """`count` places counter-clockwise round the unit square, rounded to stay convex, from the middle of the top."""
    angle = np.pi / 2 + 2 * np.pi * np.arange(count) / count
    flat = np.stack([np.cos(angle), np.sin(angle)], 1)
    return 0.5 + 0.5 * flat / ((np.abs(flat) ** ROUNDING).sum(1) ** (1 / ROUNDING))[:, None]
