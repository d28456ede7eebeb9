# SPDX-License-Identifier: Apache-2.0
"""Crops of tracked shots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.source import ShotPlates, shot_video
from dubplate_backend.renderers.base import Plates
from dubplate_backend.renderers.neural_texture.geometry import HeadGeometry
from dubplate_backend.renderers.presets import Preset
from dubplate_backend.speech.sound import audio
from dubplate_backend.training.dataset import ShotCrops, build_crops
from dubplate_backend.training.settings import AdaptSettings
from dubplate_shared.frames import parse_frames
from dubplate_shared.progress import ProgressCallback, Stop
from dubplate_shared.shot import Shot


def filmed_crops(
    shots: Sequence[Shot],
    folder: Path,
    *,
    head: HeadModel,
    preset: Preset,
    settings: AdaptSettings,
    progress: ProgressCallback,
    stop: Stop,
) -> list[ShotCrops]:
    """Make, or find again in `folder`, the crops of each shot. Raises InvalidInput, FootageError, Cancelled."""
    geometry = HeadGeometry(head, preset.crop_size)
    built = []
    for shot in shots:
        voice = shot.audio_path()
        with _training_plates(shot) as plates:
            built.append(
                build_crops(
                    shot,
                    folder,
                    geometry=geometry,
                    preset=preset,
                    plates=plates,
                    sound=None if voice is None else audio(voice),
                    held_out=settings.held_out,
                    learn_from=parse_frames(settings.frames) if settings.frames else None,
                    reference_choices=settings.reference_choices,
                    progress=progress,
                    stop=stop,
                )
            )
    return built


@contextmanager
def _training_plates(shot: Shot) -> Iterator[Plates]:
    """Frame number -> plate. Of a video the pictures themselves, which spares most of the time that plates cost."""
    if shot.info.plate.kind == "video":
        with shot_video(shot) as footage:
            yield lambda frame: footage.frame(shot.index(frame))
    else:
        with ShotPlates(shot) as plates:
            yield plates.net
