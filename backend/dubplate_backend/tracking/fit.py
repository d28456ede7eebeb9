# SPDX-License-Identifier: Apache-2.0
"""From landmarks and colours to a head in motion: one fit of a whole shot, in the paper's three stages.

Each stage has all its unknowns at once. Identity (DfE's stages 1 and 2): shape, focal length, principal point and
albedo, with the motion of a few dozen frames that differ most. Motion (stage 3): all frames with the temporal terms,
identity being known, in overlapping windows, so that memory does not grow with the shot. Both are done first on the
landmarks alone and then on the picture, coarse to fine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from dubplate_backend.head.model import HeadModel
from dubplate_backend.tracking.albedo import Albedo, AlbedoModel, gaussian_process_albedo
from dubplate_backend.tracking.checkpoint import Arrays, Checkpoint
from dubplate_backend.tracking.detail import detail
from dubplate_backend.tracking.face_crops import LEVELS, face_crops
from dubplate_backend.tracking.faces import Faces
from dubplate_backend.tracking.frames import Frames, pictures
from dubplate_backend.tracking.landmark_bias import landmark_bias
from dubplate_backend.tracking.landmark_term import LandmarkTerm
from dubplate_backend.tracking.lens import Lens
from dubplate_backend.tracking.misplaced_landmarks import MisplacedLandmarks
from dubplate_backend.tracking.occlusion import Occlusion
from dubplate_backend.tracking.photometry import Photometry
from dubplate_backend.tracking.priors import Priors, likely_faces
from dubplate_backend.tracking.problem import Problem
from dubplate_backend.tracking.projection import View
from dubplate_backend.tracking.settings import TrackSettings
from dubplate_backend.tracking.smoothness import Smoothness
from dubplate_backend.tracking.solver import Search, solve_motion, solve_with_shared
from dubplate_backend.tracking.surface_head import SurfaceHead
from dubplate_backend.tracking.unknowns import (
    EXPRESSION,
    EYELIDS,
    JAW,
    NECK,
    SHIFT,
    TURN,
    UNKNOWNS,
    Shared,
    head_rotation,
)
from dubplate_backend.tracking.weights import Weights
from dubplate_shared.landmarks import COUNT, inter_ocular
from dubplate_shared.progress import Progress, ProgressCallback, Stop

KEY_FRAMES = 16  # frames that identity is found from
SHARED_STEPS = 15
MOTION_STEPS = 15
START_STEPS = 10  # where colours go on from there
IDENTITY_STEPS = 6  # at each visit
IDENTITY_VISITS = (0, 1, 2, 2, 2)  # levels of the pictures in turn, coarse to fine
COLOUR_STEPS = 2  # at each visit
# Levels in turn. Light and shade are found around a pose and take its fault for shade: they are found anew often.
VISITS = (0, 1, 2, 2, 2, 2)
IDENTITY_POINTS = (600, 600, 2400)  # of the skin, at each level
IDENTITY_SHAPE = 100  # leading shape components that colours are allowed to change
WINDOW = 256  # frames solved together
OVERLAP = 24  # frames that two windows share: a second, longer than any temporal term reaches


@dataclass(frozen=True)
class Fit:
    """float64 arrays. shape (300,); intrinsics (T, 4) fx fy cx cy, px; rotation (T, 3, 3) and translation (T, 3), head
    to camera; jaw, neck (T, 3), expression (T, 100), eyelids (T, 2). Frames without a face hold what lies between their
    neighbours. Of the colours, zeros and None where they were not fitted: lighting (T, 9, 3), texture (K,), albedo
    (V, 3) linear RGB; colour_error (T,), the mean error of visible points, of the display's range; hidden (T,), the
    share of the mouth that something else covers."""

    shape: np.ndarray
    intrinsics: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    jaw: np.ndarray
    neck: np.ndarray
    expression: np.ndarray
    eyelids: np.ndarray
    lighting: np.ndarray
    texture: np.ndarray
    albedo: np.ndarray | None
    colour_error: np.ndarray
    hidden: np.ndarray


def fit_head(
    head: HeadModel,
    faces: Faces,
    footage: Frames,
    lens: Lens,
    *,
    settings: TrackSettings,
    checkpoint: Checkpoint,
    progress: ProgressCallback,
    stop: Stop,
) -> Fit:
    """Fit `head` to a shot.   Raises Cancelled where asked to stop."""
    return Fitter(head, faces, footage, lens, settings, progress, stop).fit(checkpoint)


class Fitter:
    """One fit: what its stages share."""

    def __init__(
        self,
        head: HeadModel,
        faces: Faces,
        footage: Frames,
        lens: Lens,
        settings: TrackSettings,
        progress: ProgressCallback,
        stop: Stop,
    ) -> None:
        self.head, self.footage, self.lens, self.settings = head, footage, lens, settings
        self.progress, self.stop = progress, stop
        self.times = footage.times
        self.seen = np.flatnonzero(faces.seen)
        ideal = lens.ideal(faces.landmarks_px[self.seen, :COUNT].astype(np.float64), self.seen)
        self.observed = torch.from_numpy(ideal)  # [S, 468, 2]
        depth = torch.from_numpy(faces.depth_px[self.seen, :COUNT]).double()  # [S, 468]
        self.depth = depth - depth.mean(1, keepdim=True)
        self.trust = torch.from_numpy(faces.confidence[self.seen]).double()
        self.view = View(torch.from_numpy(lens.centre[self.seen]), torch.from_numpy(lens.zooms()[self.seen]))
        self.weights = settings.weights if lens.focal_px is None else settings.weights.with_known_lens()
        self.focal = lens.focal_px or self.weights.focal_per_diagonal * lens.diagonal
        self.reduced = SurfaceHead.of(head)
        self.windows = windows_of(len(self.seen))
        self.key = torch.from_numpy(key_frames(ideal, KEY_FRAMES))

    def fit(self, checkpoint: Checkpoint) -> Fit:
        identity = checkpoint.once("landmark_identity", self._identity_of_landmarks)
        if not self.settings.photometric:
            count = len(self.seen)
            found = checkpoint.once("landmark_motion", lambda: self._motion_of_landmarks(identity))
            return self._spread({**identity, **found, "lighting": np.zeros((count, 9, 3)), "error": np.zeros(count),
                                 "hidden": np.zeros(count), "texture": np.zeros(0)})  # fmt: skip
        model = self.settings.albedo or gaussian_process_albedo(self.head)
        identity = checkpoint.once("identity", lambda: self._identity_of_colours(model, identity))
        start = checkpoint.once("landmark_motion", lambda: self._motion_of_landmarks(identity))
        found = self._motion_of_colours(model, start["motion"], identity, checkpoint)
        return self._spread({**found, "shared": identity["shared"], "texture": identity["code"][-1],
                             "albedo": identity["albedo"][-1]})  # fmt: skip

    def _problem(
        self,
        head: SurfaceHead,
        frames: Tensor | slice,
        *,
        colours: bool = False,
        lips: Tensor | None = None,
        bias: Tensor | None = None,
        weights: Weights | None = None,
    ) -> Problem:
        """colours: whether they are fitted too; else the neck keeps straight.   lips: [T] trust in the lips' landmarks.
        bias: see `_bias`.   weights: the settings' unless told."""
        weights = weights or (self.weights if colours else self.weights.for_landmarks_alone())
        weights = weights if colours else weights.with_still_neck()
        trust = self.trust[frames]
        landmarks = LandmarkTerm(
            head if bias is None else head.moved_by(bias),
            self.view.at(frames),
            self.observed[frames],
            self.depth[frames],
            trust,
            torch.ones_like(trust) if lips is None else lips,
            weights,
        )
        priors = Priors(head, likely_faces(self.head, weights), self.focal, self.lens.diagonal, weights)
        return Problem(landmarks, priors)

    def _identity_of_landmarks(self) -> Arrays:
        """`key_motion` [K, 114] of the key frames and `shared` [S + 3]."""
        counter = Counter(self.progress, SHARED_STEPS, "landmark identity")
        given = self.settings.shape
        shape = torch.zeros(self.reduced.shape_components, dtype=torch.float64)
        if given is not None:
            shape = torch.from_numpy(given.astype(np.float64))
        free = IDENTITY_SHAPE if given is None else 0
        start = Shared.of(shape, self.focal)
        motion = self._rigid(self.reduced.shaped(shape), self.key, start)
        problem = self._problem(self.reduced.shaped(shape, free), self.key, weights=self.weights.for_identity())
        problem = replace(problem, landmarks=MisplacedLandmarks.of(problem.landmarks))
        solved = torch.cat((shape[:free], start.camera))
        search = Search(SHARED_STEPS, self.stop, counter.step)
        _, motion, solved = solve_with_shared(problem, motion, solved, search)
        shared = torch.cat((solved[:free], shape[free:], solved[free:]))
        counter.reach(SHARED_STEPS)
        return {"key_motion": motion.numpy(), "shared": shared.numpy()}

    def _motion_of_landmarks(self, identity: Arrays) -> Arrays:
        """`motion` [S, 114] of all seen frames."""
        steps = START_STEPS if self.settings.photometric else MOTION_STEPS
        counter = Counter(self.progress, steps * len(self.windows), "landmark fit")
        of = Shared(torch.from_numpy(identity["shared"]))
        bias = self._bias(torch.from_numpy(identity["key_motion"]), of)
        shaped, parts = self.reduced.shaped(of.shape), []
        for number, (start, end) in enumerate(self.windows):
            window = slice(start, end)
            motion = self._rigid(shaped, window, of)
            search = Search(steps, self.stop, counter.step)
            problem = self._problem(shaped, window, bias=bias)
            parts.append(solve_motion(problem, motion, of.camera, self._smooth(window), search))
            counter.reach(steps * (number + 1))
        return {"motion": blended(parts, self.windows).numpy()}

    def _identity_of_colours(self, model: AlbedoModel, landmarks: Arrays) -> Arrays:
        """`shared` [S + 3], `key_motion` [K, 114], and at each level of detail `code` [L, K], `albedo` [L, V, 3]
        and `point_albedo` [L, N, 3]."""
        counter = Counter(self.progress, IDENTITY_STEPS * len(IDENTITY_VISITS), "identity")
        motion, shared = torch.from_numpy(landmarks["key_motion"]), torch.from_numpy(landmarks["shared"])
        frames = self.seen[self.key.numpy()]
        chosen = (self.footage.frame(int(frame)) for frame in frames)
        crops = face_crops(chosen, self.observed[self.key].numpy(), self.lens, frames)
        view = self.view.at(self.key)
        free = 0 if self.settings.shape is not None else IDENTITY_SHAPE
        fixed, weights = Shared(shared).shape, self.weights.for_identity(turn_spread(motion))
        head, offset = self.reduced.shaped(fixed, free), None
        solved = torch.cat((fixed[:free], Shared(shared).camera))
        fine = detail(crops)
        of_levels = [Photometry.of(self.head, model, weights, count).shaped(fixed, free) for count in IDENTITY_POINTS]
        for visit, level in enumerate(IDENTITY_VISITS):
            photometry = of_levels[level]
            seen = photometry.surfaces(crops, view, motion, Shared(shared))
            colours = photometry.detail_term(fine, level, view, seen)
            problem = self._problem(head, self.key, colours=True, weights=weights).with_colours(colours)
            problem = replace(problem, landmarks=MisplacedLandmarks.of(problem.landmarks, offset))
            search = Search(IDENTITY_STEPS, self.stop, counter.step)
            problem, motion, solved = solve_with_shared(problem, motion, solved, search)
            offset = problem.landmarks.offset
            shared = torch.cat((solved[:free], fixed[free:], solved[free:]))
            counter.reach(IDENTITY_STEPS * (visit + 1))
        seen = photometry.surfaces(crops, view, motion, Shared(shared))
        compared = Photometry.of(self.head, model, self.weights)
        albedos = [compared.learn(crops, level, seen) for level in range(len(LEVELS))]
        albedos = [compared.learn_points(crops, level, seen, albedo) for level, albedo in enumerate(albedos)]
        return {
            "shared": shared.numpy(),
            "key_motion": motion.numpy(),
            "code": np.stack([albedo.code.numpy() for albedo in albedos]),
            "albedo": np.stack([albedo.vertices.numpy() for albedo in albedos]),
            "point_albedo": np.stack([albedo.points.numpy() for albedo in albedos]),
        }

    def _motion_of_colours(self, model: AlbedoModel, motion: np.ndarray, identity: Arrays, kept: Checkpoint) -> Arrays:
        """`motion` [S, 114], `lighting` (S, 9, 3), `error` (S,) of colours, `hidden` (S,) of the mouth."""
        shared = Shared(torch.from_numpy(identity["shared"]))
        photometry = Photometry.of(self.head, model, self.weights).shaped(shared.shape)
        learned = (identity[name] for name in ("code", "albedo", "point_albedo"))
        albedos = [Albedo(*map(torch.from_numpy, of_level)) for of_level in zip(*learned, strict=True)]
        bias = self._bias(torch.from_numpy(identity["key_motion"]), shared)
        counter = Counter(self.progress, COLOUR_STEPS * len(VISITS) * len(self.windows), "colours")
        parts: list[Arrays] = []
        for number, (start, end) in enumerate(self.windows):
            window = slice(start, end)
            here = torch.from_numpy(motion[window])
            parts.append(
                kept.once(
                    f"window_{number:04d}",
                    lambda window=window, here=here: self._window_of_colours(
                        photometry, albedos, bias, window, here, shared, counter
                    ),
                )
            )
            counter.reach(COLOUR_STEPS * len(VISITS) * (number + 1))
        whole = {
            name: blended([torch.from_numpy(part[name]) for part in parts], self.windows).numpy() for name in parts[0]
        }
        return {
            "motion": whole["motion"],
            "lighting": whole["lighting"].reshape(-1, 9, 3),
            "error": whole["error"][:, 0],
            "hidden": whole["hidden"][:, 0],
        }

    def _window_of_colours(
        self,
        photometry: Photometry,
        albedos: list[Albedo],
        bias: Tensor,
        window: slice,
        motion: Tensor,
        shared: Shared,
        counter: Counter,
    ) -> Arrays:
        """The window's columns: `motion` [W, 114], `lighting` [W, 27], `error` [W, 1], `hidden` [W, 1]."""
        shaped, occlusion = self.reduced.shaped(shared.shape), Occlusion(photometry.points)
        frames = self.seen[window]
        crops = face_crops(pictures(self.footage, frames), self.observed[window].numpy(), self.lens, frames)
        view = self.view.at(window)
        for level in VISITS:
            seen = photometry.surfaces(crops, view, motion, shared)
            term, light = photometry.term(crops, level, view, seen, albedos[level])
            lips = occlusion.lips_trust(term, motion, shared)
            problem = self._problem(shaped, window, colours=True, lips=lips, bias=bias).with_colours(term)
            search = Search(COLOUR_STEPS, self.stop, counter.step)
            motion = solve_motion(problem, motion, shared.camera, self._smooth(window), search)
        error, hidden = occlusion.measure(term, motion, shared)
        columns = {"motion": motion, "lighting": light.flatten(1), "error": error[:, None], "hidden": hidden[:, None]}
        return {name: column.double().numpy() for name, column in columns.items()}

    def _bias(self, motion: Tensor, shared: Shared) -> Tensor:
        """What FaceMesh gets wrong of this face in all of its frames, [468, 3] metres in the head's own axes: the mean
        of what colours and landmarks disagree in over the key frames."""
        head = self.reduced.shaped(shared.shape)
        view, observed, trust = self.view.at(self.key), self.observed[self.key], self.trust[self.key]
        return landmark_bias(head, view, motion, shared, observed, trust)

    def _smooth(self, window: slice) -> Smoothness:
        joined = torch.from_numpy(np.diff(self.seen[window]) == 1)
        return Smoothness.of(self.weights, torch.from_numpy(self.times[self.seen[window]]), joined)

    def _rigid(self, head: SurfaceHead, frames: Tensor | slice, shared: Shared) -> Tensor:
        view = self.view.at(frames)
        focals = (shared.focal * view.zoom).numpy()
        return rigid_motion(head, self.observed[frames], focals, (view.centre + shared.offset).numpy())

    def _spread(self, found: Arrays) -> Fit:
        """The fit of all frames, those without a face between their neighbours."""
        of, known = Shared(torch.from_numpy(found["shared"])), self.times[self.seen]

        def everywhere(values: np.ndarray) -> np.ndarray:
            return in_between(values.reshape(len(values), -1), known, self.times).reshape(-1, *values.shape[1:])

        whole = everywhere(found["motion"])
        focal = self.lens.focals(float(of.focal))
        offset = of.offset.numpy() / (1.0, self.lens.squeeze)
        unseen = np.setdiff1d(np.arange(len(self.times)), self.seen)
        errors, covered = everywhere(found["error"]), everywhere(found["hidden"])
        errors[unseen] = covered[unseen] = 0
        return Fit(
            shape=of.shape.numpy(),
            intrinsics=np.concatenate([focal, self.lens.centre + offset], axis=1),
            rotation=head_rotation(torch.from_numpy(whole[:, TURN])).numpy(),
            translation=whole[:, SHIFT],
            jaw=whole[:, JAW],
            neck=whole[:, NECK],
            expression=whole[:, EXPRESSION],
            eyelids=whole[:, EYELIDS],
            lighting=everywhere(found["lighting"]),
            texture=found["texture"],
            albedo=found.get("albedo"),
            colour_error=errors,
            hidden=covered,
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


def rigid_motion(shaped: SurfaceHead, observed: Tensor, focals: np.ndarray, centres: np.ndarray) -> Tensor:
    """Motion [T, 114] with turn and shift of each frame and a neutral face.

    observed: [T, 468, 2] px.   focals: (T,) px.   centres: (T, 2) px.
    Source: Terzakis & Lourakis 2020, SQPnP, as in OpenCV. It works on positions, so pixel centres at +0.5 are as good
    as any other, the principal point being given the same way.
    """
    nothing = torch.zeros(1, UNKNOWNS, dtype=torch.float64)
    rest = (nothing[:, EXPRESSION], nothing[:, EYELIDS], nothing[:, JAW], nothing[:, NECK])
    points = shaped.points(torch.zeros(shaped.shape_components, dtype=torch.float64), *rest)[0].numpy()
    motion = np.zeros((len(observed), UNKNOWNS))
    for frame, (pixels, focal, centre) in enumerate(zip(observed.numpy(), focals, centres, strict=True)):
        camera = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]])
        _, turn, shift = cv2.solvePnP(points, pixels, camera, None, flags=cv2.SOLVEPNP_SQPNP)
        facing = cv2.Rodrigues(turn)[0] @ np.diag([1.0, -1.0, -1.0])
        motion[frame, TURN] = cv2.Rodrigues(facing)[0][:, 0]
        motion[frame, SHIFT] = shift[:, 0]
    return torch.from_numpy(motion)


def turn_spread(motion: Tensor) -> float:
    """Root mean square angle between where the head faces and where it does on average, radians.   motion: [K, 114]."""
    facing = head_rotation(motion[:, TURN])[..., 2]  # [K, 3]
    mean = torch.nn.functional.normalize(facing.mean(0), dim=0)
    return float((facing @ mean).clamp(-1, 1).acos().square().mean().sqrt())


def windows_of(count: int) -> list[tuple[int, int]]:
    """Overlapping spans [start, end) that cover `count` frames."""
    starts = range(0, max(count - OVERLAP, 1), WINDOW - OVERLAP)
    return [(start, min(start + WINDOW, count)) for start in starts]


def blended(parts: list[Tensor], windows: list[tuple[int, int]]) -> Tensor:
    """One sequence [T, C] of the windows', one fading into the next where they overlap."""
    whole = torch.zeros(windows[-1][1], parts[0].shape[1], dtype=torch.float64)
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
