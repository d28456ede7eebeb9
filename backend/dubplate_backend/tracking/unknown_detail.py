# SPDX-License-Identifier: Apache-2.0
"""The photometric term while nobody knows the skin: each point's own detail is sought with all else.

A skin that was learned under a wrong fit shows the face where that fit has it, and pulls every frame back there: to
learn and to fit by turns hardly moves what all frames share. Sought together, a point's detail is whatever its frames
agree on, and only their disagreement counts (bundle adjustment on colours; Delaunoy & Pollefeys 2014, Photometric
Bundle Adjustment for Dense Multi-View 3D Modeling).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dubplate_backend.tracking.normal import Normal, Tied
from dubplate_backend.tracking.photometric_term import PhotometricTerm
from dubplate_backend.tracking.projection import along_picture, camera_rows, motion_rows, see
from dubplate_backend.tracking.sampling import sample_with_slopes
from dubplate_backend.tracking.unknowns import Shared

# Of a view: by so much a step holds on to what a point has, which matters only where no frame sees it. No cost.
HOLD = 0.01


class UnknownDetail(PhotometricTerm):
    """As PhotometricTerm, of crops as `detail` makes them.   expected: [T, N, 3], the same in all frames."""

    def add_to(self, normal: Normal, frames: slice, x: Tensor, shared: Tensor, *, solve_shared: bool) -> None:
        """Of all frames at once: they share what is expected."""
        of_shared = Shared(shared)
        seen = see(self.head, self.view, x, of_shared)
        shown, slopes = sample_with_slopes(self.crops, self._in_crop(seen))
        cost, weight = self._robust(shown - self.expected)
        root = weight.sqrt()[..., None]  # [T, N, 1]
        residual = (shown - self.expected) * root  # [T, N, 3]
        slopes = slopes * self.scale.to(slopes.dtype)[:, None, None, None] * root[..., None]  # per px of the picture
        rows = motion_rows(self.head, x, seen, along_picture(seen, slopes), with_shape=solve_shared)
        if solve_shared:
            rows = torch.cat((rows, slopes @ camera_rows(seen, self.view, of_shared)), -1)  # [T, N, 3, C]
        normal.cost += float(cost.double().sum())
        normal.add(frames, rows.flatten(1, 2).double(), residual.flatten(1).double())
        count = self.expected[0].numel()
        nothing = residual.new_zeros(count, 1)
        normal.tied.append(
            Tied.of(
                -root.expand(residual.shape).reshape(len(x), count, 1, 1),
                rows.reshape(len(x), count, 1, -1),
                residual.reshape(len(x), count, 1),
                nothing + HOLD / self.weights.colour**2,
                nothing,
            )
        )

    def stepped(self, step: Tensor) -> UnknownDetail:
        """step: [N * 3, 1]."""
        return replace(self, expected=self.expected + step.reshape(self.expected.shape[1:]).to(self.expected.dtype))
