# SPDX-License-Identifier: Apache-2.0
"""A performance made elsewhere becomes a take of a shot, by seconds, on the shot's own head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from dubplate_backend.head.model import HeadModel
from dubplate_backend.interchange.arkit import UPPER_FACE
from dubplate_backend.interchange.audio2face import read_audio2face
from dubplate_backend.interchange.face_performance import FacePerformance
from dubplate_backend.interchange.face_shapes import codes_of_shapes, missed
from dubplate_backend.interchange.live_link import read_live_link
from dubplate_backend.interchange.resample import Placed, place, start_seconds
from dubplate_backend.interchange.retarget import on_face, performance_of, scale_between
from dubplate_backend.interchange.vertex_fit import fit_vertices
from dubplate_backend.interchange.vertex_performance import VertexPerformance, lip_gap, read_vertices
from dubplate_backend.speech.mouth import LipGauge, resting_expression, resting_face
from dubplate_backend.speech.sound import has_sound
from dubplate_shared.errors import FootageError, InvalidInput
from dubplate_shared.files import sha256_arrays, sha256_file
from dubplate_shared.plate_names import checked_name
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check, never, silent
from dubplate_shared.shot import HeadIdentity, Shot
from dubplate_shared.take import TRACKED, Take

LEAST_CUT_S = 0.1
"""A performance that is cut by less than this is not worth a warning."""
MAX_RATE = 1000.0
TOUCHING_MM, APART_MM = 0.5, 2.0
"""Lips this near to each other touch; this far apart they are left as they are."""


class UpperFace(StrEnum):
    """Whose eyes and brows a take shows: the shot's, as filmed, or the performance's."""

    FILMED = "filmed"
    IMPORTED = "imported"


@dataclass(frozen=True)
class TakeSettings:
    """How a performance is read.

    fps: its rate, where the file does not say or says wrong.   start: see `resample.start_seconds`.
    audio: the voice that belongs to it.   upper_face: None: imported where the performer's own face was recorded
    (Live Link Face), filmed where it was made from sound.
    sequence: which of a file's performances, or of a shot's takes.   neutral: the resting face of vertices, a file;
    None: found in them.   scale: of a performance from another shot; None: by how far either actor opens the lips.
    """

    fps: float | None = None
    start: str | float = 0.0
    audio: Path | None = None
    upper_face: UpperFace | None = None
    sequence: str | None = None
    neutral: Path | None = None
    scale: float | None = None


@dataclass(frozen=True)
class ImportedTake:
    """`take` is made and not stored.   figures: what was measured, JSON-able.   warnings: for a person."""

    take: Take
    figures: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def import_take(
    path: Path,
    shot: Shot,
    name: str,
    *,
    head: HeadModel,
    settings: TakeSettings = TakeSettings(),
    progress: ProgressCallback = silent,
    stop: Stop = never,
) -> ImportedTake:
    """A take of `shot` from a file of another tool, or from another shot; `shot.save_take` stores it.

    Live Link Face .csv and Audio2Face .json go onto any head; vertices (.npy) onto the FLAME they were made on.
    Raises InvalidInput where the file cannot be used, HeadModelMismatch where its vertices are of another head or
    the head is not the shot's, UnsafePickle, FootageError for a voice that is none, Cancelled.
    """
    path = Path(path)
    shot.info.head.require(HeadIdentity(head.kind, head.sha256), "This head")
    if checked_name(name, "Take") == TRACKED:
        raise InvalidInput(f"{TRACKED!r} is what was filmed and cannot be replaced.", hint="Choose another take name.")
    if not path.exists():
        raise InvalidInput(f"{path} does not exist.", hint="Check the path.")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InvalidInput(
            f"{path.name} is of no known kind.",
            hint="Give the .csv of Live Link Face, the .json of Audio2Face, vertices as .npy, or another shot.",
        )
    if settings.fps is not None and not 0 < settings.fps <= MAX_RATE:
        raise InvalidInput(f"{settings.fps:g} frames a second is no rate.", hint="Give the file's true rate.")
    if settings.audio is not None and not has_sound(settings.audio):
        raise FootageError(f"{settings.audio.name} holds no sound.", hint="Give the voice, or go on without --audio.")
    made = reader(path, shot, name, head, settings, progress, stop)
    progress(Progress(1, 1, "done"))
    return made


def _from_shapes(read: Callable[..., FacePerformance], kind: str, usual: UpperFace) -> Callable[..., ImportedTake]:
    def make(
        path: Path,
        shot: Shot,
        name: str,
        head: HeadModel,
        settings: TakeSettings,
        progress: ProgressCallback,
        stop: Stop,
    ) -> ImportedTake:
        progress(Progress(0, 2, "reading"))
        performance = read(path, fps=settings.fps)
        check(stop)
        progress(Progress(1, 2, "putting it on the head"))
        placed, start_s, cut = placed_in(shot, settings.start, performance.timecode_s, performance.seconds)
        upper = settings.upper_face or usual
        weights = {
            shape: placed.presence * placed.sampled(performance.times_s, performance.sample_s, values)
            for shape, values in performance.weights.items()
            if upper is UpperFace.IMPORTED or shape not in UPPER_FACE
        }
        base = base_face(head, shot, upper)
        expression, jaw = codes_of_shapes(head, shot.track.shape, base, weights)
        eyes = None
        if upper is UpperFace.IMPORTED and performance.eyes is not None:
            seen = placed.sampled(performance.times_s, performance.sample_s, performance.eyes)  # [T, 6]
            share = placed.presence[:, None]
            eyes = share * seen + (1.0 - share) * shot.track.eyes
        check(stop)
        lost = missed(weights)
        notes = performance.notes + ((f"Not on this head: {', '.join(lost)}.",) if lost else ())
        take = Take(name, expression, jaw, eyes, origin_of(path, kind, settings, start_s, upper))
        return ImportedTake(take, {"seconds": performance.seconds, "shapes": len(performance.weights)}, notes + cut)

    return make


def placed_in(
    shot: Shot, start: str | float, timecode_s: float | None, seconds: float
) -> tuple[Placed, float, tuple[str, ...]]:
    """Where the performance lies in the shot, its start in seconds, and a warning where it is cut.

    Raises InvalidInput where it lies outside the shot altogether.
    """
    start_s = start_seconds(start, shot, timecode_s)
    placed = place(shot, start_s, seconds)
    length_s = float(shot.track.time[-1] - shot.track.time[0]) + 1.0 / shot.info.rate.fps
    if start_s >= length_s or start_s + seconds <= 0:
        raise InvalidInput(
            f"The performance ({seconds:.2f} s from {start_s:.2f} s) lies outside the shot of {length_s:.2f} s.",
            hint="Give --start in seconds from the shot's first frame.",
        )
    before, after = max(-start_s, 0.0), max(start_s + seconds - length_s, 0.0)
    if before + after > LEAST_CUT_S:
        left_out = f"{before:.2f} s before it and {after:.2f} s after it are left out"
        return placed, start_s, (f"The performance is longer than the shot: {left_out}.",)
    return placed, start_s, ()


def base_face(head: HeadModel, shot: Shot, upper: UpperFace) -> np.ndarray:
    """(T, 100): the actor's face with the mouth at rest, under eyes and brows as filmed, or all at rest."""
    if upper is UpperFace.FILMED:
        return resting_face(head, shot)
    return np.tile(resting_expression(head, shot), (len(shot.track), 1))


def origin_of(path: Path, kind: str, settings: TakeSettings, start_s: float, upper: UpperFace) -> dict[str, Any]:
    """Where a take came from, JSON-able."""
    origin: dict[str, Any] = {
        "kind": "import",
        "format": kind,
        "file": str(path.resolve()),
        "sha256": sha256_file(path),
        "start_s": start_s,
        "fps": settings.fps,
        "upper_face": str(upper),
    }
    if settings.sequence is not None:
        origin["sequence"] = settings.sequence
    if settings.neutral is not None:
        origin["neutral"] = {"file": str(settings.neutral.resolve()), "sha256": sha256_file(settings.neutral)}
    if settings.audio is not None:
        origin["audio"] = str(settings.audio.resolve())
    return origin


def _from_vertices(
    path: Path,
    shot: Shot,
    name: str,
    head: HeadModel,
    settings: TakeSettings,
    progress: ProgressCallback,
    stop: Stop,
) -> ImportedTake:
    progress(Progress(0, 2, "reading"))
    performance = read_vertices(path, head, fps=settings.fps, sequence=settings.sequence, neutral=settings.neutral)
    check(stop)
    fit = fit_vertices(
        head, performance.neutral, performance.vertices, fps=performance.fps, progress=progress, stop=stop
    )
    times, sample_s = np.arange(len(fit.jaw)) / performance.fps, 1.0 / performance.fps
    placed, start_s, cut = placed_in(shot, settings.start, None, len(times) * sample_s)

    def at_frames(values: np.ndarray) -> np.ndarray:
        at = placed.sampled(times, sample_s, values)
        return at * placed.presence.reshape(-1, *[1] * (at.ndim - 1))

    upper = settings.upper_face or UpperFace.FILMED
    expression = (base_face(head, shot, upper) + at_frames(fit.expression)).astype(np.float32)
    jaw = at_frames(fit.jaw).astype(np.float32)
    expression += _contact(head, shot, expression, jaw, at_frames(_touching(head, performance)))
    take = Take(name, expression, jaw, None, origin_of(path, "flame_vertices", settings, start_s, upper))
    figures = {
        "seconds": len(times) * sample_s,
        "lip_error_mm": float(fit.lip_error_mm.mean()),
        "lip_error_95_mm": float(np.percentile(fit.lip_error_mm, 95)),
    }
    return ImportedTake(take, figures, performance.notes + cut)


def _from_shot(
    path: Path,
    shot: Shot,
    name: str,
    head: HeadModel,
    settings: TakeSettings,
    progress: ProgressCallback,
    stop: Stop,
) -> ImportedTake:
    progress(Progress(0, 2, "reading"))
    other = Shot.load(path)
    other.info.head.require(HeadIdentity(head.kind, head.sha256), "This head")
    source = other.take(settings.sequence or TRACKED)
    performance = performance_of(head, other, source)
    scale, notes = (settings.scale, ()) if settings.scale else scale_between(head, other, shot)
    check(stop)
    progress(Progress(1, 2, "putting it on the face"))
    sample_s = 1.0 / other.info.rate.fps
    seconds = float(performance.times_s[-1]) + sample_s
    placed, start_s, cut = placed_in(shot, settings.start, None, seconds)

    def at_frames(values: np.ndarray) -> np.ndarray:
        at = placed.sampled(performance.times_s, sample_s, values)
        return scale * at * placed.presence.reshape(-1, *[1] * (at.ndim - 1))

    upper = settings.upper_face or UpperFace.FILMED
    if upper is UpperFace.IMPORTED:
        raise InvalidInput("Of another shot only the mouth is taken over.", hint="Leave --upper-face out.")
    gap = at_frames(performance.gap_m)
    expression, jaw = on_face(
        head, shot.track.shape, base_face(head, shot, upper), at_frames(performance.expression),
        at_frames(performance.jaw), gap,
    )  # fmt: skip
    expression = expression + _contact(head, shot, expression, jaw, np.clip(1.0 - 1e3 * gap / TOUCHING_MM, 0.0, 1.0))
    origin = {
        "kind": "retarget",
        "shot": other.info.name,
        "file": str(path.resolve()),
        "take": source.name,
        "sha256": sha256_arrays({"expression": source.expression, "jaw": source.jaw}),
        "start_s": start_s,
        "scale": scale,
    }
    voice = settings.audio or (other.voice_path(source) if start_s == 0 else None)
    if voice is not None:
        origin["audio"] = str(voice.resolve())
    figures = {"seconds": seconds, "scale": scale, "lips_apart_mm": float(1e3 * gap.max())}
    return ImportedTake(Take(name, expression, jaw, None, origin), figures, notes + cut)


def _touching(head: HeadModel, performance: VertexPerformance) -> np.ndarray:
    """(T,) 1 where the lips of the performance touch, easing to 0 where they are clearly apart."""
    closed = np.maximum(lip_gap(head, performance.neutral[None]), 0.0)
    gap_mm = 1e3 * (lip_gap(head, performance.vertices) - closed)
    x = np.clip((APART_MM - gap_mm) / (APART_MM - TOUCHING_MM), 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _contact(head: HeadModel, shot: Shot, expression: np.ndarray, jaw: np.ndarray, touching: np.ndarray) -> np.ndarray:
    """(T, 100) to add, so that the actor's own lips meet where the performer's did."""
    needed = LipGauge(head, shot.track.shape).closing(expression, jaw) * touching  # [T]
    return (needed[:, None] * head.controls["lips_close"][0].numpy()).astype(np.float32)


_READERS: dict[str, Callable[..., ImportedTake]] = {
    ".csv": _from_shapes(read_live_link, "live_link_face", UpperFace.IMPORTED),
    ".json": _from_shapes(read_audio2face, "audio2face", UpperFace.FILMED),
    ".npy": _from_vertices,
    ".dubshot": _from_shot,
}
