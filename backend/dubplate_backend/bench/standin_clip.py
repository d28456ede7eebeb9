# SPDX-License-Identifier: Apache-2.0
"""Clips of the stand-in whose every parameter is known: filmed as the synthetic actor is, with turns, other light and
another lens."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from dubplate_backend.bench.kept_clips import kept_clip
from dubplate_backend.bench.truth_motion import Filmed, filmed, lit, moving
from dubplate_backend.head.model import EXPRESSION_COMPONENTS, SHAPE_COMPONENTS, HeadModel
from dubplate_backend.plates.movie import write_movie
from dubplate_backend.raster.rasterise import interpolate, rasterise
from dubplate_backend.speech.mouth import lips_apart, mouth_on_head
from dubplate_backend.synthetic.actor import Actor, Pose, cast, picture
from dubplate_backend.synthetic.backdrop import backdrop
from dubplate_backend.synthetic.light import irradiance
from dubplate_backend.synthetic.performance import Performance
from dubplate_backend.synthetic.utterance import babble
from dubplate_shared.landmarks import COUNT
from dubplate_shared.shot import Rate
from dubplate_shared.track import Track

RATE = Rate(25)
CAMERA_FILE, LOSSLESS = 12, 0  # x264's constant rate factor
SHAPE_DRAWN, SHAPE_SPREAD = 80, 0.7  # components of the identity that differ from the mean, and how far
FACE_DRAWN, FACE_SPREAD = 30, 0.15  # likewise of what the face does beside speaking
JAW_STRETCH = 1.25  # wide vowels reach 20 degrees
DARKEST_TO_LIGHTEST, PIGMENT = (0.4, 1.1), (1.0, 1.2, 1.35)  # share of the actor's reflectance, and its power by colour
NOISE = 1.5 / 255  # of the sensor, standard deviation, display-referred
TRACK, VIDEO = "track.npz", "clip.mp4"


@dataclass(frozen=True)
class StandinClip:
    """What to film.   size: px of the square picture.   texture_px: of the skin.   still: head, mouth and light do not
    move at all; nothing but noise does, and it is coded without loss."""

    seed: int
    frames: int
    size: int = 640
    texture_px: int = 1024
    still: bool = False


@dataclass(frozen=True)
class Known:
    """A clip on disk and the track that it was drawn from."""

    video: Path
    track: Track


def standin_clip(clip: StandinClip, head: HeadModel) -> Known:
    """Film it, or take it from the cache: about half a second a frame on two cores."""
    name = f"standin-{'still' if clip.still else 'speaks'}-{clip.seed}-{clip.frames}"
    folder = kept_clip(name, (clip, head.sha256), lambda folder: _film(clip, head, folder))
    return Known(folder / VIDEO, Track.load(folder / TRACK))


def _film(clip: StandinClip, head: HeadModel, folder: Path) -> None:
    times = np.arange(clip.frames) / RATE.fps
    random = np.random.default_rng((clip.seed, 0x57A9))
    shape = np.zeros(SHAPE_COMPONENTS, np.float32)
    shape[:SHAPE_DRAWN] = random.normal(0, SHAPE_SPREAD, SHAPE_DRAWN)
    performance = moving(babble(clip.frames / RATE.fps, seed=clip.seed), times, seed=clip.seed)
    base = np.zeros((clip.frames, EXPRESSION_COMPONENTS), np.float32)
    base[:, :FACE_DRAWN] = _drifting(times, random) @ random.normal(0, FACE_SPREAD, (4, FACE_DRAWN))
    controls = {**performance.controls, "smile_L": _smile(times, random), "smile_R": _smile(times, random)}
    expression, jaw = mouth_on_head(head, shape, base, JAW_STRETCH * performance.jaw_deg, controls)
    expression, jaw = lips_apart(head, shape, expression, jaw)
    rest = head.landmarks(head.shaped(torch.from_numpy(shape))[0])[0].double().numpy()
    track = _track(times, shape, expression, jaw, performance, filmed(rest, performance, clip.size, seed=clip.seed))
    lights = lit(times, seed=clip.seed)
    if clip.still:
        track, lights = _held(track, clip.frames // 2), [lights[0]] * clip.frames
    track = replace(track, lighting=np.stack([irradiance(light) for light in lights]))
    track.save(folder / TRACK)
    actor = cast(head, torch.from_numpy(shape), seed=clip.seed, light=lights[0], texture_size=clip.texture_px)
    actor = _toned(actor, random.uniform(*DARKEST_TO_LIGHTEST))
    background = backdrop(clip.size, seed=clip.seed)

    def draw(index: int) -> np.ndarray:
        grain = np.random.default_rng((clip.seed, 0x64A14, index))
        lens = torch.from_numpy(track.intrinsics[index])
        drawn = picture(replace(actor, light=lights[index]), _pose(track, index), lens, background, grain=grain)
        noisy = drawn + grain.normal(0, 255 * NOISE, drawn.shape)
        return np.clip(np.round(noisy), 0, 255).astype(np.uint8)

    write_movie(
        folder / VIDEO, drawn_in_order(draw, clip.frames), RATE, quality=LOSSLESS if clip.still else CAMERA_FILE
    )


def drawn_in_order(draw: Callable[[int], np.ndarray], count: int) -> Iterator[np.ndarray]:
    """The pictures 0 .. count - 1 of `draw(index)`, drawn by all cores, a few ahead."""
    workers = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, count, 2 * workers):
            yield from pool.map(draw, range(start, min(start + 2 * workers, count)))


def _toned(actor: Actor, tone: float) -> Actor:
    """The same person with more pigment: skin, lips and hair darker by `tone`, green and blue more so; not eyes and
    teeth."""
    head, texture = actor.head, actor.materials.texture
    size = len(texture)
    flat = torch.stack([head.uv[:, 0] * size, (1 - head.uv[:, 1]) * size, torch.ones(len(head.uv))], dim=-1)
    fragments = rasterise(flat[None], head.faces_uv, size, size)
    pale = (head.masks["eyes"] | head.masks["teeth"] | head.masks["mouth"]).float()[:, None]
    share = 1 - interpolate(fragments, pale[head.faces])[0].numpy()  # [S, S, 1]
    toned = texture.copy()
    toned[..., :3] *= 1 + share * (tone ** np.array(PIGMENT) - 1)
    return replace(actor, materials=replace(actor.materials, texture=toned.astype(np.float32)))


def _track(
    times: np.ndarray,
    shape: np.ndarray,
    expression: np.ndarray,
    jaw: np.ndarray,
    performance: Performance,
    seen: Filmed,
) -> Track:
    count = len(times)
    up, left = np.radians(performance.gaze_deg).T
    eye = np.stack([-up, left, np.zeros(count)], axis=-1)
    return Track(
        frame=1001 + np.arange(count),
        time=times,
        shape=shape,
        expression=expression,
        jaw=jaw,
        neck=np.radians(performance.neck_deg),
        eyes=np.concatenate([eye, eye], axis=-1),
        eyelids=np.stack([performance.blink] * 2, axis=-1),
        rotation=seen.rotation,
        translation=seen.translation,
        intrinsics=np.tile(seen.intrinsics, (count, 1)),
        distortion=np.zeros(8),
        lighting=np.zeros((count, 9, 3)),
        texture=np.zeros(0),
        confidence=np.ones(count),
        landmarks_px=np.zeros((count, COUNT, 2)),
        projected_px=np.zeros((count, COUNT, 2)),
        landmark_index=np.arange(COUNT),
    )


def _held(track: Track, index: int) -> Track:
    """All frames as the one at `index`, with the eyes open."""
    moving_arrays = ("expression", "jaw", "neck", "eyes", "rotation", "translation")
    held = {name: np.repeat(getattr(track, name)[index : index + 1], len(track), axis=0) for name in moving_arrays}
    return replace(track, **held, eyelids=np.zeros_like(track.eyelids))


def _drifting(times: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(T, 4) slow waves of about unit size."""
    return np.sqrt(2) * np.sin(2 * np.pi * (random.uniform(0.1, 0.5, 4) * times[:, None] + random.uniform(size=4)))


def _smile(times: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(T,) 0 .. 0.5: comes and goes."""
    return 0.5 * np.clip(np.sin(2 * np.pi * (random.uniform(0.15, 0.3) * times + random.uniform())), 0, 1)


def _pose(track: Track, index: int) -> Pose:
    arrays = (track.expression, track.jaw, track.neck, track.eyes, track.eyelids, track.rotation, track.translation)
    return Pose(*(torch.from_numpy(array[index]) for array in arrays))
