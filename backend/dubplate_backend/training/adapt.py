# SPDX-License-Identifier: Apache-2.0
"""Adapt: from tracked shots of a person to his or her actor, from a prior or from scratch (DfE section 3.5)."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.renderers.hearing import Hearing
from dubplate_backend.renderers.neural_texture import renderer as neural_texture
from dubplate_backend.renderers.neural_texture.prior import Prior
from dubplate_backend.renderers.neural_texture.weights import save_factors, save_weights
from dubplate_backend.renderers.presets import Preset
from dubplate_backend.texture.mipmaps import MipLayout
from dubplate_backend.training import plots
from dubplate_backend.training.bundle import MixedSampler, load_bundle
from dubplate_backend.training.colours import first_colours
from dubplate_backend.training.dataset import MASK, ShotCrops, crops_key
from dubplate_backend.training.filmed import filmed_crops
from dubplate_backend.training.loop import Budget, Run
from dubplate_backend.training.low_rank import factors, merged
from dubplate_backend.training.metrics import HeldOut, evaluate
from dubplate_backend.training.sampler import WindowSampler, ordered_batches
from dubplate_backend.training.settings import AdaptSettings, settings_from_prior
from dubplate_backend.training.trainer import Trainer, prepare
from dubplate_backend.training.vgg import VggWeights
from dubplate_shared.actor import CONSENT_MISSING, ActorInfo
from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import atomic_folder
from dubplate_shared.progress import Progress, ProgressCallback, Stop, never, silent
from dubplate_shared.shot import HeadIdentity, Shot

PREVIEW_FRAMES = 6
NO_VGG = (
    "No VGG weights given: Laplacian-pyramid L1, multi-scale SSIM and discriminator feature matching stand in for the "
    "perceptual loss (give torchvision's vgg19 weights with --vgg)."
)
NO_CONSENT = 'No consent record given: the actor says consent "not recorded" (give one with --consent FILE).'


def adapt(
    shots: Sequence[Shot],
    out: Path | str,
    *,
    head: HeadModel,
    preset: Preset,
    minutes: float | None = None,
    iterations: int | None = None,
    name: str | None = None,
    consent: Mapping[str, Any] | None = None,
    vgg: VggWeights | None = None,
    seed: int = 0,
    prior: Prior | None = None,
    settings: AdaptSettings | None = None,
    hearing: Hearing | None = None,
    resume: bool = True,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
    say: Callable[[str], None] = print,
    stop: Stop = never,
    clock: Callable[[], float] = time.monotonic,
) -> ActorInfo:
    """Train texture and generator on `shots` and write NAME.dubactor.

    out: the actor's folder; OUT.work beside it holds crops and checkpoints until the actor is complete, so that the
    same command goes on after a stop.  minutes: of the whole command, cropping and scoring counted.
    prior: whose weights to start from, and whose windows to mix in; from scratch where None.
    hearing: how renders of this actor hear the voice unless told; training hears it as it is.
    Raises InvalidInput, HeadModelMismatch, FootageError, Cancelled (after a checkpoint), OutputNotWritable.
    """
    budget = Budget(minutes, iterations)
    settings = settings or (AdaptSettings() if prior is None else settings_from_prior())
    out = Path(out)
    if out.exists() and not overwrite:
        raise InvalidInput(f"{out} exists already.", hint="Choose another name, or say --overwrite to replace it.")
    if not shots:
        raise InvalidInput("No shot given.", hint="Give at least one NAME.dubshot.")
    for shot in shots:
        head.require(shot.info.head.sha256, f"Shot {shot.info.name}")
    _check_prior(prior, settings, preset)
    say(f"From prior {prior.name}, sha256 {prior.sha256}." if prior is not None else "From scratch, without a prior.")
    say(f"Perceptual loss: {vgg.kind}, sha256 {vgg.sha256}." if vgg is not None else NO_VGG)
    if consent is None:
        say(NO_CONSENT)

    started = clock()
    work = out.parent / f"{out.name}.work"
    crops = filmed_crops(
        shots, work / "crops", head=head, preset=preset, settings=settings, progress=progress, stop=stop
    )
    trainer = Trainer(
        preset,
        settings,
        seed=seed,
        colours=[first_colours(crops, head, preset.texture_size)],
        layout=MipLayout.of(head, preset.texture_size),
        vgg=vgg,
        start=None if prior is None else prior.weights(preset),
    )
    checkpoint = work / f"checkpoint-{_run_key(shots, preset, settings, seed, vgg, prior)}"
    run = Run(trainer, checkpoint, clock, started)
    if resume and run.resume():
        say(f"Going on from iteration {trainer.iteration}.")
    sampler = WindowSampler(crops, settings, window=preset.window, random=trainer.random)
    draw = sampler.draw
    if settings.mixed > 0.0 and prior is not None:
        draw = MixedSampler(sampler, load_bundle(prior.bundle_path, preset)).draw
    run.train(draw, budget.shortened(_scoring_s(trainer, crops, clock)), progress, stop)
    progress(Progress(1, 1, "scoring held-out frames"))
    if settings.rank:
        trainer.average, low_rank = merged(trainer.average), factors(trainer.average)
    scores = evaluate(crops, trainer.draw, window=preset.window, batch=preset.batch_windows)
    perceptual = "stand-ins" if vgg is None else f"{vgg.kind} {vgg.sha256}"
    info = ActorInfo(
        name=name or out.stem,
        renderer=neural_texture.NAME,
        preset=preset.name,
        head=HeadIdentity(head.kind, head.sha256),
        shots=tuple(
            {"name": shot.info.name, "sha256": crops_key(shot, preset), "frames": len(crop.train)}
            for shot, crop in zip(shots, crops, strict=True)
        ),
        prior=None if prior is None else prior.sha256,
        settings=_as_stored(settings)
        | {f"sound_{name}": value for name, value in asdict(hearing or Hearing()).items()}
        | {"seed": seed, "perceptual_weights": perceptual},
        metrics=scores.to_json() | {"iterations": trainer.iteration, "training_s": round(run.elapsed(), 1)},
        consent=dict(consent) if consent is not None else dict(CONSENT_MISSING),
    )
    with atomic_folder(out, overwrite=overwrite) as folder:
        info.save(folder)
        if settings.rank and prior is not None:
            save_factors(folder, trainer.average_texels[0], low_rank, prior.sha256)
        else:
            save_weights(folder, trainer.average_texels[0], trainer.average)
        _leave_pictures(folder, trainer, crops, run.losses, scores, vgg)
    shutil.rmtree(work, ignore_errors=True)  # crops and checkpoints show the person: they go with the run
    say(describe(scores))
    return info


def describe(scores: HeldOut) -> str:
    """The scores in words, with both baselines."""
    lines = [f"Held out: {scores.frames} frames, scored inside the redraw mask before compositing."]
    for label, score in (
        ("actor", scores.actor),
        ("baseline: mean training crop", scores.mean_crop),
        ("baseline: training frame with the nearest lips", scores.nearest_lips),
    ):
        lines.append(
            f"  {label:48s} PSNR {score.psnr:5.2f} dB  SSIM {score.ssim:.3f}  mouth alone {score.mouth_psnr:5.2f} dB"
        )
    return "\n".join(lines)


def _check_prior(prior: Prior | None, settings: AdaptSettings, preset: Preset) -> None:
    """Before anything is cropped: a prior that is broken or of another preset is named. Raises InvalidInput."""
    if prior is not None:
        prior.weights(preset)
    elif settings.rank:
        raise InvalidInput("Low-rank factors need a prior.", hint="Give one with --prior, or leave --low-rank out.")


def _scoring_s(trainer: Trainer, crops: Sequence[ShotCrops], clock: Callable[[], float]) -> float:
    """About how long scoring the held-out frames will take: one batch, taken once, times their number."""
    batch, started = trainer.preset.batch_windows, clock()
    trainer.draw(next(ordered_batches(crops[0], crops[0].held_out, trainer.preset.window, batch)))
    return (clock() - started) * sum(math.ceil(len(shot.held_out) / batch) for shot in crops)


def _as_stored(settings: AdaptSettings) -> dict[str, Any]:
    """As JSON gives it back: lists for tuples."""
    return dict(json.loads(json.dumps(asdict(settings))))


def _run_key(
    shots: Sequence[Shot],
    preset: Preset,
    settings: AdaptSettings,
    seed: int,
    vgg: VggWeights | None,
    prior: Prior | None,
) -> str:
    """A checkpoint is only gone on from by the same run: same data, sizes, settings, seed."""
    facts = {
        "shots": [crops_key(shot, preset) for shot in shots],
        "preset": asdict(preset),
        "settings": _as_stored(settings),
        "seed": seed,
        "vgg": None if vgg is None else vgg.sha256,
        "prior": None if prior is None else prior.sha256,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _leave_pictures(
    folder: Path,
    trainer: Trainer,
    crops: Sequence[ShotCrops],
    rows: Sequence[plots.LossRow],
    scores: HeldOut,
    vgg: VggWeights | None,
) -> None:
    plots.write_losses(folder / "losses.csv", rows)
    perceptual = f"perceptual loss: {vgg.kind}" if vgg is not None else "perceptual loss: stand-ins, no VGG weights"
    plots.plot_losses(folder / "losses.png", rows, f"{folder.name}: {perceptual}")
    shot, centre = crops[0], trainer.preset.window // 2
    chosen = shot.held_out[np.linspace(0, len(shot.held_out) - 1, PREVIEW_FRAMES).round().astype(int)]
    truth, drawn, base = [], [], []
    for batch in ordered_batches(shot, chosen, trainer.preset.window, trainer.preset.batch_windows):
        mask = batch.frames.has(MASK).unflatten(0, (-1, trainer.preset.window))[:, centre, None]
        filmed = batch.frames.rgb.unflatten(0, (-1, trainer.preset.window))[:, centre]
        truth.append(filmed)
        drawn.append(torch.where(mask, trainer.draw(batch)[:, centre], filmed))
        base.append(prepare(batch, trainer.average_texels, trainer.layout, trainer.preset.window).base[:, centre])
    plots.picture_grid(
        folder / "held_out.png",
        [
            ("filmed, held out from training", _bytes(truth)),
            (
                f"drawn: {scores.actor.psnr:.1f} dB inside the mask (mean crop {scores.mean_crop.psnr:.1f})",
                _bytes(drawn),
            ),
            ("the textured head that it is drawn on", _bytes(base)),
        ],
    )


def _bytes(pictures: Sequence[torch.Tensor]) -> Any:
    """-1..1 [N, 3, S, S] to uint8 [N, S, S, 3]."""
    joined = torch.cat(list(pictures))
    return ((joined + 1.0) * 127.5).clamp(0, 255).round().byte().permute(0, 2, 3, 1).numpy()
