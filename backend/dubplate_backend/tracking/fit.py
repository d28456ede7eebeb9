# SPDX-License-Identifier: Apache-2.0
"""From landmarks to a head in motion: one fit of a whole shot.

Three steps, each with all its unknowns at once: (1) a rigid pose for each frame, linearly; (2) shape and focal length,
with the motion of a few dozen frames that differ most; (3) the motion of all frames with the temporal terms, shape and
camera being known, in overlapping windows, so that memory does not grow with the shot.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from torch import Tensor

from dubplate_backend.head.model import HeadModel
from dubplate_backend.tracking.faces import Faces
from dubplate_backend.tracking.landmark_head import LandmarkHead
from dubplate_backend.tracking.problem import (
    EXPRESSION,
    EYELIDS,
    JAW,
    SHIFT,
    TURN,
    UNKNOWNS,
    Problem,
    head_rotation,
)
from dubplate_backend.tracking.smoothness import Smoothness
from dubplate_backend.tracking.solver import Search, solve_motion, solve_with_shared
from dubplate_backend.tracking.weights import Weights
from dubplate_shared.landmarks import COUNT, inter_ocular
from dubplate_shared.progress import Progress, ProgressCallback, Stop

KEY_FRAMES = 24  # frames that shape and focal length are found from
SHARED_STEPS = 25
MOTION_STEPS = 15
WINDOW = 256  # frames solved together
OVERLAP = 24  # frames that two windows share: a second, longer than any temporal term reaches


@dataclass(frozen=True)
class FitSettings:
    """weights: what each term is believed.   focal_px: where the lens is known, else found from the footage."""

    weights: Weights = field(default_factory=Weights)
    focal_px: float | None = None


@dataclass(frozen=True)
class Fit:
    """float64 arrays. shape (300,); focal_px; rotation (T, 3, 3) and translation (T, 3), head to camera; jaw (T, 3),
    expression (T, 100), eyelids (T, 2). Frames without a face hold what lies between their neighbours."""

    shape: np.ndarray
    focal_px: float
    rotation: np.ndarray
    translation: np.ndarray
    jaw: np.ndarray
    expression: np.ndarray
    eyelids: np.ndarray


def fit_head(
    head: HeadModel,
    faces: Faces,
    times: np.ndarray,
    width: int,
    height: int,
    *,
    settings: FitSettings,
    progress: ProgressCallback,
    stop: Stop,
    stage: str = "fit",
) -> Fit:
    """Fit `head` to the landmarks of a shot.

    times: (T,) seconds.   width, height: of the plate, px; the principal point is its middle.
    Raises Cancelled where asked to stop.
    """
    seen = np.flatnonzero(faces.seen)
    observed = torch.from_numpy(faces.landmarks_px[seen, :COUNT]).double()  # [S, 468, 2]
    depth = torch.from_numpy(faces.depth_px[seen, :COUNT]).double()  # [S, 468]
    depth = depth - depth.mean(1, keepdim=True)
    trust = torch.from_numpy(faces.confidence[seen]).double()
    weights, diagonal = settings.weights, float(np.hypot(width, height))
    centre = torch.tensor([width / 2, height / 2], dtype=torch.float64)
    windows = windows_of(len(seen))
    counter = Counter(progress, SHARED_STEPS + MOTION_STEPS * len(windows), stage)

    reduced = LandmarkHead.of(head)
    focal = settings.focal_px or weights.focal_per_diagonal * diagonal
    shared = torch.zeros(reduced.shape_components + 1, dtype=torch.float64)
    shared[-1] = np.log(focal)
    if settings.focal_px is not None:
        weights = weights.with_known_focal(focal / diagonal)
    key = torch.from_numpy(key_frames(faces.landmarks_px[seen, :COUNT], KEY_FRAMES))
    problem = Problem(reduced, observed[key], depth[key], trust[key], centre, diagonal, weights)
    motion = rigid_motion(reduced, shared[:-1], observed[key], focal, centre)
    _, shared = solve_with_shared(problem, motion, shared, Search(SHARED_STEPS, stop, counter.step))
    counter.reach(SHARED_STEPS)

    shaped, lens = reduced.shaped(shared[:-1]), shared[-1:]
    parts = []
    for number, (start, end) in enumerate(windows):
        part = slice(start, end)
        problem = Problem(shaped, observed[part], depth[part], trust[part], centre, diagonal, weights)
        motion = rigid_motion(shaped, shared[:0], observed[part], float(lens.exp()), centre)
        joined = torch.from_numpy(np.diff(seen[part]) == 1)
        smoothness = Smoothness.of(weights, torch.from_numpy(times[seen[part]]), joined)
        parts.append(solve_motion(problem, motion, lens, smoothness, Search(MOTION_STEPS, stop, counter.step)))
        counter.reach(SHARED_STEPS + MOTION_STEPS * (number + 1))
    motion = in_between(blended(parts, windows).numpy(), times[seen], times)

    turns = torch.from_numpy(motion[:, TURN])
    return Fit(
        shape=shared[:-1].numpy(),
        focal_px=float(lens.exp()),
        rotation=head_rotation(turns).numpy(),
        translation=motion[:, SHIFT],
        jaw=motion[:, JAW],
        expression=motion[:, EXPRESSION],
        eyelids=motion[:, EYELIDS],
    )


class Counter:
    """Counts steps of searches that may end early."""

    def __init__(self, progress: ProgressCallback, total: int, stage: str) -> None:
        self._progress, self._total, self._stage, self._done = progress, total, stage, 0

    def step(self) -> None:
        self.reach(self._done + 1)

    def reach(self, done: int) -> None:
        self._done = min(done, self._total)
        self._progress(Progress(self._done, self._total, self._stage))


def key_frames(landmarks: np.ndarray, count: int) -> np.ndarray:
    """Indices of the frames that differ most in pose and expression: farthest points, from the median frame on.

    landmarks: (T, 468, 2).   Returns (<= count,) int64, ascending.  Source of the rule: Gonzalez 1985.
    """
    centred = landmarks - landmarks.mean(axis=1, keepdims=True)
    looks = (centred / inter_ocular(landmarks)[:, None, None]).reshape(len(landmarks), -1)
    chosen = [int(np.argmin(np.linalg.norm(looks - np.median(looks, axis=0), axis=1)))]
    distance = np.linalg.norm(looks - looks[chosen[0]], axis=1)
    while len(chosen) < min(count, len(landmarks)):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(looks - looks[chosen[-1]], axis=1))
    return np.unique(chosen)


def rigid_motion(head: LandmarkHead, shape: Tensor, observed: Tensor, focal: float, centre: Tensor) -> Tensor:
    """Motion [T, 111] with turn and shift of each frame and a neutral face.   observed: [T, 468, 2] px.

    Source: Terzakis & Lourakis 2020, SQPnP, as in OpenCV. It works on positions, so pixel centres at +0.5 are as good
    as any other, the principal point being given the same way.
    """
    nothing = torch.zeros(1, UNKNOWNS, dtype=torch.float64)
    points = head.points(shape, nothing[:, EXPRESSION], nothing[:, EYELIDS], nothing[:, JAW])[0].numpy()
    camera = np.array([[focal, 0, float(centre[0])], [0, focal, float(centre[1])], [0, 0, 1]])
    motion = np.zeros((len(observed), UNKNOWNS))
    for frame, pixels in enumerate(observed.numpy()):
        _, turn, shift = cv2.solvePnP(points, pixels, camera, None, flags=cv2.SOLVEPNP_SQPNP)
        facing = cv2.Rodrigues(turn)[0] @ np.diag([1.0, -1.0, -1.0])
        motion[frame, TURN] = cv2.Rodrigues(facing)[0][:, 0]
        motion[frame, SHIFT] = shift[:, 0]
    return torch.from_numpy(motion)


def windows_of(count: int) -> list[tuple[int, int]]:
    """Overlapping spans [start, end) that cover `count` frames."""
    starts = range(0, max(count - OVERLAP, 1), WINDOW - OVERLAP)
    return [(start, min(start + WINDOW, count)) for start in starts]


def blended(parts: list[Tensor], windows: list[tuple[int, int]]) -> Tensor:
    """One motion [T, 111] of the windows' motions, one fading into the next where they overlap."""
    whole = torch.zeros(windows[-1][1], UNKNOWNS, dtype=torch.float64)
    for number, (part, (start, end)) in enumerate(zip(parts, windows, strict=True)):
        share = torch.ones(end - start, 1, dtype=torch.float64)
        if number > 0:
            common = windows[number - 1][1] - start
            rise = (torch.arange(common, dtype=torch.float64) + 1) / (common + 1)
            share[:common, 0] = rise
            whole[start : start + common] *= 1 - rise[:, None]
        whole[start:end] += share * part
    return whole


def in_between(motion: np.ndarray, known: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Motion (S, C) known at times (S,), at all times (T,): straight lines across gaps, held at both ends."""
    return np.stack([np.interp(times, known, column) for column in motion.T], axis=1)
