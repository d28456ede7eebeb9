# SPDX-License-Identifier: Apache-2.0
"""The UV atlas: every surface laid flat without overlaps, the skin in one piece with room for the mouth.

The skin is laid out as a net of springs between fixed borders (Tutte 1963; Floater 1997: any positive weights give a
layout without fold-overs). The springs are tuned, round by round, until lengths come near those of a wanted picture.
"""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

from dubplate_backend.head.standin.surface import Indices
from dubplate_backend.head.standin.topology import unique_edges

ROUNDS = 10
RATE = 0.8
SHORTEST = 1e-3
"""No edge is wanted shorter than this share of the skin's picture."""
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


def spring_layout(wanted: np.ndarray, triangles: Indices, fixed: Indices) -> np.ndarray:
    """Positions in the plane of a disc-like surface, without fold-overs, near wanted ones.

    wanted: [V, 2], may fold over.   fixed: [B] the border's vertices, on a convex curve in `wanted`.   Returns [V, 2].
    """
    edges = unique_edges(triangles)
    length = np.linalg.norm(wanted[edges[:, 0]] - wanted[edges[:, 1]], axis=1)
    length = np.maximum(length, SHORTEST)
    strength = SHORTEST / length  # stiff where short: a fair start
    flat = wanted.copy()
    free = np.setdiff1d(np.arange(len(wanted)), fixed)
    for _ in range(ROUNDS):
        links = sparse.coo_matrix((strength, edges.T), shape=(len(wanted),) * 2).tocsr()
        links = links + links.T
        system = (sparse.diags(np.asarray(links.sum(1)).ravel()) - links).tocsr()
        flat[free] = spsolve(system[free][:, free].tocsc(), -system[free][:, fixed] @ wanted[fixed])
        stretch = np.linalg.norm(flat[edges[:, 0]] - flat[edges[:, 1]], axis=1) / length
        strength = np.clip(strength * np.maximum(stretch, 0.1) ** RATE, 1e-5, 1e3)
    return flat


def square_border(count: int) -> np.ndarray:
    """`count` places counter-clockwise round the unit square, rounded to stay convex, from the middle of the top."""
    angle = np.pi / 2 + 2 * np.pi * np.arange(count) / count
    flat = np.stack([np.cos(angle), np.sin(angle)], 1)
    return 0.5 + 0.5 * flat / ((np.abs(flat) ** ROUNDING).sum(1) ** (1 / ROUNDING))[:, None]
