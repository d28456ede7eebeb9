# SPDX-License-Identifier: Apache-2.0
"""What a training leaves: NAME.dubprior with its weights, its bundle, its card and its curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from dubplate_backend.renderers.neural_texture.prior import (
    BUNDLE_FILE,
    CARD_FILE,
    SCHEMA,
    SUFFIX,
    WEIGHTS_FILE,
    Prior,
    load_prior,
)
from dubplate_backend.training import plots
from dubplate_backend.training.bundle import Bundle, make_bundle, save_bundle
from dubplate_backend.training.dataset import ShotCrops
from dubplate_backend.training.metrics import evaluate
from dubplate_backend.training.sampler import Batch, ordered_windows, stack
from dubplate_backend.training.trainer import Trainer, prepare
from dubplate_shared.files import atomic_folder, write_json
from dubplate_shared.shot import HeadIdentity

MODEL_CARD = "README.md"
BUNDLED_PEOPLE = 6
WINDOWS_A_PERSON = 2  # of each, mouths apart: the one serves the other as reference
SCORED_PEOPLE = 16


def draw_bundle(
    trainer: Trainer, crops: Sequence[ShotCrops], identities: Sequence[int], random: np.random.Generator
) -> Bundle:
    """Windows of some people by chance, each with the mouth at its most shut and its most open."""
    people = random.permutation(len(crops))[:BUNDLED_PEOPLE]
    windows, sampled, persons = [], [], []
    for number in people:
        shot = crops[number]
        opening = shot.mouth_opening()[shot.train]
        places = np.argsort(opening)[np.linspace(0, len(opening) - 1, WINDOWS_A_PERSON).round().astype(int)]
        for window in ordered_windows(shot, shot.train[places], trainer.preset.window, identities[number]):
            batch = stack([window]).to(trainer.device)
            with torch.no_grad():
                prepared = prepare(batch, trainer.average_texels, trainer.layout, trainer.preset.window)
            windows.append(window)
            sampled.append(prepared.texels.cpu())
            persons.append(int(number))
    return make_bundle(windows, sampled, persons)


def score_people(trainer: Trainer, crops: Sequence[ShotCrops], identities: Sequence[int]) -> dict[str, object]:
    """Held-out frames of some of the people trained on, in the words of `metrics`, averaged over all their frames."""
    preset, scores = trainer.preset, []
    for number in np.linspace(0, len(crops) - 1, min(SCORED_PEOPLE, len(crops))).round().astype(int):

        def draw(batch: Batch, identity: int = identities[number]) -> torch.Tensor:
            return trainer.draw(batch.of(identity))

        scores.append(evaluate([crops[number]], draw, window=preset.window, batch=preset.batch_windows))
    return {
        "people": len(scores),
        "frames": sum(score.frames for score in scores),
        "inside": "redraw mask, mean over people",
    } | {
        name: {key: round(float(np.mean([asdict(getattr(score, name))[key] for score in scores])), 3)
               for key in ("psnr", "ssim", "mouth_psnr")}
        for name in ("actor", "mean_crop", "nearest_lips")
    }  # fmt: skip


def save_prior(
    out: Path,
    trainer: Trainer,
    bundle: Bundle,
    head: HeadIdentity,
    facts: Mapping[str, Any],
    losses: Sequence[plots.LossRow],
    *,
    overwrite: bool = False,
) -> Prior:
    """Write the whole package at once.  facts: what the card says beside names and sizes.  Returns it as read back."""
    weights = {name: tensor.cpu().half().contiguous() for name, tensor in trainer.average.state_dict().items()}
    with atomic_folder(out, overwrite=overwrite) as folder:
        save_file(weights, folder / WEIGHTS_FILE)
        save_bundle(folder / BUNDLE_FILE, bundle)
        plots.write_losses(folder / "losses.csv", losses)
        plots.plot_losses(folder / "losses.png", losses, out.name)
        card = {
            "schema": SCHEMA,
            "name": out.name.removesuffix(SUFFIX),
            "preset": trainer.preset.name,
            "head": asdict(head),
            "parameters": sum(tensor.numel() for tensor in weights.values()),
            "bundle": {"windows": len(bundle), "people": len(set(bundle.person.tolist()))},
            **facts,
        }
        write_json(folder / CARD_FILE, card)
        (folder / MODEL_CARD).write_text(model_card(card), encoding="utf-8")
    return load_prior(out)


def model_card(card: Mapping[str, Any]) -> str:
    """prior.json in words."""
    people, held, settings = card["people"], card["held_out"], card["settings"]
    millions, minutes = card["parameters"] / 1e6, card["training_s"] / 60
    lines = [
        f"# Prior {card['name']}",
        "",
        f"A generator for preset `{card['preset']}`, {millions:.1f} M parameters in half precision, from "
        "which `dubplate adapt` starts; `bundle.npz` holds windows of its own training to mix in.",
        "",
        f"- **Data**: {people['synthetic']} invented people (seeds {card['synthetic_seeds']}) and {people['filmed']} "
        f"filmed ones, {card['frames']} frames.",
        f"- **Training**: {card['iterations']} steps of {card['windows_a_step']} windows, {minutes:.0f} "
        f"minutes, {card['processes']} process(es); perceptual loss: {card['perceptual_weights']}; rate "
        f"{settings['network_rate']:g}, textures {settings['texture_rate']:g}. All settings: {CARD_FILE}.",
        f"- **Machine**: {card['machine']}.",
        f"- **Head model**: {card['head']['kind']}, {card['head']['sha256'][:12]}.",
        f"- **Licence**: {card['licence']}.",
        f"- **Consent**: {card['consent']['status']}"
        + (f", {card['consent']['why']}." if "why" in card["consent"] else "."),
        f"- **Made by**: `{card['command']}`",
        "",
        f"Held-out frames of {held['people']} of the people trained on, {held['inside']}:",
        "",
        "| | PSNR | SSIM | mouth alone |",
        "| --- | --- | --- | --- |",
    ]
    for name, words in (
        ("actor", "drawn"),
        ("mean_crop", "mean training crop"),
        ("nearest_lips", "training frame with the nearest lips"),
    ):
        score = held[name]
        lines.append(f"| {words} | {score['psnr']:.2f} dB | {score['ssim']:.3f} | {score['mouth_psnr']:.2f} dB |")
    return "\n".join([*lines, ""])
