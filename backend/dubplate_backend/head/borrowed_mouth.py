# SPDX-License-Identifier: Apache-2.0
"""The stand-in's mouth interior, put into a head that has none: lining, gums, teeth, tongue.

The lining's rim sits on the target's own lips and moves as they do; further in it follows skull and jaw alone, as
teeth and tongue do.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy import ndarray
from scipy.ndimage import distance_transform_cdt

from dubplate_backend.head.carry_over import Registration
from dubplate_backend.head.registration import Surface, SurfacePoints, components

_LIP_DEPTH_M = 0.008
"""How far in the lining still follows the lips: about their thickness."""

_SHAPE_REACH_M = 0.015
"""Over this distance identity moves teeth and tongue with the lips, evenly so that they keep their form."""

_FREE_UV_GRID = 256
_FREE_UV_MARGIN = 2  # texels of that grid kept clear between islands


@dataclass(frozen=True)
class Mouth:
    """A mouth interior as vertices to append to a target's.  N vertices, M faces."""

    origin: ndarray  # [N] the stand-in's vertex that each one is
    vertices: ndarray  # [N, 3] metres
    faces: ndarray  # [M, 3] into the N
    uv: ndarray  # [K, 2]
    faces_uv: ndarray  # [M, 3] into the K
    rim: SurfacePoints  # [R] on the target: where the lining's edge sits
    nearest_rim: ndarray  # [N] into the R
    follows_lips: ndarray  # [N] 0..1
    near_rim: ndarray  # [N, R] rows sum to 1: how identity is shared out

    def shape_rows(self, faces: ndarray, basis: ndarray) -> ndarray:
        """Identity components of the interior, from the target's [V, 3, C]: [N, 3, C]."""
        on_rim = self.rim.read(faces, basis)  # [R, 3, C]
        even = np.einsum("nr,rkc->nkc", self.near_rim, on_rim)
        return even + self.follows_lips[:, None, None] * (on_rim[self.nearest_rim] - even)

    def lip_rows(self, faces: ndarray, basis: ndarray) -> ndarray:
        """Expression components or pose correctives: the lips' at the rim, none further in.  [N, 3, C]"""
        return self.follows_lips[:, None, None] * self.rim.read(faces, basis)[self.nearest_rim]

    def skin_rows(self, faces: ndarray, weights: ndarray, own: ndarray) -> ndarray:
        """Skin weights, from the lips' at the rim to the stand-in's own [N, 5] further in.  [N, 5]"""
        at_lips = self.rim.read(faces, weights)[self.nearest_rim]
        return own + self.follows_lips[:, None] * (at_lips - own)


def borrow_mouth(registration: Registration) -> Mouth:
    """The stand-in's interior in the target's space, its rim on the target's lips."""
    standin = registration.standin
    faces, faces_uv = standin.faces.numpy(), standin.faces_uv.numpy()
    mouth = standin.masks["mouth"].numpy()
    chosen = mouth[faces].any(1)
    origin, local = np.unique(faces[chosen], return_inverse=True)
    origin_uv, local_uv = np.unique(faces_uv[chosen], return_inverse=True)
    vertices = registration.vertices[origin].copy()

    rim = np.flatnonzero(~mouth[origin])  # shared with the stand-in's lips
    normals = Surface(registration.vertices, faces).vertex_normals()[origin[rim]]
    seats = registration.on_target_skin(vertices[rim], normals)
    vertices[rim] = seats.read(registration.target.faces, registration.target.vertices)

    distance = np.linalg.norm(vertices[:, None] - vertices[rim][None], axis=-1)  # [N, R]
    near = np.exp(-0.5 * np.square((distance - distance.min(1, keepdims=True)) / _SHAPE_REACH_M))
    part = components(faces, len(mouth))[origin]
    attached = part == part[rim[0]]
    return Mouth(
        origin=origin,
        vertices=vertices,
        faces=local.reshape(-1, 3),
        uv=standin.uv.double().numpy()[origin_uv],
        faces_uv=local_uv.reshape(-1, 3),
        rim=seats,
        nearest_rim=distance.argmin(1),
        follows_lips=attached * np.exp(-np.square(distance.min(1) / _LIP_DEPTH_M)),
        near_rim=near / near.sum(1, keepdims=True),
    )


def uv_beside(mouth_uv: ndarray, uv: ndarray, faces_uv: ndarray) -> ndarray:
    """The interior's UV moved into the largest free square of another layout.

    mouth_uv: [K, 2], uv: [VT, 2] and faces_uv: [F, 3] of the other layout, all 0..1.   Returns [K, 2].
    """
    taken = np.zeros((_FREE_UV_GRID, _FREE_UV_GRID), dtype=np.uint8)
    corners = (uv * [1.0, -1.0] + [0.0, 1.0]) * _FREE_UV_GRID  # [VT, 2] x right, y down
    for triangle in np.floor(corners[faces_uv]).astype(np.int32):
        cv2.fillConvexPoly(taken, triangle, 1)  # fills every cell that the outline touches
    free = np.pad(1 - taken, 1)  # the border of the texture bounds the square too
    distance = distance_transform_cdt(free, metric="chessboard")[1:-1, 1:-1]
    row, column = np.unravel_index(distance.argmax(), distance.shape)
    half = max(distance.max() - _FREE_UV_MARGIN, 1) / _FREE_UV_GRID
    centre = np.array([column + 0.5, _FREE_UV_GRID - row - 0.5]) / _FREE_UV_GRID
    low, high = mouth_uv.min(0), mouth_uv.max(0)
    return centre + (mouth_uv - (low + high) / 2) * (2.0 * half / (high - low).max())
