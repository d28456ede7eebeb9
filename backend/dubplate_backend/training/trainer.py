# SPDX-License-Identifier: Apache-2.0
"""One training step after another: generator, texture and discriminator, and the average of their weights."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dubplate_backend.renderers.neural_texture.discriminator import Discriminator
from dubplate_backend.renderers.neural_texture.generator import Generator
from dubplate_backend.renderers.neural_texture.inputs import base_picture, frame_features
from dubplate_backend.renderers.presets import Preset
from dubplate_backend.texture.mipmaps import MipLayout
from dubplate_backend.texture.neural_texture import NeuralTexture
from dubplate_backend.texture.sampling import sample_texture
from dubplate_backend.training import losses
from dubplate_backend.training.dataset import FACE, MASK, Batch
from dubplate_backend.training.settings import AdaptSettings
from dubplate_backend.training.vgg import VggLoss, VggWeights

# What stands in for VGG, as shares of the perceptual weight: sized so that each matters beside the L1 (decision 0042).
LAPLACIAN_SHARE, SSIM_SHARE, FEATURE_SHARE = 0.5, 0.1, 0.05
HEAD_START = 0.1  # share of the run in which the discriminator learns before it is heeded
RAMP = 0.2  # share of the run over which the adversarial terms then come in
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
        colours: Tensor,
        layout: MipLayout,
        vgg: VggWeights | None = None,
    ) -> None:
        """colours: [3, R, R] -1..1, the first three channels that the texture starts from.  layout: of R texels."""
        self.preset, self.settings, self.layout = preset, settings, layout
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.generator = Generator(preset)
            self.discriminator = Discriminator(preset)
            self.texture = NeuralTexture(preset.texture_channels, preset.texture_size)
        with torch.no_grad():
            self.texture.texels[:3] = colours
        self.random = np.random.default_rng(seed)
        self.iteration = 0
        self.vgg = VggLoss(vgg) if vgg is not None else None
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.average_texels = self.texture.texels.detach().clone()
        self.drawing = torch.optim.Adam(
            [
                {"params": list(self.generator.parameters()), "lr": settings.network_rate},
                {"params": [self.texture.texels], "lr": settings.texture_rate},
            ],
            betas=settings.betas,
            fused=True,
        )
        self.judging = torch.optim.Adam(
            self.discriminator.parameters(), lr=settings.discriminator_rate, betas=settings.betas, fused=True
        )

    def step(self, batch: Batch, share: float) -> dict[str, float]:
        """One update of everything.  share: how much of the run is over, 0..1.  Returns the losses, unweighted."""
        self._set_rates(share)
        settings, frames = self.settings, batch.frames
        judging = share >= settings.adversarial_from and self.iteration % settings.adversarial_interval == 0
        heeded = min(max((share - settings.adversarial_from - HEAD_START) / RAMP, 0.0), 1.0)
        adversarial = heeded if judging else 0.0
        prepared = prepare(batch, self.texture.texels, self.layout, self.preset.window)
        drawn = self.generator(prepared.features, prepared.base, batch.mel, batch.heard).flatten(0, 1)  # [N, 3, S, S]
        pasted = torch.where(frames.has(MASK)[:, None], drawn, frames.rgb)  # what a composite would show
        terms = {
            "pixel": losses.weighted_l1(drawn, frames.rgb, losses.region_weights(frames, settings)),
            "texture": losses.texture_l1(prepared.texels, frames.rgb, frames),
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
        self.drawing.zero_grad(set_to_none=True)
        total.backward()
        self.drawing.step()
        if judging:
            terms["discriminator"] = self._judge(pasted.detach(), frames.rgb)
        self._average()
        self.iteration += 1
        return {name: float(value.detach()) for name, value in terms.items()}

    @torch.no_grad()
    def draw(self, batch: Batch) -> Tensor:
        """What the averaged weights draw: [B, T, 3, S, S]."""
        prepared = prepare(batch, self.average_texels, self.layout, self.preset.window)
        return self.average(prepared.features, prepared.base, batch.mel, batch.heard)

    def _perceptual(self, drawn: Tensor, target: Tensor) -> list[tuple[str, float, Tensor]]:
        """(name, share of the perceptual weight, loss) of VGG, or of what stands in for it."""
        if self.vgg is not None:
            return [("vgg", 1.0, self.vgg(drawn, target))]
        return [
            ("laplacian", LAPLACIAN_SHARE, losses.laplacian_l1(drawn, target)),
            ("ssim", SSIM_SHARE, losses.multi_scale_dissimilarity(drawn, target)),
        ]

    def _windows(self, frames: Tensor) -> Tensor:
        return frames.unflatten(0, (-1, self.preset.window))

    def _judged(self, pasted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The generator's adversarial loss and the feature matching."""
        self.discriminator.requires_grad_(False)
        with torch.no_grad():
            _, wanted = self.discriminator(self._windows(target))
        score, got = self.discriminator(self._windows(pasted))
        self.discriminator.requires_grad_(True)
        return losses.generator_lsgan(score), losses.feature_matching(got, wanted)

    def _judge(self, pasted: Tensor, target: Tensor) -> Tensor:
        """One step of the discriminator, with its gradient penalty every few steps."""
        lazy = self.iteration % self.settings.r1_interval == 0
        real = self._windows(target).clone().requires_grad_(lazy)
        scores, _ = self.discriminator(real)
        drawn, _ = self.discriminator(self._windows(pasted))
        loss = total = losses.discriminator_lsgan(scores, drawn)
        if lazy:
            total = loss + self.settings.r1 * self.settings.r1_interval * losses.r1_penalty(scores, real)
        self.judging.zero_grad(set_to_none=True)
        total.backward()
        self.judging.step()
        return loss

    def _set_rates(self, share: float) -> None:
        """Cosine from the full rates to `final_rate` of them."""
        settings = self.settings
        cosine = 0.5 * (1.0 + math.cos(math.pi * min(share, 1.0)))
        factor = settings.final_rate + (1.0 - settings.final_rate) * cosine
        for group, rate in zip(self.drawing.param_groups, (settings.network_rate, settings.texture_rate), strict=True):
            group["lr"] = rate * factor
        self.judging.param_groups[0]["lr"] = settings.discriminator_rate * factor

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.settings.ema, (1 + self.iteration) / (EMA_WARM_UP + self.iteration))
        kept, now = list(self.average.parameters()), list(self.generator.parameters())
        torch._foreach_lerp_(kept, now, 1.0 - keep)
        self.average_texels.lerp_(self.texture.texels, 1.0 - keep)

    def modules(self) -> dict[str, nn.Module]:
        """What a checkpoint holds, by name."""
        return {
            "generator": self.generator,
            "average": self.average,
            "discriminator": self.discriminator,
            "texture": self.texture,
        }

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"drawing": self.drawing, "judging": self.judging}


def prepare(batch: Batch, texels: Tensor, layout: MipLayout, window: int) -> Prepared:
    """Sample the texture and stack the generator's input."""
    frames = batch.frames
    face, mask = frames.has(FACE), frames.has(MASK)
    sampled = sample_texture(texels, frames.uv, face, layout)
    base = base_picture(frames.rgb, frames.filled, sampled, face, mask)
    features = frame_features(base, sampled, mask, batch.reference)
    return Prepared(features.unflatten(0, (-1, window)), base.unflatten(0, (-1, window)), sampled)
