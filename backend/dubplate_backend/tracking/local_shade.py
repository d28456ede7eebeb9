# SPDX-License-Identifier: Apache-2.0
"""What nine bands of light cannot say: shadows, gloss and what the face hides from itself, smooth over the skin.

Points side by side err together where the light is not what the bands say, and would pull the head aside to mend it.
What they have in common is taken for shade, so that only the skin's own detail, finer than REACH_M, moves the head
(the idea of the quotient image: Riklin-Raviv & Shashua 2001).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.sparse import csr_matrix
from torch import Tensor

REACH_M = 0.006  # deviation of the neighbourhood
LEAST_NEIGHBOUR = 0.01  # weights below are none
DOUBT = 1.0  # points, each fully believed, that no shade at all counts as
DARK = 0.01  # linear: below it ratios say nothing
FOREIGN = 0.06  # an error of this size, of the display's range, is no shade


@dataclass(frozen=True)
class LocalShade:
    """neighbours: (N, N) weights."""

    neighbours: csr_matrix

    @classmethod
    def of(cls, points: Tensor) -> LocalShade:
        """points: [N, 3] metres, the face at rest."""
        weights = torch.exp(-(torch.cdist(points, points) / REACH_M).square() / 2)
        return cls(csr_matrix(weights.masked_fill(weights < LEAST_NEIGHBOUR, 0).numpy()))

    def factor(self, shown: Tensor, lit: Tensor, error: Tensor, belief: Tensor) -> Tensor:
        """[T, N, 3] what points are brighter by than `lit`, alike with their neighbours.

        shown, lit: [T, N, 3] linear RGB, as seen and as albedo and light have them.   error: [T, N] between them, of
        the display's range.   belief: [T, N].
        """
        belief = (belief / (1 + (error / FOREIGN).square()).square())[..., None]  # [T, N, 1]
        ratio = ((shown + DARK) / (lit + DARK)).log() * belief
        columns = torch.cat((ratio, belief), -1).transpose(0, 1)  # [N, T, 4]
        summed = torch.from_numpy(self.neighbours @ columns.flatten(1).numpy())
        summed = summed.unflatten(1, columns.shape[1:]).transpose(0, 1)
        return (summed[..., :3] / (summed[..., 3:] + DOUBT)).exp()
