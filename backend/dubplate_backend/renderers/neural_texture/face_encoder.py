# SPDX-License-Identifier: Apache-2.0
"""From the masked frames with their texels to a code, and maps of every resolution for the decoder (systems 1.1.2)."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from dubplate_backend.renderers.neural_texture.layers import EqualisedConv, EqualisedLinear
from dubplate_backend.renderers.presets import Preset


class FaceEncoder(nn.Module):
    """1x1 convolution at full size, then blurred 3x3 convolutions of stride two down to 4x4."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.window = preset.window
        falling = [count for _, count in reversed(preset.channels)]
        self.first = EqualisedConv(preset.window * preset.frame_channels, falling[0], 1)
        self.down = nn.ModuleList(EqualisedConv(wide, deep, 3, down=True) for wide, deep in itertools.pairwise(falling))
        self.code = EqualisedLinear(falling[-1] * 16, preset.style_dim, activation=True)

    def forward(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """frames: [B, T * C, S, S].  Returns the code [B, style_dim] and maps [B, C_r, r, r], r = 4 upwards to S."""
        maps = [self.first(frames)]
        for layer in self.down:
            maps.append(layer(maps[-1]))
        return self.code(maps[-1].flatten(1)), maps[::-1]
