# SPDX-License-Identifier: Apache-2.0
"""The generator: texels, filmed surroundings, references and sound in, T frames of face out.

StyleSync's FullGenerator (systems 1.1.2) in the sizes of a preset, drawing on top of the textured head: the picture
starts from the texture's first three channels on the edited head, and the network adds what is missing (decision 0040).
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from dubplate_backend.renderers.neural_texture.audio_encoder import AudioEncoder
from dubplate_backend.renderers.neural_texture.face_encoder import FaceEncoder
from dubplate_backend.renderers.neural_texture.layers import EqualisedLinear, StyledConv, ToRGB
from dubplate_backend.renderers.presets import Preset

MAPPING_RATE = 0.01  # StyleGAN2's learning-rate multiplier of the mapping network


def pixel_norm(x: Tensor) -> Tensor:
    """Scale each sample to unit mean square."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class Decoder(nn.Module):
    """StyleGAN2 synthesis from a learned 4x4 constant; every layer sees the encoder's map of its resolution."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        style_dim, rgb = preset.style_dim, 3 * preset.window
        counts = [count for _, count in preset.channels]
        self.constant = nn.Parameter(torch.randn(1, counts[0], 4, 4))
        self.first = StyledConv(counts[0], counts[0], style_dim)
        self.first_rgb = ToRGB(2 * counts[0], rgb, style_dim)
        pairs = list(itertools.pairwise(counts))
        self.up = nn.ModuleList(StyledConv(2 * low, high, style_dim, up=True) for low, high in pairs)
        self.same = nn.ModuleList(StyledConv(2 * high, high, style_dim) for _, high in pairs)
        self.rgb = nn.ModuleList(ToRGB(2 * high, rgb, style_dim) for _, high in pairs)

    def forward(self, w: Tensor, maps: list[Tensor]) -> Tensor:
        """w: [B, style_dim].  maps: [B, C_r, r, r] from r = 4.  Returns [B, 3T, S, S]."""
        x = self.first(self.constant.expand(len(w), -1, -1, -1), w, maps[0])
        picture = self.first_rgb(x, w, None)
        for skip, up, same, rgb in zip(maps[1:], self.up, self.same, self.rgb, strict=True):
            x = same(up(x, w, skip), w, skip)
            picture = rgb(x, w, picture)
        return picture


class Generator(nn.Module):
    """Encoder, audio encoder, mapping to W, decoder."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.preset = preset
        self.face = FaceEncoder(preset)
        self.audio = AudioEncoder(preset)
        self.join = EqualisedLinear(2 * preset.style_dim, preset.style_dim)
        self.mapping = nn.ModuleList(
            EqualisedLinear(preset.style_dim, preset.style_dim, rate=MAPPING_RATE, activation=True)
            for _ in range(preset.mapping_layers)
        )
        self.decoder = Decoder(preset)

    def forward(self, frames: Tensor, base: Tensor, mel: Tensor, heard: Tensor) -> Tensor:
        """Draw a window.

        frames: [B, T, C, S, S] of `inputs`.  base: [B, T, 3, S, S] the textured head in its surroundings, in -1..1.
        mel: [B, 80, 16].  heard: [B] bool.  Returns [B, T, 3, S, S] in about -1..1, not clipped.
        """
        return self.draw(frames, base, self.audio(mel, heard))

    def draw(self, frames: Tensor, base: Tensor, sound: Tensor) -> Tensor:
        """As `forward`, from the sound's code.  sound: [B, style_dim]."""
        face, maps = self.face(frames.flatten(1, 2))
        w = pixel_norm(self.join(torch.cat((face, sound), dim=1)))
        for layer in self.mapping:
            w = layer(w)
        residual = self.decoder(w, maps)  # [B, 3T, S, S]
        return base + residual.reshape(base.shape)
