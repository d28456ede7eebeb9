# SPDX-License-Identifier: Apache-2.0
"""A synthetic person filmed just large enough for a crop: a shot in memory, its plates drawn as they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.colour import PlateColour
from dubplate_backend.speech.mouth import mouth_on_head
from dubplate_backend.synthetic.actor import Actor, cast, picture
from dubplate_backend.synthetic.backdrop import backdrop
from dubplate_backend.synthetic.identity import Identity
from dubplate_backend.synthetic.outline import with_own_outline
from dubplate_backend.synthetic.performance import Performance, perform
from dubplate_backend.synthetic.shot import RATE, place_camera, pose_at, project_landmarks, true_track
from dubplate_backend.synthetic.tracker_error import as_tracked
from dubplate_backend.synthetic.utterance import babble
from dubplate_backend.synthetic.voice import VOICE_RATE, synthesise
from dubplate_backend.tracking.crop import crop_matrices
from dubplate_shared.shot import HeadIdentity, PlateSource, Shot, ShotInfo
from dubplate_shared.track import Track

_FACE_SHARE = 0.56  # of the picture's height: the crop then covers nearly all of it
_PLATE_OVER_CROP = 1.25
_SKIN_TEXTURE = 512  # px: a texel is smaller than a crop's pixel


@dataclass(frozen=True)
class Film:
    """shot: as a tracker would leave it.  plates: frame number -> uint8 [H, W, 3].  sound: mono samples, rate."""

    shot: Shot
    plates: Callable[[int], np.ndarray]
    sound: tuple[np.ndarray, int]


def film(identity: Identity, head: HeadModel, *, frames: int, crop_size: int) -> Film:
    """Film one person speaking.  crop_size: px of the crop that is wanted.  Deterministic in the identity.

    The true track draws the pictures, on a head with the person's own outline; the shot holds the track with a
    tracker's errors.
    """
    size = round(_PLATE_OVER_CROP * crop_size)
    truth, sound = _perform(identity, head, frames, size)
    tracked = as_tracked(truth, identity.seed)
    points = project_landmarks(head, tracked)
    tracked = replace(tracked, landmarks_px=points, projected_px=points)
    name = f"synthetic{identity.seed:05d}"
    info = ShotInfo(
        name=name,
        frame_count=frames,
        rate=RATE,
        width=size,
        height=size,
        plate=PlateSource("video", f"{name}.mp4", PlateColour.named("bt709").interop_id),
        head=HeadIdentity(head.kind, head.sha256),
        tool={"dubplate": "synthetic"},
    )
    shot = Shot(Path(f"{name}.dubshot"), info, tracked, crop_matrices(head, tracked))
    return Film(shot, _Camera(identity, head, truth, info.first_frame, size), (sound, VOICE_RATE))


class _Camera:
    """Draws a plate when it is asked for; the person is cast with the first."""

    def __init__(self, identity: Identity, head: HeadModel, truth: Track, first_frame: int, size: int) -> None:
        self._identity, self._head, self._truth = identity, head, truth
        self._first_frame, self._size = first_frame, size
        self._actor: Actor | None = None
        self._background = np.zeros(0)

    def __call__(self, frame: int) -> np.ndarray:
        """uint8 [size, size, 3] sRGB."""
        who, index = self._identity, frame - self._first_frame
        if self._actor is None:
            self._actor = cast(
                with_own_outline(self._head, who.seed),
                torch.from_numpy(who.shape),
                seed=who.seed,
                light=who.light,
                texture_size=_SKIN_TEXTURE,
                complexion=who.complexion,
                cloth=who.cloth,
                hair_colour=who.hair,
            )
            room = backdrop(self._size, seed=who.seed) * np.array(who.backdrop_tint, np.float32)
            self._background = np.ascontiguousarray(room[:, ::-1] if who.backdrop_mirrored else room)
        random = np.random.default_rng((who.seed, 0xF114, index))
        lens = torch.from_numpy(self._truth.intrinsics[index])
        drawn = picture(self._actor, pose_at(self._truth, index), lens, self._background, grain=random)
        return self._developed(drawn, random)

    def _developed(self, drawn: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The lens's blur, the sensor's grain, the file's compression."""
        lens = self._identity.lens
        sigma = lens.blur * self._size
        soft = cv2.GaussianBlur(drawn.astype(np.float32), (0, 0), sigma) if sigma > 0.1 else drawn.astype(np.float32)
        grainy = soft + random.normal(0.0, lens.grain, (*drawn.shape[:2], 1))
        stored = np.clip(np.rint(grainy), 0, 255).astype(np.uint8)
        _, packed = cv2.imencode(".jpg", stored[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, lens.quality])
        return np.ascontiguousarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1])


def _perform(identity: Identity, head: HeadModel, frames: int, size: int) -> tuple[Track, np.ndarray]:
    """The true track and the voice."""
    times = np.arange(frames) / RATE.fps
    utterance = babble(frames / RATE.fps, seed=identity.seed)
    manner = identity.manner
    performance = _in_manner(perform(utterance, times + 0.5 / RATE.fps, seed=identity.seed), identity)
    rest = np.tile(manner.rest, (frames, 1))
    expression, jaw = mouth_on_head(head, identity.shape, rest, performance.jaw_deg, performance.controls)
    rotation, translation, intrinsics = place_camera(
        head, identity.shape, performance, size, lens=identity.lens.focal, face_share=_FACE_SHARE
    )
    truth = true_track(
        head, identity.shape, times, expression, jaw, performance, rotation, translation, intrinsics, identity.light
    )
    return truth, synthesise(utterance, seed=identity.seed, pitch_hz=manner.pitch_hz)


def _in_manner(performance: Performance, identity: Identity) -> Performance:
    manner = identity.manner
    controls = {
        name: curve if name == "lips_close" else manner.lips * curve for name, curve in performance.controls.items()
    }
    return replace(
        performance,
        jaw_deg=manner.jaw * performance.jaw_deg,
        controls=controls,
        head_deg=manner.sway * performance.head_deg + np.array(manner.turn_deg),
    )
