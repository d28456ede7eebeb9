# SPDX-License-Identifier: Apache-2.0
"""From 200 ms of mel spectrogram to a code: Wav2Lip's layers with StyleSync's group normalisation (systems 1.1.3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dubplate_backend.renderers.neural_texture.layers import EqualisedLinear
from dubplate_backend.renderers.presets import Preset

SLOPE = 0.01  # StyleSync's audio encoder


@dataclass(frozen=True)
class Row:
    """One line of the table: width as a multiple of the first layer's."""

    width: int
    kernel: int
    stride: int | tuple[int, int]
    padding: int
    residual: bool = False


TABLE = (
    Row(1, 3, 1, 1), Row(1, 3, 1, 1, True), Row(1, 3, 1, 1, True),
    Row(2, 3, (3, 1), 1), Row(2, 3, 1, 1, True), Row(2, 3, 1, 1, True),
    Row(4, 3, 3, 1), Row(4, 3, 1, 1, True), Row(4, 3, 1, 1, True),
    Row(8, 3, (3, 2), 1), Row(8, 3, 1, 1, True),
    Row(16, 3, 1, 0), Row(16, 1, 1, 0),
)  # fmt: skip


class AudioBlock(nn.Module):
    """Convolution, group normalisation, LeakyReLU, with the input added before the last where `residual`."""

    def __init__(self, inputs: int, outputs: int, row: Row, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, row.kernel, row.stride, row.padding)
        self.norm = nn.GroupNorm(groups, outputs)
        self.residual = row.residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        return F.leaky_relu(y + x if self.residual else y, SLOPE)


class AudioEncoder(nn.Module):
    """Where there is no sound, or it was dropped in training, a learned code stands for it."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        blocks, channels, width = [], 1, preset.audio_width
        for row in TABLE:
            blocks.append(
                AudioBlock(channels, row.width * width, row, groups=width)
            )  # StyleSync: 32 at its width of 32
            channels = row.width * width
        self.blocks = nn.Sequential(*blocks)
        self.code = EqualisedLinear(channels, preset.style_dim)
        self.no_sound = nn.Parameter(torch.zeros(preset.style_dim))

    def forward(self, mel: Tensor, heard: Tensor) -> Tensor:
        """mel: [B, 80, 16], within +-4.  heard: [B] bool, False where there is no sound.  Returns [B, style_dim]."""
        code = self.code(self.blocks(mel[:, None]).flatten(1))
        return torch.where(heard[:, None], code, self.no_sound)
