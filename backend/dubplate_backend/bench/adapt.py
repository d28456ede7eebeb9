# SPDX-License-Identifier: Apache-2.0
"""One training iteration of the draft preset on a true batch, beside the machine's matmul rate."""

import numpy as np
import torch

from dubplate_backend.bench.figure import Figure, least_seconds
from dubplate_backend.bench.limits import flops_of, matmul_flops_per_second
from dubplate_backend.bench.stage import Stage
from dubplate_backend.plates.source import ShotPlates
from dubplate_backend.renderers.neural_texture.geometry import HeadGeometry
from dubplate_backend.renderers.presets import DRAFT
from dubplate_backend.texture.mipmaps import MipLayout
from dubplate_backend.training.dataset import build_crops
from dubplate_backend.training.sampler import WindowSampler
from dubplate_backend.training.settings import AdaptSettings
from dubplate_backend.training.trainer import Trainer
from dubplate_shared.progress import never

_LATE = 0.9
"""Share of a run at which every loss, the adversarial ones too, has come in."""


def adapt(stage: Stage) -> list[Figure]:
    """Milliseconds an iteration and iterations a second, all losses on."""
    preset, settings = DRAFT, AdaptSettings()
    with ShotPlates(stage.shot) as plates:
        crops = build_crops(
            stage.shot,
            stage.folder / "crops",
            geometry=HeadGeometry(stage.head, preset.crop_size),
            preset=preset,
            plates=plates.net,
            sound=None,
            held_out=settings.held_out,
            reference_choices=settings.reference_choices,
            stop=never,
        )
    colours = torch.zeros(3, preset.texture_size, preset.texture_size)
    trainer = Trainer(preset, settings, seed=0, colours=[colours], layout=MipLayout.of(stage.head, preset.texture_size))
    sampler = WindowSampler([crops], settings, window=preset.window, random=np.random.default_rng(0))
    # Some steps judge, most do not: a whole interval is what an iteration costs on average.
    interval = settings.adversarial_interval

    def steps() -> None:
        for _ in range(interval):
            trainer.step(sampler.draw(), _LATE)

    steps()  # the first one regularises the judge, which comes seldom
    flops = flops_of(steps) / interval
    seconds = least_seconds(steps, rounds=2, seconds=0.0) / interval
    share = flops / matmul_flops_per_second() / seconds
    name = f"adapt.{preset.name}"
    return [
        Figure(f"{name}.iteration", 1e3 * seconds, "ms", share, "of the matmul limit"),
        Figure(f"{name}.rate", 1.0 / seconds, "iterations/s"),
        Figure(f"{name}.work", 1e-9 * flops, "GFLOP"),
    ]
