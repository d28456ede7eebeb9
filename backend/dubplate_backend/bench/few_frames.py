# SPDX-License-Identifier: Apache-2.0
"""What is learned from few frames: "Dubbing for Everyone", tables 4 and 5, on the development clip's man.

As many iterations for each number of frames, with the shipped prior and from scratch, which cost the same; of the
fewest frames once more with the prior's own windows mixed in one to one, as the paper does, which cost twice that.  All
are scored on the same held-out frames: PSNR inside the redraw mask before compositing, the lips on finished plates,
those without and with post-processing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from dubplate_backend.bench.figure import Figure
from dubplate_backend.bench.stage import Stage
from dubplate_backend.bench.tracked_man import tracked_man
from dubplate_backend.evaluation.evaluate import BARE, MEAN, Contender, evaluate_shots
from dubplate_backend.head.model import HeadModel
from dubplate_backend.renderers.neural_texture.prior import Prior
from dubplate_backend.renderers.presets import DRAFT
from dubplate_backend.training.adapt import adapt
from dubplate_backend.training.settings import AdaptSettings, settings_from_prior
from dubplate_shared.frames import format_frames
from dubplate_shared.shot import Shot

COUNTS, QUICK_COUNTS = (100, 250, 400), (100,)
ITERATIONS, QUICK_ITERATIONS = 330, 60  # minutes of two cores


def few_frames(stage: Stage) -> Iterator[Figure]:
    """Of each way to learn: PSNR, beside that of the mean training crop, and the error of the lips."""
    prior = stage.prior
    for shot in tracked_man(stage):
        actors = []
        for number, count in enumerate(QUICK_COUNTS if stage.quick else COUNTS):
            ways = {"prior": settings_from_prior(), "scratch": AdaptSettings()}
            if number == 0:
                ways["mixed"] = replace(settings_from_prior(), mixed=1.0)
            for name, settings in ways.items():
                start = None if name == "scratch" else prior
                actors += [_learned(stage, shot, f"{name}_{count}", count, start, settings)]
        yield from _scored(shot, actors, stage.head)


def _learned(
    stage: Stage, shot: Shot, name: str, count: int, prior: Prior | None, settings: AdaptSettings
) -> Contender:
    """An actor of the shot's first `count` frames."""
    out = stage.folder / f"{name}.dubactor"
    adapt(
        [shot], out, head=stage.head, preset=DRAFT, prior=prior, say=lambda _: None,
        iterations=QUICK_ITERATIONS if stage.quick else ITERATIONS,
        settings=replace(settings, frames=format_frames(shot.frames[:count])),
    )  # fmt: skip
    return Contender.of(out, name)


def _scored(shot: Shot, actors: Sequence[Contender], head: HeadModel) -> Iterator[Figure]:
    rows = {row.method: row for row in evaluate_shots([shot], actors, head=head).rows}
    for actor in actors:
        row, bare = rows[actor.name], rows[actor.name + BARE]
        name, iterations = f"few_frames.{actor.name}", float(actor.info.metrics["iterations"])
        yield Figure(f"{name}.psnr", row.psnr, "dB", row.psnr - rows[MEAN].psnr, "dB over the mean training crop")
        yield Figure(f"{name}.ssim", row.ssim, "", iterations, "iterations")
        yield Figure(f"{name}.lips", row.lip_error_percent, "%", bare.lip_error_percent, "without post-processing")
