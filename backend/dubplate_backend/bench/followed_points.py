# SPDX-License-Identifier: Apache-2.0
"""Lip points of another head model followed on the tracked one: where it carries what it was shown at rest.

Two topologies share no vertices, so each true lip point is tied, in one frame with the mouth at rest, to the point of
the tracked head's lips that lies there in the picture; in all other frames the two are compared.  The tie takes away
that the models place their lips' borders differently, and keeps every error of motion.
"""

from dataclasses import dataclass

import numpy as np
import torch

from dubplate_backend.bench.tracking_scores import in_camera, posed
from dubplate_backend.head.model import HeadModel
from dubplate_shared.track import Track

LIPS_REACH_M = 0.006  # skin this near to the lips may be tied to as well: borders differ between models
FACING = 0.0  # faces turned away are not tied to
JAW = 2  # of the joints


@dataclass(frozen=True)
class Anchors:
    """corners: (P, 3) vertices of the tracked head; barycentrics: (P, 3)."""

    corners: np.ndarray
    barycentrics: np.ndarray


@dataclass(frozen=True)
class TruePoints:
    """pixels: (T, P, 2) of the true lip points.   upper: (P,) bool.   inter_ocular_px: (T,).   rest: frames in which
    the mouth keeps still and shut."""

    pixels: np.ndarray
    upper: np.ndarray
    inter_ocular_px: np.ndarray
    rest: range


def followed_error_percent(head: HeadModel, track: Track, true: TruePoints) -> np.ndarray:
    """(F,) mean distance over the points, in percent of the inter-ocular distance, of each frame with a face that is
    not at rest."""
    anchors = tie(head, track, true)
    frames = np.array([index for index in np.flatnonzero(track.confidence > 0) if index not in true.rest])
    corners, place = np.unique(anchors.corners, return_inverse=True)
    vertices = in_camera(posed(head, track, corners, frames), track, frames)  # (F, N, 3)
    points = (vertices[:, place.reshape(-1, 3)] * anchors.barycentrics[..., None]).sum(axis=2)  # (F, P, 3)
    error = np.linalg.norm(_pixels(points, track.intrinsics[frames, None]) - true.pixels[frames], axis=-1)
    return 100 * error.mean(axis=1) / true.inter_ocular_px[frames]


def tie(head: HeadModel, track: Track, true: TruePoints) -> Anchors:
    """Each true point's nearest point, in the picture, on the tracked lip that it belongs to, in the middle frame at
    rest."""
    frame = np.array([true.rest[len(true.rest) // 2]])
    everything = np.arange(head.vertex_count)
    camera = in_camera(posed(head, track, everything, frame), track, frame)[0]  # (V, 3)
    pixels = _pixels(camera, track.intrinsics[frame])
    lips, lower = _lip_faces(head)
    turned_here = _turned_to_camera(camera, lips)
    corners, barycentrics = [], []
    for point, upper in zip(true.pixels[frame[0]], true.upper, strict=True):
        choice = lips[turned_here & (lower != upper)]
        weights, distance = _nearest(point, pixels[choice])
        nearest = int(np.argmin(distance))
        corners.append(choice[nearest])
        barycentrics.append(weights[nearest])
    return Anchors(np.array(corners), np.array(barycentrics))


def _lip_faces(head: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    """(F, 3) faces of the lips and the skin round them, and (F,) whether each belongs to the lower lip: it goes with
    the jaw more than the mouth's corners do."""
    template, lips = head.template, head.masks["lips"]
    near = torch.cdist(template, template[lips]).min(dim=1).values < LIPS_REACH_M
    wanted = lips | (near & head.masks["face"])
    faces = head.faces[wanted[head.faces].all(dim=1)]
    share = head.skin_weights[:, JAW]
    across = template[lips, 0]
    border = share[lips][[int(across.argmin()), int(across.argmax())]].mean()
    return faces.numpy(), (share[faces].mean(dim=1) > border).numpy()


def _turned_to_camera(camera: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,) bool.  camera: (V, 3) metres.  Faces are counter-clockwise from outside."""
    a, b, c = np.moveaxis(camera[faces], 1, 0)
    return (np.cross(b - a, c - a) * -a).sum(axis=1) > FACING


def _nearest(point: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Barycentrics (F, 3) of each triangle's nearest point to `point` (2,), and its distance (F,).

    triangles: (F, 3, 2) px.  The nearest point of a triangle is inside it or on one of its edges.
    """
    a, b, c = np.moveaxis(triangles, 1, 0)
    area = _cross(b - a, c - a)
    safe = np.where(np.abs(area) < 1e-12, 1e-12, area)
    inside = np.stack([_cross(b - point, c - point), _cross(c - point, a - point), _cross(a - point, b - point)], 1)
    inside = inside / safe[:, None]
    best, distance = inside, np.where((inside >= 0).all(axis=1), 0.0, np.inf)
    for start, end in ((0, 1), (1, 2), (2, 0)):
        along = triangles[:, end] - triangles[:, start]
        share = ((point - triangles[:, start]) * along).sum(axis=1) / np.maximum((along**2).sum(axis=1), 1e-12)
        share = np.clip(share, 0, 1)
        off = np.linalg.norm(triangles[:, start] + share[:, None] * along - point, axis=1)
        weights = np.zeros((len(triangles), 3))
        weights[:, start], weights[:, end] = 1 - share, share
        nearer = off < distance
        best, distance = np.where(nearer[:, None], weights, best), np.where(nearer, off, distance)
    return best, distance


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _pixels(points: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """points: (..., 3) metres, camera space.   intrinsics: (..., 4), broadcast.   Returns (..., 2)."""
    return points[..., :2] / points[..., 2:] * intrinsics[..., :2] + intrinsics[..., 2:]
