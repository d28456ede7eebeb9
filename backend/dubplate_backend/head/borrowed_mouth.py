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
from dubplate_backend.head.registration import SurfacePoints, components

_SKIN_DEPTH_M = 0.004
"""So near to the outer skin the lining moves with it wholly: lips and cheeks are not much thicker."""

_SKIN_REACH_M = 0.007
"""Over this further distance inward that fades."""

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
    seats: SurfacePoints  # [N] on the target's skin: where each vertex belongs
    rim: ndarray  # [R] into the N: the lining's edge, which lies on its seats
    follows_skin: ndarray  # [N] 0..1
    near_rim: ndarray  # [N, R] rows sum to 1: how identity is shared out

    def shape_rows(self, faces: ndarray, basis: ndarray) -> ndarray:
        """Identity components of the interior, from the target's [V, 3, C]: [N, 3, C]."""
        seated = self.seats.read(faces, basis)  # [N, 3, C]
        even = np.einsum("nr,rkc->nkc", self.near_rim, seated[self.rim])
        return even + self.follows_skin[:, None, None] * (seated - even)

    def skin_rows(self, faces: ndarray, basis: ndarray) -> ndarray:
        """Expression components or pose correctives: the skin's near it, none further in.  [N, 3, C]"""
        return self.follows_skin[:, None, None] * self.seats.read(faces, basis)

    def weight_rows(self, faces: ndarray, weights: ndarray, own: ndarray) -> ndarray:
        """Skin weights, from the skin's near it to the stand-in's own [N, 5] further in.  [N, 5]"""
        return own + self.follows_skin[:, None] * (self.seats.read(faces, weights) - own)


def borrow_mouth(registration: Registration) -> Mouth:
    """The stand-in's interior in the target's space, its rim on the target's lips."""
    standin, source = registration.standin, registration.source
    faces_uv = standin.faces_uv.numpy()
    mouth = standin.masks["mouth"].numpy()
    chosen = mouth[source.faces].any(1)
    origin, local = np.unique(source.faces[chosen], return_inverse=True)
    origin_uv, local_uv = np.unique(faces_uv[chosen], return_inverse=True)

    vertices = source.vertices[origin].copy()
    seats = registration.on_target_skin(vertices, source.jaw[origin])
    rim = np.flatnonzero(~mouth[origin])  # shared with the stand-in's lips
    vertices[rim] = seats.read(registration.target.faces, registration.target.vertices)[rim]

    distance = np.linalg.norm(vertices[:, None] - vertices[rim][None], axis=-1)  # [N, R]
    near = np.exp(-0.5 * np.square((distance - distance.min(1, keepdims=True)) / _SHAPE_REACH_M))
    part = components(source.faces, len(mouth))[origin]
    depth = np.maximum(seats.distances - _SKIN_DEPTH_M, 0.0)
    depth[rim] = 0.0
    return Mouth(
        origin=origin,
        vertices=vertices,
        faces=local.reshape(-1, 3),
        uv=standin.uv.double().numpy()[origin_uv],
        faces_uv=local_uv.reshape(-1, 3),
        seats=seats,
        rim=rim,
        follows_skin=(part == part[rim[0]]) * np.exp(-np.square(depth / _SKIN_REACH_M)),
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
