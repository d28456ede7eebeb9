# SPDX-License-Identifier: Apache-2.0
"""Synthetic footage of the synthetic actor, and shot packages made from its ground truth."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from dubplate_backend.head.load import load_head
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.colour import PlateColour
from dubplate_backend.plates.movie import write_movie
from dubplate_backend.raster.camera import project, to_camera
from dubplate_backend.speech.mouth import mouth_on_head
from dubplate_backend.speech.sound import write_wav
from dubplate_backend.synthetic.actor import Pose, cast, picture
from dubplate_backend.synthetic.backdrop import backdrop
from dubplate_backend.synthetic.light import WINDOW_LIGHT, Set, irradiance
from dubplate_backend.synthetic.performance import Performance, perform
from dubplate_backend.synthetic.utterance import babble
from dubplate_backend.synthetic.voice import VOICE_RATE, synthesise
from dubplate_backend.tracking.crop import crop_matrices
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check, never, silent
from dubplate_shared.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from dubplate_shared.shot import HeadIdentity, PlateSource, Rate, Shot, ShotInfo, write_shot
from dubplate_shared.track import Track

RATE = Rate(25)
QUALITY = 12  # x264's constant rate factor: what a camera's own file would keep
_FOCAL = 2.3  # of the picture's width: a portrait lens
_FACE_SHARE = 0.48  # of the picture's height, from the brow's top to the chin
_FACE_CENTRE = (0.5, 0.49)  # of the picture
_SHAPE_COMPONENTS, _SHAPE_SPREAD = 40, 0.55  # how far the person is from the mean face


@dataclass(frozen=True)
class Scene:
    """A synthetic shot before its pictures are drawn: who, what he does, and the camera, with the true track."""

    head: HeadModel
    track: Track
    voice: np.ndarray  # float32 mono at VOICE_RATE
    size: int
    seed: int


def stage(*, seconds: float, size: int, seed: int, head: HeadModel) -> Scene:
    """Write the performance and place the camera.  size: px, of the square picture.  Deterministic in the seed."""
    count = max(1, round(seconds * RATE.fps))
    times = np.arange(count) / RATE.fps
    utterance = babble(count / RATE.fps, seed=seed)
    performance = perform(utterance, times + 0.5 / RATE.fps, seed=seed)
    shape = _shape(seed)
    expression, jaw = mouth_on_head(
        head, shape, np.zeros((count, 100), np.float32), performance.jaw_deg, performance.controls
    )
    rotation, translation, intrinsics = place_camera(head, shape, performance, size)
    track = true_track(head, shape, times, expression, jaw, performance, rotation, translation, intrinsics)
    return Scene(head, track, synthesise(utterance, seed=seed), size, seed)


def frames(
    scene: Scene, *, texture_size: int = 1024, progress: ProgressCallback = silent, stop: Stop = never
) -> Iterator[np.ndarray]:
    """The scene's pictures in order, uint8 [size, size, 3] sRGB.  A frame has the same bits however many are drawn."""
    actor = cast(scene.head, torch.from_numpy(scene.track.shape), seed=scene.seed, texture_size=texture_size)
    background = backdrop(scene.size, seed=scene.seed)
    count = len(scene.track)

    def draw(index: int) -> np.ndarray:
        check(stop)
        grain = np.random.default_rng((scene.seed, 0x64A14, index))
        intrinsics = torch.from_numpy(scene.track.intrinsics[index])
        return picture(actor, pose_at(scene.track, index), intrinsics, background, grain=grain)

    workers = min(4, os.cpu_count() or 1)
    indices = iter(range(count))
    with ThreadPoolExecutor(workers) as pool:
        while batch := list(islice(indices, 2 * workers)):
            for index, drawn in zip(batch, pool.map(draw, batch), strict=True):
                progress(Progress(index + 1, count, "drawing"))
                yield drawn


def make_synthetic_video(
    path: Path | str,
    *,
    seconds: float = 7.0,
    size: int = 512,
    seed: int = 1,
    head: HeadModel | None = None,
    texture_size: int = 1024,
    progress: ProgressCallback = silent,
    stop: Stop = never,
) -> Scene:
    """Film the synthetic actor: an H.264 file with his voice, 25 fps.  Returns the scene with the true track."""
    scene = stage(seconds=seconds, size=size, seed=seed, head=head or load_head())
    with tempfile.TemporaryDirectory() as folder:
        voice = Path(folder) / "voice.wav"
        write_wav(voice, scene.voice, VOICE_RATE)
        pictures = frames(scene, texture_size=texture_size, progress=progress, stop=stop)
        write_movie(path, pictures, RATE, voice, quality=QUALITY)
    return scene


def make_synthetic_shot(
    path: Path | str, *, seconds: float = 1.5, size: int = 256, seed: int = 1, head: HeadModel | None = None
) -> Shot:
    """A shot package with plate and sound inside it, from the ground truth: nothing is tracked.

    path: NAME.dubshot, which must not exist yet.  Some seconds for 1.5 s at 256 px.
    """
    path = Path(path)
    with tempfile.TemporaryDirectory() as folder:
        plate, voice = Path(folder) / "plate.mp4", Path(folder) / "voice.wav"
        scene = make_synthetic_video(plate, seconds=seconds, size=size, seed=seed, head=head, texture_size=512)
        write_wav(voice, scene.voice, VOICE_RATE)
        info = ShotInfo(
            name=path.stem,
            frame_count=len(scene.track),
            rate=RATE,
            width=size,
            height=size,
            plate=PlateSource("video", plate.name, PlateColour.named("bt709").interop_id),
            head=HeadIdentity(scene.head.kind, scene.head.sha256),
            audio=(voice.name,),
            tool={"dubplate": "synthetic"},
        )
        rig = scene.head.rig(torch.from_numpy(scene.track.shape))
        return write_shot(
            path,
            info,
            scene.track,
            crop_matrices(scene.head, scene.track),
            rig,
            files={plate.name: plate, voice.name: voice},
        )


def voice_line(path: Path | str, *, seconds: float, seed: int, pitch_hz: float = 112.0) -> None:
    """A WAV of the generated voice saying something new."""
    write_wav(path, synthesise(babble(seconds, seed=seed), seed=seed, pitch_hz=pitch_hz), VOICE_RATE)


def _shape(seed: int) -> np.ndarray:
    shape = np.zeros(300, np.float32)
    shape[:_SHAPE_COMPONENTS] = np.random.default_rng((seed, 0x5A4E)).normal(0, _SHAPE_SPREAD, _SHAPE_COMPONENTS)
    return shape


def place_camera(
    head: HeadModel,
    shape: np.ndarray,
    performance: Performance,
    size: int,
    *,
    lens: float = _FOCAL,
    face_share: float = _FACE_SHARE,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """rotation (T, 3), translation (T, 3), intrinsics (T, 4): the face in the middle, swaying as performed.

    lens: focal length over the picture's width.  face_share: of the picture's height, from the brow's top to the chin.
    """
    points = head.landmarks(head.shaped(torch.from_numpy(shape))[0])[0].double().numpy()
    focal = lens * size
    height = points[:, 1].max() - points[:, 1].min()
    distance = focal * height / (face_share * size)
    centre = 0.5 * (points.max(axis=0) + points.min(axis=0))
    upright = matrix_from_axis_angle(np.array([np.pi, 0.0, 0.0]))
    pitch, yaw, roll = np.radians(performance.head_deg).T
    zero = np.zeros_like(pitch)
    sway = (
        matrix_from_axis_angle(np.stack([zero, yaw, zero], -1))
        @ matrix_from_axis_angle(np.stack([pitch, zero, zero], -1))
        @ matrix_from_axis_angle(np.stack([zero, zero, roll], -1))
    )  # (T, 3, 3) in head space
    rotation = upright @ sway
    place = (np.array(_FACE_CENTRE) - 0.5) * size * distance / focal
    target = np.array([place[0], place[1], distance]) + 1e-3 * performance.sway_mm
    translation = target - np.einsum("tij,j->ti", np.broadcast_to(upright, rotation.shape), centre)
    intrinsics = np.tile([focal, focal, 0.5 * size, 0.5 * size], (len(rotation), 1))
    return axis_angle_from_matrix(rotation), translation, intrinsics


def true_track(
    head: HeadModel, shape: np.ndarray, times: np.ndarray, expression: np.ndarray, jaw: np.ndarray,
    performance: Performance, rotation: np.ndarray, translation: np.ndarray, intrinsics: np.ndarray,
    light: Set = WINDOW_LIGHT,
) -> Track:  # fmt: skip
    """The track of what is performed, nothing of it estimated."""
    count = len(times)
    up, left = np.radians(performance.gaze_deg).T
    eye = np.stack([-up, left, np.zeros(count)], axis=-1)
    track = Track(
        frame=np.arange(1001, 1001 + count),
        time=times,
        shape=shape,
        expression=expression,
        jaw=jaw,
        neck=np.radians(performance.neck_deg),
        eyes=np.concatenate([eye, eye], axis=-1),
        eyelids=np.stack([performance.blink] * 2, axis=-1),
        rotation=rotation,
        translation=translation,
        intrinsics=intrinsics,
        distortion=np.zeros(8),
        lighting=np.tile(irradiance(light), (count, 1, 1)),
        texture=np.zeros(0),
        confidence=np.ones(count),
        landmarks_px=np.zeros((count, 468, 2)),
        projected_px=np.zeros((count, 468, 2)),
        landmark_index=np.arange(468),
    )
    points = project_landmarks(head, track)
    return Track(**{**track.__dict__, "landmarks_px": points, "projected_px": points})


def project_landmarks(head: HeadModel, track: Track) -> np.ndarray:
    """(T, 468, 2) plate px of the track's head."""
    points = []
    for start in range(0, len(track), 64):
        part = slice(start, start + 64)
        arrays = (track.expression, track.jaw, track.neck, track.eyes, track.eyelids)
        vertices = head.vertices(torch.from_numpy(track.shape), *(torch.from_numpy(array[part]) for array in arrays))
        camera = to_camera(
            head.landmarks(vertices), torch.from_numpy(track.rotation[part]), torch.from_numpy(track.translation[part])
        )
        points.append(project(camera, torch.from_numpy(track.intrinsics[part])).numpy())
    return np.concatenate(points)


def pose_at(track: Track, index: int) -> Pose:
    """One frame of a track."""
    arrays = (track.expression, track.jaw, track.neck, track.eyes, track.eyelids, track.rotation, track.translation)
    return Pose(*(torch.from_numpy(array[index]) for array in arrays))
