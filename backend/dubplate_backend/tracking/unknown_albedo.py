# SPDX-License-Identifier: Apache-2.0
"""The photometric term while nobody knows the skin's albedo: each point's own colour is sought with all else.

An albedo that was learned under a wrong fit shows the face where that fit has it, and pulls every frame back there: to
learn and to fit by turns hardly moves what all frames share. Sought together, a point's colour is whatever its frames
agree on, and only their disagreement counts (bundle adjustment on colours; Delaunoy & Pollefeys 2014, Photometric
Bundle Adjustment for Dense Multi-View 3D Modeling).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dubplate_backend.raster.shading import linear_to_srgb, linear_to_srgb_slope
from dubplate_backend.tracking.normal import Normal, Tied
from dubplate_backend.tracking.photometric_term import PhotometricTerm
from dubplate_backend.tracking.projection import along_picture, camera_rows, motion_rows, see
from dubplate_backend.tracking.sampling import sample_with_slopes
from dubplate_backend.tracking.unknowns import Shared

LEAST, MOST = 0.005, 1.0
LEAST_HOLD = 1.0  # of what is burnt out in every frame
# Views at which a point's own colour counts as much as what the model says of it. The model knows no skin's detail, and
# frames that do not lie on one another average to less of it: held by more, it pays to lay them wrong.
LIKELY_PER_VIEW = 0.02


@dataclass(frozen=True, kw_only=True)
class UnknownAlbedo(PhotometricTerm):
    """As PhotometricTerm; `expected` follows from the albedo.   shaded: [T, N, 3], what light multiplies it by.
    albedo: [N, 3] linear RGB.   likely: [N, 3], what the model says of it.   hold: [N, 3] how much that is believed."""

    shaded: Tensor
    albedo: Tensor
    likely: Tensor
    hold: Tensor

    @classmethod
    def of(cls, term: PhotometricTerm, shaded: Tensor, albedo: Tensor, likely: Tensor) -> UnknownAlbedo:
        albedo, likely = albedo.clamp(LEAST, MOST), likely.clamp(LEAST, MOST)
        slope = (linear_to_srgb_slope(albedo * shaded) * shaded).square().mean(0)  # [N, 3]
        hold = (LIKELY_PER_VIEW * slope / term.weights.colour**2).clamp(min=LEAST_HOLD)
        return cls(**vars(term), shaded=shaded, albedo=albedo, likely=likely, hold=hold)

    def cost(self, x: Tensor, shared: Tensor) -> float:
        off = (self.hold * (self.albedo - self.likely).square()).double().sum()
        return super().cost(x, shared) + float(off)

    def add_to(self, normal: Normal, frames: slice, x: Tensor, shared: Tensor, *, solve_shared: bool) -> None:
        """Of all frames at once: they share the albedo."""
        of_shared = Shared(shared)
        seen = see(self.head, self.view, x, of_shared)
        colours, slopes = sample_with_slopes(self.crops, self._in_crop(seen))
        cost, weight = self._robust(colours - self.expected)
        root = weight.sqrt()[..., None]  # [T, N, 1]
        residual = (colours - self.expected) * root  # [T, N, 3]
        slopes = slopes * self.scale.to(slopes.dtype)[:, None, None, None] * root[..., None]  # per px of the picture
        rows = motion_rows(self.head, x, seen, along_picture(seen, slopes), with_shape=solve_shared)
        if solve_shared:
            rows = torch.cat((rows, slopes @ camera_rows(seen, self.view, of_shared)), -1)  # [T, N, 3, C]
        normal.cost += float(cost.double().sum()) + float((self.hold * (self.albedo - self.likely).square()).sum())
        normal.add(frames, rows.flatten(1, 2).double(), residual.flatten(1).double())
        by_albedo = -linear_to_srgb_slope(self.albedo * self.shaded) * self.shaded * root
        count = self.albedo.numel()
        normal.tied.append(
            Tied.of(
                by_albedo.reshape(len(x), count, 1, 1),
                rows.reshape(len(x), count, 1, -1),
                residual.reshape(len(x), count, 1),
                self.hold.reshape(count, 1),
                (self.albedo - self.likely).reshape(count, 1),
            )
        )

    def stepped(self, step: Tensor) -> UnknownAlbedo:
        """step: [N * 3, 1]."""
        albedo = (self.albedo + step.reshape(self.albedo.shape).to(self.albedo.dtype)).clamp(LEAST, MOST)
        return replace(self, albedo=albedo, expected=linear_to_srgb(albedo * self.shaded))
