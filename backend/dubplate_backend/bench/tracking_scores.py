# SPDX-License-Identifier: Apache-2.0
"""What a track is worth beside the truth: lips in millimetres, jaw and head in degrees, jitter, lip contact.

One similarity per clip: monocular footage tells neither size nor distance when the lens is unknown, so the tracked
head is laid on the true one by one rotation, translation and scale, which minimise the squared distances of all face
vertices of all frames (Umeyama 1991, "Least-squares estimation of transformation parameters between two point
patterns").  In camera space nothing else is taken away: what is left also holds errors of the head's place in depth.
In skull space, which is head space with the neck unturned, no motion of the head is left: what remains is the face.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.camera import to_camera
from dubplate_shared.landmarks import INNER_LIP_PAIRS
from dubplate_shared.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from dubplate_shared.track import Track

FRAMES_AT_ONCE = 32
CONTACT_GAP_MM = 1.0
"""Lips touch where half of the facing pairs of inner-lip points are nearer than this, measured up the skull's axis;
overlapping counts as touching.  1 mm is about two pixels of a face 160 px between the outer eye corners: the narrowest
gap that a person sees as dark."""


@dataclass(frozen=True)
class TruthScores:
    """Means over all frames, `worst` the 95th percentile of the frames' means.  Millimetres and degrees."""

    lips_mm: float  # lip vertices in camera space after the clip's similarity
    lips_worst_mm: float
    lips_skull_mm: float  # lip vertices in skull space after a similarity there
    jaw_deg: float  # angle of the rotation between tracked and true jaw
    jaw_opening_deg: float  # difference of the turns about x
    rotation_deg: float  # of the resting face as skull and neck turn it, after the clip's similarity
    rotation_worst_deg: float
    scale: float  # of the similarity: tracked to true
    focal_ratio: float  # tracked over true


@dataclass(frozen=True)
class ContactScores:
    """Of `frames` labelled surely: precision and recall of contact, and the gap in mm at which both kinds part best."""

    frames: int
    precision: float
    recall: float
    missed: tuple[int, ...]  # labelled touching, tracked open
    invented: tuple[int, ...]  # labelled open, tracked touching


@dataclass(frozen=True)
class Similarity:
    """x -> scale R x + shift."""

    scale: float
    rotation: np.ndarray  # (3, 3)
    shift: np.ndarray  # (3,)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return self.scale * points @ self.rotation.T + self.shift

    @classmethod
    def between(cls, source: np.ndarray, target: np.ndarray) -> "Similarity":
        """The least-squares similarity from source to target, (N, 3) each.  Umeyama 1991, eq. 40-42."""
        source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
        centred = source - source_mean
        covariance = (target - target_mean).T @ centred / len(source)
        u, singular, vt = np.linalg.svd(covariance)
        signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
        rotation = u @ np.diag(signs) @ vt
        scale = float((singular * signs).sum() / centred.var(axis=0).sum())
        return cls(scale, rotation, target_mean - scale * rotation @ source_mean)


def truth_scores(head: HeadModel, tracked: Track, true: Track) -> TruthScores:
    """A track beside the one that the clip was drawn from, both on `head`.  Frames without a face are left out."""
    frames = np.flatnonzero(tracked.confidence > 0)
    face = np.flatnonzero((head.masks["face"] | head.masks["lips"]).numpy())
    lips = np.flatnonzero(head.masks["lips"].numpy()[face])
    tracked_head, true_head = (posed(head, each, face, frames) for each in (tracked, true))  # (T, N, 3)
    tracked_camera, true_camera = (
        in_camera(points, each, frames) for points, each in ((tracked_head, tracked), (true_head, true))
    )
    tracked_skull, true_skull = (posed(head, unturned(each), face, frames) for each in (tracked, true))
    clip = Similarity.between(tracked_camera.reshape(-1, 3), true_camera.reshape(-1, 3))
    skull = Similarity.between(tracked_skull.reshape(-1, 3), true_skull.reshape(-1, 3))
    lips_mm = 1e3 * _mean_distance(clip(tracked_camera[:, lips]), true_camera[:, lips])  # (T,)
    tracked_rest, true_rest = (
        in_camera(posed(head, at_rest(each), face, frames), each, frames) for each in (tracked, true)
    )
    rotation = _turn_between_deg(clip(tracked_rest), true_rest)  # (T,)
    tracked_jaw, true_jaw = (each.jaw[frames].astype(np.float64) for each in (tracked, true))
    return TruthScores(
        lips_mm=float(lips_mm.mean()),
        lips_worst_mm=float(np.percentile(lips_mm, 95)),
        lips_skull_mm=float(1e3 * _mean_distance(skull(tracked_skull[:, lips]), true_skull[:, lips]).mean()),
        jaw_deg=float(_angle_deg(matrix_from_axis_angle(tracked_jaw), matrix_from_axis_angle(true_jaw)).mean()),
        jaw_opening_deg=float(np.degrees(np.abs(tracked_jaw[:, 0] - true_jaw[:, 0])).mean()),
        rotation_deg=float(rotation.mean()),
        rotation_worst_deg=float(np.percentile(rotation, 95)),
        scale=clip.scale,
        focal_ratio=float(tracked.intrinsics[0, 0] / true.intrinsics[0, 0]),
    )


@dataclass(frozen=True)
class Jitter:
    """Root mean square, over frames and lip vertices, of the length of v[t - 1] - 2 v[t] + v[t + 1].  On a head that
    keeps still all of it is the tracker's.  Millimetres."""

    skull_mm: float  # in skull space: the mouth's
    camera_mm: float  # in camera space: the head's as well, depth included


def jitter(head: HeadModel, track: Track) -> Jitter:
    """Of all frames."""
    frames, lips = np.arange(len(track)), np.flatnonzero(head.masks["lips"].numpy())
    skull = posed(head, unturned(track), lips, frames)
    camera = in_camera(posed(head, track, lips, frames), track, frames)
    return Jitter(_second_difference_mm(skull), _second_difference_mm(camera))


def _second_difference_mm(points: np.ndarray) -> float:
    second = points[:-2] - 2 * points[1:-1] + points[2:]  # (T - 2, N, 3)
    return float(1e3 * np.sqrt((second**2).sum(axis=-1).mean()))


def lip_gap_mm(head: HeadModel, track: Track) -> np.ndarray:
    """(T,) the median, over the facing pairs of inner-lip points, of their distance up the skull's axis; negative where
    the lips overlap."""
    gaps = []
    for start in range(0, len(track), FRAMES_AT_ONCE):
        frames = np.arange(start, min(start + FRAMES_AT_ONCE, len(track)))
        points = head.landmarks(_vertices(head, unturned(track), frames)).double().numpy()  # (B, 468, 3)
        upper, lower = np.array(INNER_LIP_PAIRS).T
        gaps.append(np.median(points[:, upper, 1] - points[:, lower, 1], axis=1))
    return 1e3 * np.concatenate(gaps)


def contact_scores(gap_mm: np.ndarray, frames: np.ndarray, touching: np.ndarray) -> ContactScores:
    """gap_mm: (T,) of all frames of a clip.   frames: (N,) indices that a person labelled.   touching: (N,) bool."""
    closed = gap_mm[frames] <= CONTACT_GAP_MM
    hits = int((closed & touching).sum())
    return ContactScores(
        frames=len(frames),
        precision=hits / max(int(closed.sum()), 1),
        recall=hits / max(int(touching.sum()), 1),
        missed=tuple(int(frame) for frame in frames[touching & ~closed]),
        invented=tuple(int(frame) for frame in frames[closed & ~touching]),
    )


def posed(head: HeadModel, track: Track, chosen: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """(F, N, 3) float64 metres, head space: the chosen vertices at `frames`."""
    parts = []
    for start in range(0, len(frames), FRAMES_AT_ONCE):
        part = frames[start : start + FRAMES_AT_ONCE]
        parts.append(_vertices(head, track, part)[:, chosen].double().numpy())
    return np.concatenate(parts)


def in_camera(points: np.ndarray, track: Track, frames: np.ndarray) -> np.ndarray:
    """points: (F, N, 3) head space at `frames`.  Returns (F, N, 3) metres, camera space."""
    rotation, translation = (torch.from_numpy(array[frames]).double() for array in (track.rotation, track.translation))
    return to_camera(torch.from_numpy(points), rotation, translation).numpy()


def unturned(track: Track) -> Track:
    """The same with the neck straight: its head space is skull space."""
    return replace(track, neck=np.zeros_like(track.neck))


def at_rest(track: Track) -> Track:
    """The same with a face that does nothing: what skull and neck alone do.

    Heads of two shapes have no axes in common: a face modelled a degree aslant and turned back by one stands right. So
    it is the resting face that is laid on the true one, and not the head's axes."""
    still = {name: np.zeros_like(getattr(track, name)) for name in ("expression", "jaw", "eyes", "eyelids")}
    return replace(track, **still)


def _vertices(head: HeadModel, track: Track, frames: np.ndarray) -> torch.Tensor:
    codes = (track.expression, track.jaw, track.neck, track.eyes, track.eyelids)
    return head.vertices(torch.from_numpy(track.shape), *(torch.from_numpy(code[frames]) for code in codes))


def _mean_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(T,) of (T, N, 3)."""
    return np.linalg.norm(a - b, axis=-1).mean(axis=-1)


def _turn_between_deg(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(T,) angle of the rotation that lays source on target best in each frame, (T, N, 3) both."""
    turns = [Similarity.between(a, b).rotation for a, b in zip(source, target, strict=True)]
    return np.degrees(np.linalg.norm(axis_angle_from_matrix(np.stack(turns)), axis=-1))


def _angle_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(T,) angle between rotations (T, 3, 3)."""
    return np.degrees(np.linalg.norm(axis_angle_from_matrix(np.swapaxes(a, -1, -2) @ b), axis=-1))
