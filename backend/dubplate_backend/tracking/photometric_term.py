# SPDX-License-Identifier: Apache-2.0
"""The photometric term: each visible point of the skin has, in the picture, the colour that albedo and light give it.

Points are compared where they project to, so a colour's error pulls a point along the picture's slope there (as
metrical-tracker does; Zielonka et al. 2022).  What hides the face is not believed: the loss is Cauchy's, about L1 for
small errors and nearly flat for large ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dubplate_backend.tracking.normal import Normal
from dubplate_backend.tracking.projection import Seen, View, along_picture, camera_rows, motion_rows, see
from dubplate_backend.tracking.sampling import sample, sample_with_slopes
from dubplate_backend.tracking.surface_head import SurfaceHead
from dubplate_backend.tracking.unknowns import Shared
from dubplate_backend.tracking.weights import Weights

LEAST_SLOPE = 1e-6  # of the display's range per px, squared: flat colours say nothing, and divide by something


@dataclass(frozen=True)
class PhotometricTerm:
    """head: float32, at N points.  crops: uint8 [T, S, S, 3].  corner: [T, 2] and scale: [T], crop px = (px - corner)
    scale.  expected: [T, N, 3] display-referred colours 0..1.  belief: [T, N] 0 where a point is not seen."""

    head: SurfaceHead
    view: View
    crops: Tensor
    corner: Tensor
    scale: Tensor
    expected: Tensor
    belief: Tensor
    weights: Weights

    def at(self, frames: slice | Tensor) -> PhotometricTerm:
        return replace(
            self,
            view=self.view.at(frames),
            crops=self.crops[frames],
            corner=self.corner[frames],
            scale=self.scale[frames],
            expected=self.expected[frames],
            belief=self.belief[frames],
        )

    def cost(self, x: Tensor, shared: Tensor) -> float:
        seen = see(self.head, self.view, x, Shared(shared))
        residual = sample(self.crops, self._in_crop(seen)) - self.expected
        return float(self._robust(residual)[0].double().sum())

    def residual(self, x: Tensor, shared: Tensor) -> Tensor:
        """Root mean square over the channels of each point's error, [T, N], in 0..1 of the display's range."""
        seen = see(self.head, self.view, x, Shared(shared))
        return (sample(self.crops, self._in_crop(seen)) - self.expected).square().mean(-1).sqrt()

    def add_to(self, normal: Normal, frames: slice, x: Tensor, shared: Tensor, *, solve_shared: bool) -> None:
        """Add the term's equations around (x [B, 114], shared [G]) for the frames that it holds."""
        of_shared = Shared(shared)
        seen = see(self.head, self.view, x, of_shared)
        colours, slopes = sample_with_slopes(self.crops, self._in_crop(seen))
        residual = colours - self.expected  # [T, N, 3]
        cost, weight = self._robust(residual)
        slopes = slopes * self.scale.to(slopes.dtype)[:, None, None, None]  # per px of the ideal picture

        # Three channels' equations are two: slopes' slopes = root root' with a 2 x 2 lower root.
        strength = weight.sqrt()
        across, down = slopes[..., 0], slopes[..., 1]  # [T, N, 3]
        first = (across.square().sum(-1) + LEAST_SLOPE).sqrt()  # the root's entries, [T, N]
        below = (across * down).sum(-1) / first
        second = (down.square().sum(-1) + LEAST_SLOPE - below.square()).clamp(min=LEAST_SLOPE).sqrt()
        pull_first = (across * residual).sum(-1) / first
        pull_second = ((down * residual).sum(-1) - below * pull_first) / second
        pull = torch.stack((pull_first, pull_second), -1) * strength[..., None]  # [T, N, 2]
        left = torch.stack(
            (torch.stack((first, below), -1), torch.stack((torch.zeros_like(second), second), -1)), -2
        )  # [T, N, 2, 2]: the root, transposed
        left = left * strength[..., None, None]
        rows = motion_rows(self.head, x, seen, along_picture(seen, left), with_shape=solve_shared)
        if solve_shared:
            rows = torch.cat((rows, left @ camera_rows(seen, self.view, of_shared)), -1)
        normal.cost += float(cost.double().sum())
        normal.add(frames, rows.flatten(1, 2), pull.flatten(1))

    def _in_crop(self, seen: Seen) -> Tensor:
        corner, scale = self.corner.to(seen.projected.dtype), self.scale.to(seen.projected.dtype)
        return (seen.projected - corner[:, None]) * scale[:, None, None]

    def _robust(self, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Cost [T, N] of errors [T, N, 3], and the weight of their squares."""
        knee = self.weights.colour_robust_from
        precision = self.belief / self.weights.colour**2
        share = residual.square().sum(-1) / (self.weights.colour * knee) ** 2
        return self.belief * knee**2 * torch.log1p(share), precision / (1 + share)
