# SPDX-License-Identifier: Apache-2.0
"""Crops of invented people, for a prior that no real person has part in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dubplate_backend.head.model import HeadModel
from dubplate_backend.renderers.neural_texture.geometry import HeadGeometry
from dubplate_backend.renderers.presets import Preset
from dubplate_backend.synthetic.film import film
from dubplate_backend.synthetic.identity import invent
from dubplate_backend.training.dataset import ShotCrops, build_crops
from dubplate_backend.training.settings import AdaptSettings
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check, silent


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

    About 17 s a person of 60 frames on one core.  Raises Cancelled; what is drawn by then is kept.
    """
    geometry = HeadGeometry(head, preset.crop_size)
    drawn = []
    for number, seed in enumerate(seeds):
        check(stop)
        progress(Progress(number, len(seeds), "drawing people"))
        scene = film(invent(seed), head, frames=frames, crop_size=preset.crop_size)
        drawn.append(
            build_crops(
                scene.shot,
                folder,
                geometry=geometry,
                preset=preset,
                plates=scene.plates,
                sound=scene.sound,
                held_out=settings.held_out,
                reference_choices=settings.reference_choices,
                stop=stop,
            )
        )
    return drawn
