# SPDX-License-Identifier: Apache-2.0
"""A stretch of a track solved again under constraints from outside. Everything around it stays, bit for bit.

Shape, lens and albedo are held. The frames next to the stretch enter the fit as they are, so that the motion runs into
them smoothly; only the stretch is taken from what comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dubplate_backend.head.model import HeadModel
from dubplate_backend.tracking.albedo import Albedo, AlbedoModel
from dubplate_backend.tracking.corrections import spread_over_face, spread_over_time
from dubplate_backend.tracking.face_crops import LEVELS, face_crops
from dubplate_backend.tracking.fit import MOTION_STEPS, Counter
from dubplate_backend.tracking.frames import Frames, pictures
from dubplate_backend.tracking.held import Held
from dubplate_backend.tracking.landmark_bias import landmark_bias
from dubplate_backend.tracking.landmark_term import LandmarkTerm
from dubplate_backend.tracking.lens import Lens
from dubplate_backend.tracking.occlusion import Occlusion
from dubplate_backend.tracking.photometry import Photometry
from dubplate_backend.tracking.priors import Priors, likely_faces
from dubplate_backend.tracking.problem import Problem
from dubplate_backend.tracking.projection import View, see
from dubplate_backend.tracking.quality import Seen
from dubplate_backend.tracking.repaired_crop import OF_THE_SHOT, repaired_crop
from dubplate_backend.tracking.smoothness import Smoothness
from dubplate_backend.tracking.solver import Search, solve_motion
from dubplate_backend.tracking.surface_head import SurfaceHead
from dubplate_backend.tracking.track import projected_landmarks, unbroken
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
from dubplate_shared.errors import InvalidInput
from dubplate_shared.landmarks import COUNT
from dubplate_shared.pins import Pins
from dubplate_shared.progress import ProgressCallback, Stop, never, silent
from dubplate_shared.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from dubplate_shared.track import Track

AROUND = 12  # frames on either side of the pins, where nothing there is flagged
BESIDE = 2  # frames on either side that are held: as far as a temporal term reaches
MOST_FRAMES = 512  # solved at once
BIAS_FRAMES = 32  # of the shot, that tell what FaceMesh always gets wrong of this face
LEVEL_STEPS = 3  # at each level of the pictures, once: the track around has settled
KNOWN = 1e-5  # radians, metres, components: the deviation of what is held
PINNED_CONFIDENCE = 0.5  # of a frame in which a person, and nothing else, saw the face
FACING = np.diag([1.0, -1.0, -1.0])  # see `unknowns.head_rotation`


@dataclass(frozen=True)
class Repaired:
    """frames: numbers of those solved again.   crop: (T, 2, 3).   cropped: whether any of it has changed.   seen: of
    all frames."""

    track: Track
    crop: np.ndarray
    cropped: bool
    frames: tuple[int, ...]
    seen: Seen


def repair(
    track: Track,
    crop: np.ndarray,
    pins: Pins,
    footage: Frames,
    *,
    head: HeadModel,
    seen: Seen,
    albedo: np.ndarray | None,
    frames: Sequence[int] | None = None,
    flagged: frozenset[int] = frozenset(),
    weights: Weights | None = None,
    progress: ProgressCallback = silent,
    stop: Stop = never,
) -> Repaired:
    """Solve the stretch around `pins` again. Nothing is written.

    crop: (T, 2, 3).   seen: of the track.   albedo: (V, 3) linear RGB of the head's vertices where the track was fitted
    to colours; None: landmarks alone.   frames: numbers, without a hole; unless told, up to the nearest frames that are
    not `flagged`, or AROUND frames where the pins' neighbours are not.
    Raises InvalidInput where there is no pin, a pin lies outside of the frames, or they are too many; Cancelled.
    """
    start, end = stretch(track, pins, frames, flagged)
    return Repair(track, pins, footage, head, seen, albedo, weights or Weights(), (start, end)).run(
        crop, progress, stop
    )


def stretch(track: Track, pins: Pins, frames: Sequence[int] | None, flagged: frozenset[int]) -> tuple[int, int]:
    """Indices [start, stop) that a repair solves again.  Raises InvalidInput as `repair`."""
    if not pins.frames:
        raise InvalidInput("There is no pin.", hint="Place a landmark or key a pose, and export the pins again.")
    first, last = int(track.frame[0]), int(track.frame[-1])
    low, high = (pins.frames[0], pins.frames[-1]) if frames is None else (min(frames), max(frames))
    if frames is not None and len(set(frames)) != high - low + 1:
        raise InvalidInput("The frames to repair have holes.", hint="Repair one stretch at a time, as in 1040-1060.")
    if low < first or high > last or not low <= pins.frames[0] <= pins.frames[-1] <= high:
        where = f"{first}-{last}" if frames is None else f"{max(low, first)}-{min(high, last)}"
        raise InvalidInput(
            f"A pin or a frame to repair lies outside {where}.", hint="Leave the pin out, or widen --frames."
        )
    if frames is None:
        low, high = reach(low, -1, first, flagged), reach(high, 1, last, flagged)
    if high - low + 1 > MOST_FRAMES:
        raise InvalidInput(
            f"{high - low + 1} frames are too many to repair at once.",
            hint=f"Name up to {MOST_FRAMES} with --frames, and only the pins among them.",
        )
    return low - first, high - first + 1


def reach(frame: int, step: int, limit: int, flagged: frozenset[int]) -> int:
    """The last frame in the direction of `step` that belongs to the stretch around a pinned one."""
    if frame not in flagged:
        return max(frame - AROUND, limit) if step < 0 else min(frame + AROUND, limit)
    while frame != limit and frame + step in flagged:
        frame += step
    return frame


class Repair:
    """One stretch and the frames that are held beside it: W frames of a track of T."""

    def __init__(
        self,
        track: Track,
        pins: Pins,
        footage: Frames,
        head: HeadModel,
        seen: Seen,
        albedo: np.ndarray | None,
        weights: Weights,
        span: tuple[int, int],
    ) -> None:
        self.track, self.footage, self.head, self.seen, self.albedo = track, footage, head, seen, albedo
        self.span = slice(*span)
        self.window = slice(max(span[0] - BESIDE, 0), min(span[1] + BESIDE, len(track)))
        self.inside = slice(span[0] - self.window.start, span[1] - self.window.start)
        self.pins = pins.within(track.frame[self.span].tolist())
        weights = weights if albedo is not None else weights.for_landmarks_alone()
        # FaceMesh's depth is not kept in a track.
        self.weights = replace(weights.with_known_lens(), depth_share=float("inf"))
        self.lens = held_lens(track, footage)
        self.view = View(torch.from_numpy(self.lens.centre), torch.from_numpy(self.lens.zooms()))
        self.reduced = SurfaceHead.of(head)
        shape = torch.from_numpy(track.shape[: self.reduced.shape_components]).double()
        self.shared = Shared.of(shape, float(self.lens.focal_px or 1.0))
        self.shaped = self.reduced.shaped(shape)
        self.motion = motion_of(track, self.window)  # [W, 114]
        self.trust = torch.from_numpy(seen.confidence[self.window]).double()

    def run(self, crop: np.ndarray, progress: ProgressCallback, stop: Stop) -> Repaired:
        levels = 0 if self.albedo is None else len(LEVELS)
        counter = Counter(progress, MOTION_STEPS + levels * LEVEL_STEPS, "repair")
        view, camera = self.view.at(self.window), self.shared.camera
        observed, moved, pinned = self._observed(view)
        held = self._held()
        smooth = self._smooth()
        faces = likely_faces(self.head, self.weights)

        def problem(lips: Tensor) -> Problem:
            depth = torch.zeros(observed.shape[:2], dtype=torch.float64)
            term = LandmarkTerm(self.shaped, view, observed, depth, self.trust, lips, self.weights, pinned)
            priors = Priors(self.shaped, faces, float(self.shared.focal), self.lens.diagonal, self.weights)
            return Problem(term, priors, held=held)

        start = torch.where(held.precision > 0, held.target, self.motion)
        believed = torch.ones_like(self.trust)
        motion = solve_motion(problem(believed), start, camera, smooth, Search(MOTION_STEPS, stop, counter.step))
        counter.reach(MOTION_STEPS)
        light, error, hidden = None, None, None
        if self.albedo is not None:
            photometry, albedo = self._photometry(self.albedo)
            occlusion = Occlusion(photometry.points)
            indices = np.arange(self.window.start, self.window.stop)
            where = see(self.shaped, view, motion, self.shared_camera()).projected.numpy()
            crops = face_crops(pictures(self.footage, indices), where, self.lens, indices)
            for level in range(levels):
                surface = photometry.surfaces(crops, view, motion, self.shared)
                term, _ = photometry.term(crops, level, view, surface, albedo)
                term = replace(term, belief=term.belief * (self.trust > 0)[:, None])
                lips = occlusion.lips_trust(term, motion, self.shared)
                search = Search(LEVEL_STEPS, stop, counter.step)
                motion = solve_motion(problem(lips).with_colours(term), motion, camera, smooth, search)
                counter.reach(MOTION_STEPS + (level + 1) * LEVEL_STEPS)
            surface = photometry.surfaces(crops, view, motion, self.shared)
            term, lit = photometry.term(crops, len(LEVELS) - 1, view, surface, albedo)
            light = lit.double().numpy()
            error, hidden = (column.double().numpy() for column in occlusion.measure(term, motion, self.shared))
        seen = self._seen(error, hidden)
        track = self._written(motion.numpy(), light, (observed + moved).numpy(), seen)
        after, changed = repaired_crop(self.head, self.track, track, crop, self.span)
        return Repaired(track, after, changed, tuple(int(frame) for frame in track.frame[self.span]), seen)

    def shared_camera(self) -> Shared:
        """What is shared once the head is shaped."""
        return Shared(self.shared.camera)

    def _observed(self, view: View) -> tuple[Tensor, Tensor, Tensor]:
        """Landmarks of the ideal picture as corrected by the pins, [W, 468, 2], without what FaceMesh always gets wrong
        of this face; that, [W, 468, 2]; and which are pinned, [W, 468] bool."""
        indices = np.arange(self.window.start, self.window.stop)
        order = np.argsort(self.track.landmark_index)[:COUNT]
        detected = self.lens.ideal(self.track.landmarks_px[self.window][:, order].astype(np.float64), indices)
        now = see(self.shaped, view, self.motion, self.shared_camera()).projected.numpy()  # [W, 468, 2]
        moved = self._bias(view) - now
        faceless = self.trust.numpy() <= 0
        detected[faceless], moved[faceless] = now[faceless], 0.0
        observed = detected - moved

        pinned = np.zeros(observed.shape[:2], bool)
        placed = np.zeros_like(observed)
        corrections: dict[int, np.ndarray] = {}
        for pin in self.pins.poses:
            at = self._at(pin.frame)
            keyed = self.motion[at : at + 1].clone()
            keyed[0, TURN], keyed[0, SHIFT] = pose_of(pin.rotation, pin.translation)
            there = see(self.shaped, view.at(slice(at, at + 1)), keyed, self.shared_camera()).projected[0].numpy()
            corrections[at] = there - now[at]
        for at in sorted({self._at(pin.frame) for pin in self.pins.landmarks}):
            pins = [pin for pin in self.pins.landmarks if self._at(pin.frame) == at]
            landmarks = np.array([pin.landmark for pin in pins])
            plate = np.array([[(pin.x, pin.y) for pin in pins]])  # [1, N, 2]
            places = self.lens.ideal(plate, indices[at : at + 1])[0]
            so_far = corrections.get(at, np.zeros((COUNT, 2)))
            off = places - observed[at, landmarks] - so_far[landmarks]
            corrections[at] = so_far + spread_over_face(self.head, landmarks, off)
            pinned[at, landmarks], placed[at, landmarks] = True, places
        times = self.track.time[self.window]
        observed += spread_over_time(times, corrections, self.inside.start, self.inside.stop)
        observed[pinned] = placed[pinned]
        moved[pinned] = 0.0
        return torch.from_numpy(observed), torch.from_numpy(moved), torch.from_numpy(pinned)

    def _bias(self, view: View) -> np.ndarray:
        """Where the landmarks are expected to be detected, [W, 468, 2] px, by how they are in the rest of the shot;
        where the head has them where colours were not fitted, since landmarks then placed it."""
        if self.albedo is None:
            return see(self.shaped, view, self.motion, self.shared_camera()).projected.numpy()
        trusted = np.flatnonzero(self.seen.confidence > 0)
        outside = trusted[(trusted < self.span.start) | (trusted >= self.span.stop)]
        known = outside if len(outside) else trusted
        known = known[np.linspace(0, len(known) - 1, min(BIAS_FRAMES, len(known))).astype(int)]
        order = np.argsort(self.track.landmark_index)[:COUNT]
        ideal = self.lens.ideal(self.track.landmarks_px[known][:, order].astype(np.float64), known)
        motion = torch.cat([motion_of(self.track, slice(index, index + 1)) for index in known])
        at = torch.from_numpy(known)
        trust = torch.from_numpy(self.seen.confidence[known]).double()
        bias = landmark_bias(self.shaped, self.view.at(at), motion, self.shared, torch.from_numpy(ideal), trust)
        return see(self.shaped.moved_by(bias), view, self.motion, self.shared_camera()).projected.numpy()

    def _held(self) -> Held:
        """The frames beside the stretch, keyed poses, and the neck where only colours would tell it from the head."""
        target, precision = self.motion.clone(), torch.zeros_like(self.motion)
        precision[: self.inside.start] = precision[self.inside.stop :] = KNOWN**-2
        if self.albedo is None:
            precision[:, NECK] = KNOWN**-2
        for pin in self.pins.poses:
            at = self._at(pin.frame)
            target[at, TURN], target[at, SHIFT] = pose_of(pin.rotation, pin.translation)
            precision[at, TURN] = precision[at, SHIFT] = KNOWN**-2
            precision[at, NECK] = KNOWN**-2  # or the neck would turn the face back to where it was
        return Held(target, precision)

    def _smooth(self) -> Smoothness:
        count = self.window.stop - self.window.start
        joined = torch.ones(max(count - 1, 0), dtype=torch.bool)
        return Smoothness.of(self.weights, torch.from_numpy(self.track.time[self.window]), joined)

    def _photometry(self, vertices: np.ndarray) -> tuple[Photometry, Albedo]:
        """The person's own albedo, as a model of which nothing varies."""
        mean = torch.from_numpy(vertices).float()
        model = AlbedoModel(mean, torch.zeros(*mean.shape, 0), "one person's")
        photometry = Photometry.of(self.head, model, self.weights).shaped(self.shared.shape)
        return photometry, Albedo(torch.zeros(0), mean)

    def _at(self, frame: int) -> int:
        """Index in the window of a frame's number."""
        return frame - int(self.track.frame[0]) - self.window.start

    def _seen(self, error: np.ndarray | None, hidden: np.ndarray | None) -> Seen:
        """What is seen of all frames. error, hidden: (W,) as measured again."""
        confidence = self.seen.confidence.copy()
        pinned = np.array(self.pins.frames) - int(self.track.frame[0])
        confidence[pinned] = np.where(confidence[pinned] > 0, confidence[pinned], PINNED_CONFIDENCE)
        seen = replace(self.seen, confidence=confidence)
        if error is None or hidden is None:
            return seen
        errors, covered = seen.colour_error.copy(), seen.hidden.copy()
        errors[self.span], covered[self.span] = error[self.inside], hidden[self.inside]
        return Seen(confidence, errors, covered)

    def _written(self, motion: np.ndarray, light: np.ndarray | None, landmarks: np.ndarray, seen: Seen) -> Track:
        """The track with the stretch replaced.   motion: (W, 114).   light: (W, 9, 3).   landmarks: (W, 468, 2) of the
        ideal picture."""
        span, inside = self.span, self.inside
        arrays = {name: array.copy() for name, array in vars(self.track).items()}
        found = motion[inside]
        rotation = axis_angle_from_matrix(head_rotation(torch.from_numpy(found[:, TURN])).numpy())
        before = self.track.rotation[max(span.start - 1, 0)].astype(np.float64)
        arrays["rotation"][span] = unbroken(np.concatenate([before[None], rotation]))[1:]
        for name, columns in (
            ("translation", SHIFT),
            ("jaw", JAW),
            ("expression", EXPRESSION),
            ("eyelids", EYELIDS),
            ("neck", NECK),
        ):
            arrays[name][span] = found[:, columns]
        if light is not None:
            arrays["lighting"][span] = light[inside]
        arrays["confidence"][span] = seen.combined_confidence()[span]
        indices = np.arange(self.window.start, self.window.stop)
        plate = self.lens.plate(landmarks, indices)[inside]
        told = (self.seen.confidence[span] > 0) | np.isin(self.track.frame[span], self.pins.frames)
        order = np.argsort(self.track.landmark_index)[:COUNT]
        stored = arrays["landmarks_px"][span][:, order]
        arrays["landmarks_px"][span, order] = np.where(told[:, None, None], plate, stored)  # else no face is seen
        piece = {name: array if name in OF_THE_SHOT else array[span] for name, array in arrays.items()}
        arrays["projected_px"][span, order] = projected_landmarks(self.head, piece)
        return Track(**arrays)


def held_lens(track: Track, footage: Frames) -> Lens:
    """The lens of a track, as known."""
    fx, fy = track.intrinsics[:, :2].astype(np.float64).T
    focal = float(np.median(fx))
    distortion = track.distortion.astype(np.float64)
    return Lens(
        footage.width,
        footage.height,
        track.intrinsics[:, 2:].astype(np.float64),
        float(np.median(fx / fy)),
        fx / focal,
        focal,
        distortion if distortion.any() else None,
    )


def motion_of(track: Track, frames: slice) -> Tensor:
    """The fit's unknowns of some frames of a track, [T, 114] float64."""
    motion = np.zeros((len(track.frame[frames]), UNKNOWNS))
    motion[:, TURN] = axis_angle_from_matrix(matrix_from_axis_angle(track.rotation[frames]) @ FACING)
    for columns, values in (
        (SHIFT, track.translation),
        (JAW, track.jaw),
        (EXPRESSION, track.expression),
        (EYELIDS, track.eyelids),
        (NECK, track.neck),
    ):
        motion[:, columns] = values[frames]
    return torch.from_numpy(motion)


def pose_of(rotation: Sequence[float], translation: Sequence[float]) -> tuple[Tensor, Tensor]:
    """`turn` and `shift` of a pose, [3] each, from axis-angle and metres, head to camera."""
    turn = axis_angle_from_matrix(matrix_from_axis_angle(np.asarray(rotation, np.float64)) @ FACING)
    return torch.from_numpy(turn), torch.tensor(translation, dtype=torch.float64)
