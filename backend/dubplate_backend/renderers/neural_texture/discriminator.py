# SPDX-License-Identifier: Apache-2.0
"""The windowed discriminator: StyleGAN2's residual one, shown all T frames at once (DfE section 3.4, systems 1.1.4)."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from dubplate_backend.renderers.neural_texture.layers import EqualisedConv, EqualisedLinear
from dubplate_backend.renderers.presets import Preset

DEVIATION_GROUP = 4  # samples compared by the minibatch standard deviation
DEVIATION_EPSILON = 1e-8


class ResidualDown(nn.Module):
    """Two 3x3 convolutions beside a 1x1 one, halving the resolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = EqualisedConv(inputs, inputs, 3)
        self.second = EqualisedConv(inputs, outputs, 3, down=True)
        self.beside = EqualisedConv(inputs, outputs, 1, down=True, bias=False, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        return (self.second(self.first(x)) + self.beside(x)) / math.sqrt(2.0)


def minibatch_deviation(x: Tensor) -> Tensor:
    """One more channel: how much the samples of a group differ.  x: [B, C, H, W].  Returns [B, C + 1, H, W]."""
    batch, channels, height, width = x.shape
    group = math.gcd(batch, DEVIATION_GROUP)
    grouped = x.reshape(group, batch // group, channels, height, width)
    spread = torch.sqrt(grouped.var(dim=0, unbiased=False) + DEVIATION_EPSILON)  # [B / G, C, H, W]
    mean = spread.mean(dim=(1, 2, 3)).repeat(group)  # [B]
    return torch.cat((x, mean[:, None, None, None].expand(batch, 1, height, width)), dim=1)


class Discriminator(nn.Module):
    """Raw score of a window, and the maps on the way to it for feature matching."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        falling = [count for _, count in reversed(preset.discriminator_channels)]
        self.first = EqualisedConv(3 * preset.window, falling[0], 1)
        self.blocks = nn.ModuleList(ResidualDown(wide, deep) for wide, deep in itertools.pairwise(falling))
        self.last = EqualisedConv(falling[-1] + 1, falling[-1], 3)
        self.hidden = EqualisedLinear(falling[-1] * 16, falling[-1], activation=True)
        self.score = EqualisedLinear(falling[-1], 1)

    def forward(self, window: Tensor) -> tuple[Tensor, list[Tensor]]:
        """window: [B, T, 3, S, S] in -1..1.  Returns scores [B] and one map for each resolution."""
        x = self.first(window.flatten(1, 2))
        features = []
        for block in self.blocks:
            x = block(x)
            features.append(x)
        x = self.last(minibatch_deviation(x))
        return self.score(self.hidden(x.flatten(1)))[:, 0], features
