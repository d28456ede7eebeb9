# SPDX-License-Identifier: Apache-2.0
"""A plain StyleGAN2 generator of a preset's size: what the renderer's network is timed beside.

Source: Karras et al. 2020: constant, modulated convolutions with noise, ToRGB skips; no encoders, one RGB picture.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from dubplate_backend.renderers.neural_texture.layers import ModulatedConv, ToRGB, activate
from dubplate_backend.renderers.presets import Preset


class NoisyConv(nn.Module):
    """Modulated convolution, noise, bias, activation."""

    def __init__(self, inputs: int, outputs: int, style_dim: int, *, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, style_dim, up=up)
        self.strength = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(1, outputs, 1, 1))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        y = self.conv(x, w)
        noise = torch.randn(len(y), 1, *y.shape[2:], device=y.device)
        return activate(y + self.strength * noise + self.bias)


class PlainGenerator(nn.Module):
    """The preset's resolutions and channels."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        counts, style_dim = [count for _, count in preset.channels], preset.style_dim
        self.constant = nn.Parameter(torch.randn(1, counts[0], 4, 4))
        self.first = NoisyConv(counts[0], counts[0], style_dim)
        self.first_rgb = ToRGB(counts[0], 3, style_dim)
        pairs = list(itertools.pairwise(counts))
        self.up = nn.ModuleList(NoisyConv(low, high, style_dim, up=True) for low, high in pairs)
        self.same = nn.ModuleList(NoisyConv(high, high, style_dim) for _, high in pairs)
        self.rgb = nn.ModuleList(ToRGB(high, 3, style_dim) for _, high in pairs)

    def forward(self, w: Tensor) -> Tensor:
        """w: [B, style_dim].  Returns [B, 3, S, S]."""
        x = self.first(self.constant.expand(len(w), -1, -1, -1), w)
        picture = self.first_rgb(x, w, None)
        for up, same, rgb in zip(self.up, self.same, self.rgb, strict=True):
            x = same(up(x, w), w)
            picture = rgb(x, w, picture)
        return picture
