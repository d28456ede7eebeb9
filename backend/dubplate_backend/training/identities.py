# SPDX-License-Identifier: Apache-2.0
"""Crops of invented people, for a prior that no real person has part in."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from dubplate_backend.head.model import HeadModel
from dubplate_backend.renderers.neural_texture.geometry import HeadGeometry
from dubplate_backend.renderers.presets import Preset
from dubplate_backend.speech.sound import audio, write_wav
from dubplate_backend.synthetic.film import Film, film
from dubplate_backend.synthetic.identity import invent
from dubplate_backend.training.dataset import ShotCrops, build_crops
from dubplate_backend.training.settings import AdaptSettings
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check, silent
from dubplate_shared.shot import Shot, write_shot

_VOICE = "voice.wav"


def synthetic_crops(
    seeds: Sequence[int],
    frames: int,
    folder: Path,
    *,
    head: HeadModel,
    preset: Preset,
    settings: AdaptSettings,
    progress: ProgressCallback = silent,
    stop: Stop,
) -> list[ShotCrops]:
    """Draw, or find again in `folder`, one shot of `frames` frames for each seed.

    About 17 s a person of 60 frames on one core at draft size.  Raises Cancelled; what is drawn by then is kept.
    """
    geometry = HeadGeometry(head, preset.crop_size)
    drawn = []
    for number, seed in enumerate(seeds):
        check(stop)
        progress(Progress(number, len(seeds), "drawing people"))
        drawn.append(_crops_of(seed, frames, folder, head, preset, geometry, settings, stop))
    return drawn


def _crops_of(
    seed: int,
    frames: int,
    folder: Path,
    head: HeadModel,
    preset: Preset,
    geometry: HeadGeometry,
    settings: AdaptSettings,
    stop: Stop,
) -> ShotCrops:
    @cache
    def scene() -> Film:
        return film(invent(seed), head, frames=frames, crop_size=preset.crop_size)

    def plates(frame: int) -> np.ndarray:
        return scene().plates(frame)

    path = folder / f"synthetic{seed:05d}-{preset.crop_size}px-{frames}.dubshot"
    shot = Shot.load(path) if path.exists() else _stored(scene(), path)
    voice = shot.audio_path()
    return build_crops(
        shot,
        folder,
        geometry=geometry,
        preset=preset,
        plates=plates,
        sound=None if voice is None else audio(voice),
        held_out=settings.held_out,
        reference_choices=settings.reference_choices,
        stop=stop,
    )


def _stored(scene: Film, path: Path) -> Shot:
    """The shot as a package, its voice with it: performing it again takes longer than reading it."""
    with tempfile.TemporaryDirectory() as temporary:
        voice = Path(temporary) / _VOICE
        write_wav(voice, *scene.sound)
        info = replace(scene.shot.info, audio=(_VOICE,))
        return write_shot(path, info, scene.shot.track, scene.shot.crop, None, files={_VOICE: voice})
