# SPDX-License-Identifier: Apache-2.0
"""One training step after another: generator, textures and discriminator, and the average of their weights."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dubplate_backend.renderers.neural_texture.discriminator import Discriminator
from dubplate_backend.renderers.neural_texture.generator import Generator
from dubplate_backend.renderers.neural_texture.inputs import base_picture, blended_borders, frame_features
from dubplate_backend.renderers.presets import Preset
from dubplate_backend.texture.mipmaps import MipLayout
from dubplate_backend.texture.neural_texture import NeuralTexture
from dubplate_backend.texture.sampling import sample_texture
from dubplate_backend.training import losses
from dubplate_backend.training.dataset import FACE, MASK
from dubplate_backend.training.low_rank import factorise
from dubplate_backend.training.processes import ALONE, Processes
from dubplate_backend.training.sampler import BUNDLED, Batch
from dubplate_backend.training.settings import AdaptSettings
from dubplate_backend.training.vgg import VggLoss, VggWeights

# What stands in for VGG, as shares of the perceptual weight: sized so that each matters beside the L1 (decision 0042).
LAPLACIAN_SHARE, SSIM_SHARE, FEATURE_SHARE = 0.5, 0.1, 0.05
HEAD_START = 0.1  # share of the run in which the discriminator learns before it is heeded
RAMP = 0.2  # share of the run over which the adversarial terms then come in
TEXTURES_STAY_FROM = 0.85  # share of the run: what a prior's bundle shows has been learnt in full
EMA_WARM_UP = 10  # steps: the average's horizon is a tenth of the steps so far until it reaches its length


@dataclass(frozen=True)
class Prepared:
    """A batch as the generator takes it."""

    features: Tensor  # [B, T, C, S, S]
    base: Tensor  # [B, T, 3, S, S]
    texels: Tensor  # [B * T, C, S, S]


class Trainer:
    """Everything that changes in training. `random` draws the batches; the networks start from `seed`."""

    def __init__(
        self,
        preset: Preset,
        settings: AdaptSettings,
        *,
        seed: int,
        colours: Sequence[Tensor],
        layout: MipLayout,
        vgg: VggWeights | None = None,
        start: Mapping[str, Tensor] | None = None,
        processes: Processes = ALONE,
        device: torch.device | str = "cpu",
    ) -> None:
        """colours: of each identity [3, R, R] -1..1, the first three channels that its texture starts from.
        layout: of R texels.  start: a prior's generator; random weights where None.
        """
        self.preset, self.settings, self.layout = preset, settings, layout
        self.processes, self.device = processes, torch.device(device)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.generator = Generator(preset)
            self.discriminator = Discriminator(preset)
            self.textures = nn.ModuleList(NeuralTexture(preset.texture_channels, preset.texture_size) for _ in colours)
            if start is not None:
                self.generator.load_state_dict(dict(start), strict=True)
            if settings.rank:
                factorise(self.generator, settings.rank)
        self._colours = list(colours)
        for texture, colour in zip(self.textures, colours, strict=True):
            texture.texels.data[:3] = colour
        # Channels side by side: a step takes a third less time on a CPU.
        self.generator = self.generator.to(self.device, memory_format=torch.channels_last)
        self.discriminator = self.discriminator.to(self.device, memory_format=torch.channels_last)
        self.textures = self.textures.to(self.device)
        self.random = np.random.default_rng(seed)
        self.seed, self.iteration = seed, 0
        # Steps that each texture has had; spread at the start, so that they do not all begin anew together.
        self.ages = [settings.texture_life * number // len(colours) for number in range(len(colours))]
        self.vgg = VggLoss(vgg).to(self.device) if vgg is not None else None
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.average_texels = [texture.texels.detach().clone() for texture in self.textures]
        self._learning = [parameter for parameter in self.generator.parameters() if parameter.requires_grad]
        self.drawing = torch.optim.Adam(self._learning, lr=settings.network_rate, betas=settings.betas, fused=True)
        self.judging = torch.optim.Adam(
            self.discriminator.parameters(), lr=settings.discriminator_rate, betas=settings.betas, fused=True
        )
        # One for each texture: it steps only when a window shows that person.
        self.painting = [
            torch.optim.Adam([texture.texels], lr=settings.texture_rate, betas=settings.betas, fused=True)
            for texture in self.textures
        ]

    def step(self, batch: Batch, share: float) -> dict[str, float]:
        """One update of everything.  share: how much of the run is over, 0..1.  Returns the losses, unweighted.

        Of several processes, each gives its windows of the batch; losses and gradients are means over all of them.
        """
        self._set_rates(share)
        batch = batch.to(self.device)
        settings, frames = self.settings, batch.frames
        judging = share >= settings.adversarial_from and self.iteration % settings.adversarial_interval == 0
        heeded = min(max((share - settings.adversarial_from - HEAD_START) / RAMP, 0.0), 1.0)
        adversarial = heeded if judging else 0.0
        with self._precision():
            prepared = prepare(batch, [texture.texels for texture in self.textures], self.layout, self.preset.window)
            drawn = self.generator(side_by_side(prepared.features), prepared.base, batch.mel, batch.heard)
        drawn = drawn.float().flatten(0, 1)  # [N, 3, S, S]
        pasted = torch.where(frames.has(MASK)[:, None], drawn, frames.rgb)  # what a composite would show
        terms = {
            "pixel": losses.weighted_l1(drawn, frames.rgb, losses.region_weights(frames, settings)),
            "texture": self._texture_loss(prepared, batch),
        }
        total = settings.pixel * terms["pixel"] + settings.texture * terms["texture"]
        for name, share_of_weight, value in self._perceptual(pasted, frames.rgb):
            terms[name] = value
            total = total + settings.perceptual * share_of_weight * value
        if adversarial > 0.0:
            fooled, matching = self._judged(pasted, frames.rgb)
            terms["adversarial"] = fooled
            total = total + adversarial * settings.adversarial * fooled
            if self.vgg is None:
                terms["features"] = matching
                total = total + adversarial * settings.perceptual * FEATURE_SHARE * matching
        self._descend(total, batch.everyone)
        if judging:
            terms["discriminator"] = self._judge(pasted.detach(), frames.rgb)
        self._average(batch.everyone)
        self.iteration += 1
        if settings.texture_life and share < TEXTURES_STAY_FROM:
            self._renew(batch.everyone)
        values = torch.stack([value.detach().float() for value in terms.values()])
        self.processes.mean([values])
        return dict(zip(terms, values.tolist(), strict=True))

    def _descend(self, total: Tensor, everyone: tuple[int, ...]) -> None:
        """Step the generator, and the textures of the identities that this step shows."""
        painted = [self.textures[identity].texels for identity in everyone]
        for parameter in (*self._learning, *painted):
            parameter.grad = None
        total.backward()
        for parameter in (*self._learning, *painted):
            if parameter.grad is None:  # another process shows that person
                parameter.grad = torch.zeros_like(parameter)
        self.processes.mean([parameter.grad for parameter in (*self._learning, *painted)])
        if self.settings.gradient_limit > 0.0:
            nn.utils.clip_grad_norm_(self._learning, self.settings.gradient_limit)
        self.drawing.step()
        for identity in everyone:
            self._paint(identity)

    @torch.no_grad()
    def _paint(self, identity: int) -> None:
        """Step a texture, its colours by a share of the step: what is drawn on has to stay smooth where it is seldom
        seen (docs/decisions/0149).
        """
        colours = self.textures[identity].texels[:3]
        before = colours.clone()
        self.painting[identity].step()
        colours.lerp_(before, 1.0 - self.settings.colour_rate)

    def _texture_loss(self, prepared: Prepared, batch: Batch) -> Tensor:
        """Of the windows whose texture is trained here."""
        own = self.preset.window * sum(identity != BUNDLED for identity in batch.identities)
        frames = batch.frames
        return losses.texture_l1(prepared.texels[:own], frames.rgb[:own], frames.has(FACE)[:own])

    def _precision(self) -> AbstractContextManager[object]:
        """bf16 where the settings want it and the device is faster in it: on CPUs without AMX it is three times slower
        (docs/decisions/0040).
        """
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bf16 and _fast_bf16(self.device))

    @torch.no_grad()
    def draw(self, batch: Batch) -> Tensor:
        """What the averaged weights draw: [B, T, 3, S, S]."""
        batch = batch.to(self.device)
        prepared = prepare(batch, self.average_texels, self.layout, self.preset.window)
        return self.average(prepared.features, prepared.base, batch.mel, batch.heard).cpu()

    def _perceptual(self, drawn: Tensor, target: Tensor) -> list[tuple[str, float, Tensor]]:
        """(name, share of the perceptual weight, loss) of VGG, or of what stands in for it."""
        if self.vgg is not None:
            return [("vgg", 1.0, self.vgg(drawn, target))]
        return [
            ("laplacian", LAPLACIAN_SHARE, losses.laplacian_l1(drawn, target)),
            ("ssim", SSIM_SHARE, losses.multi_scale_dissimilarity(drawn, target)),
        ]

    def _windows(self, frames: Tensor) -> Tensor:
        return side_by_side(frames.unflatten(0, (-1, self.preset.window)))

    def _judged(self, pasted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The generator's adversarial loss and the feature matching."""
        self.discriminator.requires_grad_(False)
        with self._precision():
            with torch.no_grad():
                _, wanted = self.discriminator(self._windows(target))
            score, got = self.discriminator(self._windows(pasted))
        self.discriminator.requires_grad_(True)
        return losses.generator_lsgan(score), losses.feature_matching(got, wanted)

    def _judge(self, pasted: Tensor, target: Tensor) -> Tensor:
        """One step of the discriminator, with its gradient penalty every few steps."""
        lazy = self.iteration % self.settings.r1_interval == 0
        real = self._windows(target).clone().requires_grad_(lazy)
        with self._precision():
            scores, _ = self.discriminator(real)
            drawn, _ = self.discriminator(self._windows(pasted))
        loss = total = losses.discriminator_lsgan(scores, drawn)
        if lazy:
            total = loss + self.settings.r1 * self.settings.r1_interval * losses.r1_penalty(scores, real)
        self.judging.zero_grad(set_to_none=True)
        total.backward()
        self.processes.mean([parameter.grad for parameter in self.discriminator.parameters()])
        self.judging.step()
        return loss

    def _set_rates(self, share: float) -> None:
        """Cosine from the full rates to `final_rate` of them, after the warm-up."""
        settings = self.settings
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(share, 1.0)))
        factor = settings.final_rate + (1.0 - settings.final_rate) * cosine
        factor *= min((self.iteration + 1) / (settings.warm_up + 1), 1.0)
        self.drawing.param_groups[0]["lr"] = settings.network_rate * factor
        self.judging.param_groups[0]["lr"] = settings.discriminator_rate * factor
        for painting in self.painting:
            painting.param_groups[0]["lr"] = settings.texture_rate * factor

    @torch.no_grad()
    def _average(self, everyone: tuple[int, ...]) -> None:
        kept, now = list(self.average.parameters()), list(self.generator.parameters())
        torch._foreach_lerp_(kept, now, 1.0 - _keep(self.iteration, self.settings.ema))
        for identity in everyone:
            keep = _keep(self.ages[identity], self.settings.ema)
            self.average_texels[identity].lerp_(self.textures[identity].texels, 1.0 - keep)
            self.ages[identity] += 1

    @torch.no_grad()
    def _renew(self, everyone: tuple[int, ...]) -> None:
        """Begin a texture anew that has lived its time: so the network learns to draw from young textures as well,
        which is what it gets when it is adapted.
        """
        for identity in everyone:
            if self.ages[identity] < self.settings.texture_life:
                continue
            state = np.random.SeedSequence((self.seed, identity, self.iteration)).generate_state(1)
            chance = torch.Generator().manual_seed(int(state[0]))
            fresh = NeuralTexture(self.preset.texture_channels, self.preset.texture_size, chance).texels
            fresh[:3] = self._colours[identity]
            self.textures[identity].texels.copy_(fresh)
            self.average_texels[identity].copy_(fresh)
            self.painting[identity].state.clear()
            self.ages[identity] = 0

    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint holds, by name."""
        return {
            "generator": self.generator,
            "average": self.average,
            "discriminator": self.discriminator,
            "textures": self.textures,
        }

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        painting = {f"painting{identity}": optimiser for identity, optimiser in enumerate(self.painting)}
        return {"drawing": self.drawing, "judging": self.judging} | painting


def side_by_side(windows: Tensor) -> Tensor:
    """[B, T, C, S, S] in memory with all of a pixel's T * C channels side by side."""
    flat = windows.flatten(1, 2).contiguous(memory_format=torch.channels_last)
    return flat.unflatten(1, windows.shape[1:3])


def _keep(steps: int, longest: float) -> float:
    """How much of an average stays after so many steps."""
    return min(longest, (1 + steps) / (EMA_WARM_UP + steps))


def prepare(batch: Batch, textures: Sequence[Tensor], layout: MipLayout, window: int) -> Prepared:
    """Sample each window's texture and stack the generator's input.  textures: [C, R, R] of each identity."""
    frames = batch.frames
    face, mask = frames.has(FACE), frames.has(MASK)
    sampled = _sampled(batch, textures, face, layout, window)
    base = base_picture(frames.rgb, frames.filled, sampled, face, mask)
    features = frame_features(base, sampled, mask, batch.reference)
    return Prepared(features.unflatten(0, (-1, window)), base.unflatten(0, (-1, window)), sampled)


def _sampled(batch: Batch, textures: Sequence[Tensor], face: Tensor, layout: MipLayout, window: int) -> Tensor:
    """[B * T, C, S, S]: neighbouring windows of one identity in one call; what windows of a bundle brought along."""
    parts, first = [], 0
    for identity, run in itertools.groupby(batch.identities):
        last = first + window * len(list(run))
        if identity != BUNDLED:
            uv, shown = batch.frames.uv[first:last], face[first:last]
            parts.append(blended_borders(sample_texture(textures[identity], uv, shown, layout), uv, shown))
        first = last
    if batch.texels is not None:
        parts.append(batch.texels)
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _fast_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_amx_tile_supported())
