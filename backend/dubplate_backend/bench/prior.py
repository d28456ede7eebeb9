# SPDX-License-Identifier: Apache-2.0
"""How many iterations a prior saves: "Dubbing for Everyone", table 3, on people that the prior never saw: three who are
invented, and the development clip's man.

Iterations until held-out frames are so many dB better inside the redraw mask than a baseline, from the prior and from
scratch, at constant rates and before any adversarial term.  Once at the paper's rates and once at our own, at which
minutes do what its hours do.  Two baselines: the mean training crop, and the textured head that drawing starts from,
which is about as good before anything is learnt (docs/decisions/0040, 0148).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from torch import Tensor

from dubplate_backend.bench.figure import Figure
from dubplate_backend.bench.stage import Stage
from dubplate_backend.bench.tracked_man import tracked_man
from dubplate_backend.renderers.neural_texture.prior import Prior
from dubplate_backend.renderers.presets import DRAFT
from dubplate_backend.texture.mipmaps import MipLayout
from dubplate_backend.training.colours import first_colours
from dubplate_backend.training.dataset import ShotCrops
from dubplate_backend.training.filmed import filmed_crops
from dubplate_backend.training.identities import synthetic_crops
from dubplate_backend.training.metrics import Draw, HeldOut, evaluate
from dubplate_backend.training.sampler import Batch, WindowSampler
from dubplate_backend.training.settings import AdaptSettings, paper_settings, settings_from_prior
from dubplate_backend.training.trainer import Trainer, prepare
from dubplate_shared.progress import never, silent

SEEDS = (9001, 9002, 9003)  # the shipped prior's people are 1 to 96
FRAMES, QUICK_FRAMES = 120, 50
LEVELS_DB = (1.0, 2.0, 3.0)
BASELINES = ("over_mean_crop", "over_textured_head")
LIMIT, QUICK_LIMIT = 3000, 60
STARTS = ("prior", "scratch")
NEXT = 1.25  # held-out frames are scored at 1, 2, 3, 4, 5, 6, 8, 10, 12, ... iterations


def prior(stage: Stage) -> Iterator[Figure]:
    """Of each level: iterations from the prior, and how many times as many from scratch.

    Raises InvalidInput where no prior ships, and for an unknown part.
    """
    limit = QUICK_LIMIT if stage.quick else LIMIT
    for part, people in stage.parts("prior", PARTS):
        known = list(people(stage))
        for rates, settings in RATES.items():
            yield from _table(f"prior.{part}.{rates}", known, settings, stage, limit)


def invented(stage: Stage) -> Iterator[ShotCrops]:
    """People whom the shipped prior never saw."""
    for seed in SEEDS[:1] if stage.quick else SEEDS:
        yield from synthetic_crops(
            [seed],
            QUICK_FRAMES if stage.quick else FRAMES,
            stage.folder / "crops",
            head=stage.head,
            preset=DRAFT,
            settings=AdaptSettings(),
            stop=never,
        )


def man(stage: Stage) -> Iterator[ShotCrops]:
    """The development clip's man; nobody, and a line that says so, where the clip is not there."""
    for shot in tracked_man(stage):
        yield from filmed_crops(
            [shot], stage.folder / "crops", head=stage.head, preset=DRAFT, settings=AdaptSettings(), progress=silent,
            stop=never,
        )  # fmt: skip


_PAPER = paper_settings()
_AS_PAPER = replace(
    AdaptSettings(),
    network_rate=_PAPER.network_rate,
    texture_rate=_PAPER.texture_rate,
    colour_rate=_PAPER.colour_rate,
)
RATES: dict[str, dict[str, AdaptSettings]] = {
    "paper": dict.fromkeys(STARTS, _AS_PAPER),
    "own": {"prior": settings_from_prior(), "scratch": AdaptSettings()},
}

PARTS = {"invented": invented, "man": man}


def _table(
    part: str, people: Iterable[ShotCrops], settings: dict[str, AdaptSettings], stage: Stage, limit: int
) -> Iterator[Figure]:
    """settings: of each of STARTS."""
    needed: dict[tuple[str, float], dict[str, list[int | None]]] = {
        (baseline, level): {start: [] for start in STARTS} for baseline in BASELINES for level in LEVELS_DB
    }
    for crops in people:
        for start, prior in (("prior", stage.prior), ("scratch", None)):
            curve = _curve(crops, settings[start], prior, stage, limit)
            for (baseline, level), counts in needed.items():
                reached = (point.iteration for point in curve if getattr(point, baseline) >= level)
                counts[start].append(next(reached, None))
            best = max(curve, key=lambda point: point.over_mean_crop)
            name = f"{part}.{crops.shot.info.name}.{start}.best"
            yield Figure(name, best.over_mean_crop, "dB", best.iteration, "iterations")
    for (baseline, level), counts in needed.items():
        if not counts["prior"]:
            continue  # nobody to measure on
        means = {start: sum(count or limit for count in each) / len(each) for start, each in counts.items()}
        missed = " and ".join(f"{start} {each.count(None)}" for start, each in counts.items() if None in each)
        after = "times as many from scratch" + (
            f" (not within {limit}: {missed} of {len(counts['prior'])})" if missed else ""
        )
        yield Figure(
            f"{part}.{baseline}.plus_{level:g}_dB", means["prior"], "iterations", means["scratch"] / means["prior"],
            after,
        )  # fmt: skip


@dataclass(frozen=True)
class _Point:
    """Of a learning curve.  over_mean_crop, over_textured_head: dB."""

    iteration: int
    over_mean_crop: float
    over_textured_head: float


def _curve(crops: ShotCrops, settings: AdaptSettings, start: Prior | None, stage: Stage, limit: int) -> list[_Point]:
    """Until the highest level over the mean crop, the paper's own measure, is reached, or the limit."""
    trainer = Trainer(
        DRAFT,
        settings,
        seed=0,
        colours=[first_colours([crops], stage.head, DRAFT.texture_size)],
        layout=MipLayout.of(stage.head, DRAFT.texture_size),
        start=None if start is None else start.weights(DRAFT),
    )
    sampler = WindowSampler([crops], settings, window=DRAFT.window, random=trainer.random)

    def textured_head(batch: Batch) -> Tensor:
        return prepare(batch, trainer.average_texels, trainer.layout, DRAFT.window).base

    untrained = _scores(crops, textured_head).actor.psnr
    curve: list[_Point] = []
    due = 1
    while trainer.iteration < limit:
        trainer.step(sampler.draw(), share=0.0)
        if trainer.iteration < min(due, limit):
            continue
        due = max(due + 1, round(NEXT * due))
        scores = _scores(crops, trainer.draw)
        psnr = scores.actor.psnr
        curve.append(_Point(trainer.iteration, psnr - scores.mean_crop.psnr, psnr - untrained))
        if psnr - scores.mean_crop.psnr >= max(LEVELS_DB):
            break
    return curve


def _scores(crops: ShotCrops, draw: Draw) -> HeldOut:
    return evaluate([crops], draw, window=DRAFT.window, batch=DRAFT.batch_windows)
