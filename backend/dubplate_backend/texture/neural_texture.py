# SPDX-License-Identifier: Apache-2.0
"""The actor's neural texture.  Source: Thies et al. 2019, Deferred Neural Rendering; Dubbing for Everyone, sec. 3."""

import torch
from torch import Generator, nn

CHANNELS = 16
"""Dubbing for Everyone, section 3: the first three are regularised towards colour."""

SIZE = 256
"""Texels along a side.  Dubbing for Everyone, section 3."""

_INITIAL_DEVIATION = 0.1
"""Of the random start: small against the range of colours, so that no channel starts saturated."""


class NeuralTexture(nn.Module):
    """A square map of learnt features over the head's UV.

    `texels`: [C, S, S], row 0 at the top (v = 1); kept in memory with a texel's channels side by side, which is what
    sampling reads.
    """

    texels: nn.Parameter

    def __init__(self, channels: int = CHANNELS, size: int = SIZE, generator: Generator | None = None) -> None:
        """Random, from `generator` (torch's own where None)."""
        super().__init__()
        start = torch.randn((size, size, channels), generator=generator) * _INITIAL_DEVIATION  # [S, S, C]
        self.texels = nn.Parameter(start.permute(2, 0, 1))  # [C, S, S]
