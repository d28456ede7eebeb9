# SPDX-License-Identifier: Apache-2.0
"""What is learned from few frames: "Dubbing for Everyone", tables 4 and 5, on the development clip's man.

The same minutes of training for each number of frames, with the shipped prior and from scratch; of the fewest frames
once more without the prior's own windows mixed in.  All are scored on the same held-out frames: PSNR inside the redraw
mask before compositing, the lips on finished plates, those without and with post-processing.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dubplate_backend.bench.figure import Figure
from dubplate_backend.bench.stage import Stage
from dubplate_backend.bench.tracked_man import tracked_man
from dubplate_backend.evaluation.evaluate import BARE, MEAN, Contender, evaluate_shots
from dubplate_backend.head.model import HeadModel
from dubplate_backend.renderers.neural_texture.prior import Prior, shipped_prior
from dubplate_backend.renderers.presets import DRAFT
from dubplate_backend.training.adapt import adapt
from dubplate_backend.training.settings import AdaptSettings, settings_from_prior
from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import Shot

COUNTS, QUICK_COUNTS = (100, 250, 400), (100,)
MINUTES, QUICK_MINUTES = 5.0, 1.0


def few_frames(stage: Stage) -> Iterator[Figure]:
    """Of each way to learn: PSNR, beside that of the mean training crop, and the error of the lips."""
    prior = shipped_prior(DRAFT)
    if prior is None:
        raise InvalidInput("No prior ships for draft.", hint="Train one with: dubplate train --synthetic 64")
    shot = tracked_man(stage)
    if shot is None:
        return
    learn = _Learner(shot, stage.head, stage.folder, QUICK_MINUTES if stage.quick else MINUTES)
    actors = []
    for number, count in enumerate(QUICK_COUNTS if stage.quick else COUNTS):
        actors += [learn(f"prior_{count}", count, prior), learn(f"scratch_{count}", count, None)]
        if number == 0:
            actors.append(learn(f"unmixed_{count}", count, prior, mixed=0.0))
    rows = {row.method: row for row in evaluate_shots([shot], actors, head=stage.head).rows}
    for actor in actors:
        row, bare = rows[actor.name], rows[actor.name + BARE]
        name, iterations = f"few_frames.{actor.name}", actor.info.metrics["iterations"]
        yield Figure(f"{name}.psnr", row.psnr, "dB", row.psnr - rows[MEAN].psnr, "dB over the mean training crop")
        yield Figure(f"{name}.ssim", row.ssim, "", float(iterations), "iterations")
        yield Figure(f"{name}.lips", row.lip_error_percent, "% of the eyes' distance", bare.lip_error_percent,
                     "without post-processing")  # fmt: skip


class _Learner:
    """Adapts to the first so many frames of a shot."""

    def __init__(self, shot: Shot, head: HeadModel, folder: Path, minutes: float) -> None:
        self._shot, self._head, self._folder, self._minutes = shot, head, folder, minutes

    def __call__(self, name: str, count: int, prior: Prior | None, mixed: float = 1.0) -> Contender:
        first = self._shot.info.first_frame
        settings = AdaptSettings() if prior is None else replace(settings_from_prior(), mixed=mixed)
        out = self._folder / f"{name}.dubactor"
        adapt(
            [self._shot], out, head=self._head, preset=DRAFT, minutes=self._minutes, prior=prior,
            settings=replace(settings, frames=f"{first}-{first + count - 1}"), say=lambda _: None,
        )  # fmt: skip
        return Contender.of(out, name)
