# SPDX-License-Identifier: Apache-2.0
"""Train a prior: one network over many people, a texture for each (DfE section 3.4), from tracked shots, from invented
people, or from both.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.renderers.neural_texture.prior import Prior
from dubplate_backend.renderers.presets import Preset
from dubplate_backend.texture.mipmaps import MipLayout
from dubplate_backend.training.colours import first_colours
from dubplate_backend.training.dataset import ShotCrops, crops_key
from dubplate_backend.training.filmed import filmed_crops
from dubplate_backend.training.identities import synthetic_crops
from dubplate_backend.training.loop import CHECKPOINT_EVERY_S, Budget, Run
from dubplate_backend.training.prior_package import draw_bundle, save_prior, score_people
from dubplate_backend.training.processes import ALONE, Processes
from dubplate_backend.training.sampler import WindowSampler
from dubplate_backend.training.settings import PriorSettings
from dubplate_backend.training.tensorboard import Record, unrecorded
from dubplate_backend.training.trainer import Trainer
from dubplate_backend.training.vgg import VggWeights
from dubplate_shared.errors import InvalidInput
from dubplate_shared.progress import Progress, ProgressCallback, Stop, never, silent
from dubplate_shared.shot import HeadIdentity, Shot


@dataclass(frozen=True)
class People:
    """Whom to train on.  shots: tracked ones; those that name the same actor are one person's.  seeds: of invented
    people, each with so many `frames`.
    """

    shots: Sequence[Shot] = ()
    seeds: Sequence[int] = ()
    frames: int = 60

    def __post_init__(self) -> None:
        if not self.shots and not self.seeds:
            raise InvalidInput("Nobody to train on.", hint="Give --shots A.dubshot B.dubshot, or --synthetic 64.")

    def names(self) -> list[str]:
        """Of each shot whose it is; a shot that names no actor shows a person of its own."""
        filmed = [f"actor {shot.info.actor}" if shot.info.actor else f"shot {shot.info.name}" for shot in self.shots]
        return filmed + [f"synthetic {seed}" for seed in self.seeds]


@dataclass(frozen=True)
class Card:
    """What the user says of a prior. consent: records of the people filmed; invented ones need none."""

    licence: str = "Apache-2.0"
    consent: Mapping[str, Any] | None = None
    command: str = ""  # that made it


def train(
    people: People,
    out: Path | str,
    *,
    head: HeadModel,
    preset: Preset,
    work: Path | None = None,
    minutes: float | None = None,
    iterations: int | None = None,
    card: Card | None = None,
    vgg: VggWeights | None = None,
    seed: int = 0,
    settings: PriorSettings | None = None,
    resume: bool = True,
    overwrite: bool = False,
    processes: Processes = ALONE,
    device: torch.device | str = "cpu",
    progress: ProgressCallback = silent,
    say: Callable[[str], None] = print,
    stop: Stop = never,
    clock: Callable[[], float] = time.monotonic,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    record: Record = unrecorded,
) -> Prior | None:
    """Train and write NAME.dubprior.

    out: the prior's folder.  work: keeps crops and checkpoints, OUT.work unless told; they stay, since drawing and
    cropping is what costs hours, until you delete them.  minutes: of training, drawing and cropping not counted.
    Of several processes each gets its share of every batch; the first one writes, and the others return None.
    Raises InvalidInput, HeadModelMismatch, FootageError, Cancelled (after a checkpoint), OutputNotWritable.
    """
    budget = Budget(minutes, iterations)
    settings, card, out = settings or PriorSettings(), card or Card(), Path(out)
    work = work or out.parent / f"{out.name}.work"
    _check(people, out, overwrite, settings, processes, head)
    crops = _crops(people, work, head, preset, settings, processes, progress if processes.first else silent, stop)
    names = people.names()
    known = sorted(set(names), key=names.index)
    identities = [known.index(name) for name in names]
    colours = [
        first_colours([shot for shot, whose in zip(crops, identities, strict=True) if whose == number], head,
                      preset.texture_size)
        for number in range(len(known))
    ]  # fmt: skip
    trainer = Trainer(
        preset,
        settings,
        seed=seed,
        colours=colours,
        layout=MipLayout.of(head, preset.texture_size),
        vgg=vgg,
        processes=processes,
        device=device,
    )
    checkpoint = work / f"checkpoint-{_run_key(crops, identities, preset, settings, seed, vgg)}"
    run = Run(trainer, checkpoint, clock, clock(), checkpoint_every_s, record=record)
    if resume and run.resume():
        say(f"Going on from iteration {trainer.iteration}.")
    say(f"{len(known)} people, {sum(len(shot.train) for shot in crops)} frames to train on.")
    sampler = WindowSampler(
        crops,
        settings,
        window=preset.window,
        random=trainer.random,
        identities=identities,
        process=(processes.number, processes.count),
    )
    run.train(sampler.draw, budget, progress, stop)
    run.keep()
    if not processes.first:
        return None
    progress(Progress(1, 1, "scoring held-out frames"))
    facts = {
        "people": {"filmed": len(set(names[: len(people.shots)])), "synthetic": len(people.seeds)},
        "synthetic_seeds": [min(people.seeds), max(people.seeds)] if people.seeds else [],
        "frames": sum(len(shot.train) for shot in crops),
        "iterations": trainer.iteration,
        "windows_a_step": settings.batch,
        "training_s": round(run.elapsed(), 1),
        "processes": processes.count,
        "machine": f"{platform.machine()}, {torch.device(device).type}, {torch.get_num_threads()} threads, torch "
        f"{torch.__version__}",
        "settings": json.loads(json.dumps(asdict(settings))) | {"seed": seed},
        "perceptual_weights": "stand-ins" if vgg is None else f"{vgg.kind} {vgg.sha256}",
        "held_out": score_people(trainer, crops, identities),
        "licence": card.licence,
        "consent": _consent(people, card),
        "command": card.command,
    }
    bundle = draw_bundle(trainer, crops, identities, np.random.default_rng(seed))
    prior = save_prior(
        out, trainer, bundle, HeadIdentity(head.kind, head.sha256), facts, run.losses, overwrite=overwrite
    )
    say(f"Prior: {out}, sha256 {prior.sha256}.")
    return prior


def _check(
    people: People, out: Path, overwrite: bool, settings: PriorSettings, processes: Processes, head: HeadModel
) -> None:
    if out.exists() and not overwrite:
        raise InvalidInput(f"{out} exists already.", hint="Choose another name, or say --overwrite to replace it.")
    if settings.batch % processes.count:
        raise InvalidInput(
            f"A batch of {settings.batch} windows cannot be shared by {processes.count} processes.",
            hint=f"Choose a batch that is a multiple of {processes.count}.",
        )
    for shot in people.shots:
        head.require(shot.info.head.sha256, f"Shot {shot.info.name}")


def _crops(
    people: People,
    work: Path,
    head: HeadModel,
    preset: Preset,
    settings: PriorSettings,
    processes: Processes,
    progress: ProgressCallback,
    stop: Stop,
) -> list[ShotCrops]:
    """Made by the first process; the others find them."""
    if not processes.first:
        processes.wait()
    folder = work / "crops"
    alike: dict[str, Any] = {"head": head, "preset": preset, "settings": settings, "progress": progress, "stop": stop}
    filmed = filmed_crops(people.shots, folder, **alike)
    invented = synthetic_crops(people.seeds, people.frames, folder, **alike)
    if processes.first:
        processes.wait()
    return [*filmed, *invented]


def _consent(people: People, card: Card) -> Mapping[str, Any]:
    if card.consent is not None:
        return dict(card.consent)
    if people.shots:
        return {"status": "not recorded"}
    return {"status": "not needed", "why": "all people are invented; no real person has part in this prior"}


def _run_key(
    crops: Sequence[ShotCrops],
    identities: Sequence[int],
    preset: Preset,
    settings: PriorSettings,
    seed: int,
    vgg: VggWeights | None,
) -> str:
    """A checkpoint is only gone on from by the same run: same people, sizes, settings, seed."""
    facts = {
        "crops": [crops_key(shot.shot, preset) for shot in crops],
        "identities": list(identities),
        "preset": asdict(preset),
        "settings": asdict(settings),
        "seed": seed,
        "vgg": None if vgg is None else vgg.sha256,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
