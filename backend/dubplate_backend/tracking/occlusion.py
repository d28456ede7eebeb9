# SPDX-License-Identifier: Apache-2.0
"""Whether something else than the face is seen where the mouth should be: a hand, a microphone, a cup.

Landmarks of a hidden mouth are guesses. Its colours tell: where they are not what albedo and light make them, the lips'
landmarks lose their say, and the frames around decide.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dubplate_backend.tracking.photometric_term import PhotometricTerm
from dubplate_backend.tracking.surface_points import SurfacePoints
from dubplate_backend.tracking.unknowns import Shared

# An error of this size, of the display's range, is more than a fit of the same skin leaves.
FOREIGN = 0.15
# Hidden shares of the mouth at which the lips' landmarks begin to lose their say, and have lost it.
BEGINS, ENDS = 0.35, 0.65
LEAST_TRUST = 0.01
FRAMES_AT_ONCE = 16


class Occlusion:
    """Judges frames by the points around the mouth."""

    def __init__(self, points: SurfacePoints) -> None:
        self._mouth = points.mouth

    def lips_trust(self, term: PhotometricTerm, x: Tensor, shared: Shared) -> Tensor:
        """[T] in 0..1: how far the lips' landmarks are to be believed."""
        _, hidden = self.measure(term, x, shared)
        return (1 - (hidden - BEGINS) / (ENDS - BEGINS)).clamp(LEAST_TRUST, 1.0).double()

    def measure(self, term: PhotometricTerm, x: Tensor, shared: Shared) -> tuple[Tensor, Tensor]:
        """Mean error of the visible points, [T], and the share of the mouth's that look foreign, [T]."""
        errors, hidden = [], []
        for start in range(0, len(x), FRAMES_AT_ONCE):
            part = term.at(slice(start, start + FRAMES_AT_ONCE))
            error = part.residual(x[start : start + FRAMES_AT_ONCE], shared.camera)  # [B, N]
            belief = part.belief
            errors.append((error * belief).sum(1) / belief.sum(1).clamp(min=1e-3))
            mouth = belief * self._mouth
            foreign = (mouth * (error > FOREIGN)).sum(1) / mouth.sum(1).clamp(min=1e-3)
            hidden.append(foreign)
        return torch.cat(errors), torch.cat(hidden)
