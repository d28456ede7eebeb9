# SPDX-License-Identifier: Apache-2.0
"""The synthetic actor's hair: a cropped cut that grows on any head, placed by MediaPipe's points.

A finely divided copy of the scalp stands off the skin by the hair's length and rides on the posed head; strands run
away from the crown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree

from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.shading import vertex_normals
from dubplate_backend.synthetic.noise import Noise

# The upper edge of the face, from one ear over the forehead to the other: where hair begins.
_HAIRLINE = (234, 127, 162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389, 356, 454)
_EARS = (234, 454)
_LENGTH_M = 0.0095
_SHAVED = 0.45  # of the length is left at the height of the ears
_RISE_M = 0.016  # from the hairline to full length
_EAR_REACH_M = (0.038, 0.030, 0.060)  # half height, half depth, half width of what is cut out round an ear
_EAR_SHIFT_M = (0.0, 0.006, -0.020)  # from MediaPipe's ear point to the ear's middle, x outwards
_NAPE_M = 0.030  # the cut ends this far below the ear points, at the back
_SUBDIVISIONS = 2
_CLUMP_M = 0.0018


@dataclass(frozen=True)
class Hair:
    """M points that ride on the head.  corners, weights: (M, 3) head vertices and shares.  length_m: (M,).
    faces: (F, 3).  density: (M,) 0..1.  strand: (M, 2) turns round the crown, metres from it.  flow: (M, 3) at rest.
    """

    corners: np.ndarray
    weights: np.ndarray
    length_m: np.ndarray
    faces: np.ndarray
    density: np.ndarray
    strand: np.ndarray
    flow: np.ndarray

    def posed(self, vertices: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points and normals (M, 3) on a posed head's vertices and normals (V, 3)."""
        point = np.einsum("mk,mkc->mc", self.weights, vertices[self.corners])
        normal = np.einsum("mk,mkc->mc", self.weights, normals[self.corners])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
        return point + self.length_m[:, None] * normal, normal


def hair_extent(head: HeadModel, shape: torch.Tensor) -> np.ndarray:
    """(V,) 0..1 how much of the hair's full length grows at each vertex."""
    rest = head.shaped(shape)[0]
    points, landmarks = rest[0].double().numpy(), head.landmarks(rest)[0].double().numpy()
    line = _dense(landmarks[list(_HAIRLINE)])
    from_line = cKDTree(line).query(points)[0]
    extent = _ramp((from_line - 0.001) / _RISE_M)
    for index in _EARS:
        side = np.sign(landmarks[index, 0])
        middle = landmarks[index] + np.array([side, 1, 1]) * _EAR_SHIFT_M
        reach = np.linalg.norm((points - middle)[:, [1, 2, 0]] / _EAR_REACH_M, axis=1)
        extent *= _ramp((reach - 0.75) / 0.5)
    nape = landmarks[list(_EARS), 1].mean() - _NAPE_M
    extent *= _ramp((points[:, 1] - nape) / 0.022)
    # Below the forehead only what lies behind the ears grows: the face's own skin stays free.
    behind = landmarks[list(_EARS), 2].mean()
    lower = points[:, 1] < landmarks[list(_EARS), 1].mean() + 0.015
    extent *= np.where(lower, _ramp((behind - 0.012 - points[:, 2]) / 0.015), 1.0)
    bare = head.masks["face"] | head.masks["mouth"] | head.masks["eyes"]
    return np.where(bare.numpy(), 0.0, extent)


def grow(head: HeadModel, shape: torch.Tensor, *, seed: int) -> Hair:
    """The hair of one person.   shape: [300].  Deterministic in the seed."""
    rest = head.shaped(shape)[0]
    points = rest[0].double().numpy()
    normals = vertex_normals(rest, head.faces)[0].double().numpy()
    extent = hair_extent(head, shape)
    chosen = head.faces.numpy()[(extent[head.faces.numpy()] > 0).any(axis=1)]
    corners, weights, faces = _divide(chosen, _SUBDIVISIONS)
    place = np.einsum("mk,mkc->mc", weights, points[corners])
    normal = np.einsum("mk,mkc->mc", weights, normals[corners])
    density = np.einsum("mk,mk->m", weights, extent[corners])
    crown = points[np.argmax(points[:, 1] - 0.6 * np.abs(points[:, 0]) - 0.5 * points[:, 2])]
    away = place - crown
    distance = np.linalg.norm(away, axis=1)
    flow = away - (away * normal).sum(axis=1, keepdims=True) * normal
    flow /= np.linalg.norm(flow, axis=1, keepdims=True) + 1e-9
    turn = np.arctan2(away[:, 0], away[:, 2]) / (2 * np.pi)  # the seam lies at the back
    noise = Noise(seed + 7)
    clumps = noise(np.stack([turn * 0.5, distance * 0.35, 0 * turn], axis=1), 0.010, octaves=2)
    ears, top = place[:, 1].min(), place[:, 1].max()
    taper = _SHAVED + (1 - _SHAVED) * _ramp((place[:, 1] - ears) / (0.75 * (top - ears)))
    length = _LENGTH_M * taper * np.clip(density, 0, 1) ** 0.8 + _CLUMP_M * density * (
        clumps + 0.8 * noise(place, 0.004)
    )
    return Hair(corners, weights, np.maximum(length, 0.0), faces, density, np.stack([turn, distance], axis=1), flow)


def strand_corners(hair: Hair) -> np.ndarray:
    """(F, 3, 2) strand coordinates of the faces' corners, unwrapped where a face crosses the seam."""
    corners = hair.strand[hair.faces]  # (F, 3, 2)
    turns = corners[..., 0]
    crossing = turns.max(axis=1) - turns.min(axis=1) > 0.5
    corners[..., 0] = np.where(crossing[:, None] & (turns < 0), turns + 1.0, turns)
    return corners


def _divide(faces: np.ndarray, times: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each triangle in four, `times` over.  Returns corners (M, 3), weights (M, 3) and faces (F, 3), points shared."""
    steps = 2**times
    grid = [(i, j) for i in range(steps + 1) for j in range(steps + 1 - i)]
    local = np.array([(steps - i - j, i, j) for i, j in grid], float) / steps  # (P, 3)
    number = {place: index for index, place in enumerate(grid)}
    small = [(number[i, j], number[i + 1, j], number[i, j + 1]) for i in range(steps) for j in range(steps - i)] + [
        (number[i + 1, j], number[i + 1, j + 1], number[i, j + 1]) for i in range(steps) for j in range(steps - 1 - i)
    ]
    corners = np.repeat(faces, len(local), axis=0)  # (T * P, 3)
    weights = np.tile(local, (len(faces), 1))
    order = np.argsort(corners, axis=1)  # the same point of two triangles gets the same name
    corners, weights = np.take_along_axis(corners, order, 1), np.take_along_axis(weights, order, 1)
    name = np.where(weights > 0, corners, -1)
    keys = np.concatenate([name, np.round(weights * steps).astype(np.int64)], axis=1)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    inverse = inverse.reshape(len(faces), len(local))
    return corners[first], weights[first], inverse[:, np.array(small)].reshape(-1, 3).astype(np.int64)


def _dense(line: np.ndarray) -> np.ndarray:
    """Points every eighth of the way between those given."""
    at = np.linspace(0, len(line) - 1, 8 * (len(line) - 1) + 1)
    return np.stack([np.interp(at, np.arange(len(line)), line[:, axis]) for axis in range(3)], axis=1)


def _ramp(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)
