# SPDX-License-Identifier: Apache-2.0
"""Adapt: from tracked shots of a person to his or her actor (DfE section 3.5, from scratch while there is no prior)."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.source import ShotPlates, shot_video
from dubplate_backend.renderers.base import Plates
from dubplate_backend.renderers.neural_texture import renderer as neural_texture
from dubplate_backend.renderers.neural_texture.geometry import HeadGeometry
from dubplate_backend.renderers.neural_texture.weights import save_weights
from dubplate_backend.renderers.presets import Preset
from dubplate_backend.speech.sound import audio
from dubplate_backend.texture.mipmaps import MipLayout
from dubplate_backend.training import plots
from dubplate_backend.training.checkpoint import STATE, load_checkpoint, save_checkpoint
from dubplate_backend.training.dataset import (
    FACE,
    MASK,
    ShotCrops,
    WindowSampler,
    build_crops,
    crops_key,
    ordered_batches,
)
from dubplate_backend.training.metrics import HeldOut, evaluate
from dubplate_backend.training.settings import AdaptSettings
from dubplate_backend.training.trainer import Trainer, prepare
from dubplate_backend.training.unproject import unproject
from dubplate_backend.training.vgg import VggWeights
from dubplate_shared.actor import CONSENT_MISSING, ActorInfo
from dubplate_shared.errors import Cancelled, InvalidInput
from dubplate_shared.files import atomic_folder
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check, never, silent
from dubplate_shared.shot import HeadIdentity, Shot

CHECKPOINT_EVERY_S = 60.0
REPORT_EVERY_S = 5.0
UNPROJECTED_FRAMES = 200  # of the training frames, evenly: enough for an average
PREVIEW_FRAMES = 6
NO_VGG = (
    "No VGG weights given: Laplacian-pyramid L1, multi-scale SSIM and discriminator feature matching stand in for the "
    "perceptual loss (give torchvision's vgg19 weights with --vgg)."
)
NO_CONSENT = 'No consent record given: the actor says consent "not recorded" (give one with --consent FILE).'


@dataclass(frozen=True)
class Budget:
    """How long to train: minutes of the clock, everything but the final scoring counted, or a number of iterations."""

    minutes: float | None = None
    iterations: int | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.minutes, self.iterations) if value is not None]
        if len(given) != 1 or given[0] <= 0:
            raise InvalidInput("Say either minutes or iterations, above zero.", hint="For example: --minutes 15")

    def share(self, iteration: int, elapsed_s: float) -> float:
        """How much of the run is over, 0..1."""
        if self.iterations is not None:
            return min(iteration / self.iterations, 1.0)
        return min(elapsed_s / (60.0 * float(self.minutes or 1.0)), 1.0)


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
    settings: AdaptSettings | None = None,
    resume: bool = True,
    overwrite: bool = False,
    progress: ProgressCallback = silent,
    say: Callable[[str], None] = print,
    stop: Stop = never,
    clock: Callable[[], float] = time.monotonic,
) -> ActorInfo:
    """Train texture and generator on `shots` and write NAME.dubactor.

    out: the actor's folder; OUT.work beside it holds crops and checkpoints until the actor is complete, so that the
    same command goes on after a stop.
    Raises InvalidInput, HeadModelMismatch, FootageError, Cancelled (after a checkpoint), OutputNotWritable.
    """
    budget = Budget(minutes, iterations)
    settings = settings or AdaptSettings()
    out = Path(out)
    if out.exists() and not overwrite:
        raise InvalidInput(f"{out} exists already.", hint="Choose another name, or say --overwrite to replace it.")
    if not shots:
        raise InvalidInput("No shot given.", hint="Give at least one NAME.dubshot.")
    for shot in shots:
        head.require(shot.info.head.sha256, f"Shot {shot.info.name}")
    say(f"Perceptual loss: {vgg.kind}, sha256 {vgg.sha256}." if vgg is not None else NO_VGG)
    if consent is None:
        say(NO_CONSENT)

    started = clock()
    work = out.parent / f"{out.name}.work"
    crops = _crops(shots, work, head, preset, settings, progress, stop)
    layout = MipLayout.of(head, preset.texture_size)
    trainer = Trainer(preset, settings, seed=seed, colours=_first_colours(crops, head, preset), layout=layout, vgg=vgg)
    checkpoint = work / f"checkpoint-{_run_key(shots, preset, settings, seed, vgg)}"
    rows: list[plots.LossRow] = []
    elapsed_before = 0.0
    if resume and (checkpoint / STATE).exists():
        facts = load_checkpoint(checkpoint, trainer)
        rows, elapsed_before = facts["losses"], float(facts["elapsed_s"])
        say(f"Going on from iteration {trainer.iteration}.")
    elapsed_s = _train(
        trainer, crops, budget, rows, checkpoint, lambda: elapsed_before + clock() - started, progress, stop
    )
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
        settings=_as_stored(settings) | {"seed": seed, "perceptual_weights": perceptual},
        metrics=scores.to_json() | {"iterations": trainer.iteration, "training_s": round(elapsed_s, 1)},
        consent=dict(consent) if consent is not None else dict(CONSENT_MISSING),
    )
    with atomic_folder(out, overwrite=overwrite) as folder:
        info.save(folder)
        save_weights(folder, trainer.average_texels, trainer.average)
        _leave_pictures(folder, trainer, crops, rows, scores, vgg)
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


def _crops(
    shots: Sequence[Shot],
    work: Path,
    head: HeadModel,
    preset: Preset,
    settings: AdaptSettings,
    progress: ProgressCallback,
    stop: Stop,
) -> list[ShotCrops]:
    geometry = HeadGeometry(head, preset.crop_size)
    built = []
    for shot in shots:
        voice = shot.audio_path()
        with _training_plates(shot) as plates:
            built.append(
                build_crops(
                    shot,
                    work / "crops",
                    geometry=geometry,
                    preset=preset,
                    plates=plates,
                    sound=None if voice is None else audio(voice),
                    held_out=settings.held_out,
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


def _first_colours(crops: Sequence[ShotCrops], head: HeadModel, preset: Preset) -> torch.Tensor:
    """[3, R, R]: the average of what was filmed on each texel."""

    def pictures() -> Any:
        for shot in crops:
            step = max(1, len(shot.train) // UNPROJECTED_FRAMES)
            for index in shot.train[::step]:
                frames = shot.frames(np.array([index]))
                yield frames.rgb[0], frames.uv[0], frames.has(FACE)[0]

    return unproject(pictures(), head, preset.texture_size)[0]


def _as_stored(settings: AdaptSettings) -> dict[str, Any]:
    """As JSON gives it back: lists for tuples."""
    return dict(json.loads(json.dumps(asdict(settings))))


def _run_key(shots: Sequence[Shot], preset: Preset, settings: AdaptSettings, seed: int, vgg: VggWeights | None) -> str:
    """A checkpoint is only gone on from by the same run: same data, sizes, settings, seed."""
    facts = {
        "shots": [crops_key(shot, preset) for shot in shots],
        "preset": asdict(preset),
        "settings": _as_stored(settings),
        "seed": seed,
        "vgg": None if vgg is None else vgg.sha256,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _train(
    trainer: Trainer,
    crops: Sequence[ShotCrops],
    budget: Budget,
    rows: list[plots.LossRow],
    checkpoint: Path,
    elapsed: Callable[[], float],
    progress: ProgressCallback,
    stop: Stop,
) -> float:
    """Train until the budget is spent. Returns the seconds that it took, those before a resume included."""
    settings = trainer.settings
    sampler = WindowSampler(
        list(crops),
        window=trainer.preset.window,
        batch=settings.batch,
        dropped=settings.sound_dropped,
        swapped=settings.sound_swapped,
        random=trainer.random,
    )
    saved = reported = elapsed()
    try:
        while (share := budget.share(trainer.iteration, elapsed())) < 1.0:
            check(stop)
            losses = trainer.step(sampler.draw(), share)
            now = elapsed()
            rows.append({"iteration": trainer.iteration, "seconds": round(now, 2), **losses})
            if now - reported >= REPORT_EVERY_S:
                progress(_report(budget, trainer.iteration, now, losses))
                reported = now
            if now - saved >= CHECKPOINT_EVERY_S:
                save_checkpoint(checkpoint, trainer, {"elapsed_s": now, "losses": rows})
                saved = now
    except Cancelled:
        save_checkpoint(checkpoint, trainer, {"elapsed_s": elapsed(), "losses": rows})
        raise
    progress(Progress(1, 1, "scoring held-out frames"))
    return elapsed()


def _report(budget: Budget, iteration: int, elapsed_s: float, losses: Mapping[str, float]) -> Progress:
    stage = "  ".join(f"{name} {value:.3f}" for name, value in losses.items())
    if budget.iterations is not None:
        return Progress(iteration, budget.iterations, stage)
    return Progress(round(elapsed_s), round(60.0 * float(budget.minutes or 1.0)), f"step {iteration}  {stage}")


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
