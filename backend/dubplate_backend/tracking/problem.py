# SPDX-License-Identifier: Apache-2.0
"""The fit's whole problem: the sum of its terms, and its normal equations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from torch import Tensor

from dubplate_backend.tracking.held import Held
from dubplate_backend.tracking.landmark_term import LandmarkTerm
from dubplate_backend.tracking.misplaced_landmarks import MisplacedLandmarks
from dubplate_backend.tracking.normal import Normal
from dubplate_backend.tracking.photometric_term import PhotometricTerm
from dubplate_backend.tracking.priors import Priors
from dubplate_backend.tracking.unknown_detail import UnknownDetail

# Frames whose derivatives are in memory at once: 16 of them with the shape's are 120 MB.
FRAMES_AT_ONCE = 16


@dataclass(frozen=True)
class Problem:
    """All terms but the temporal ones, of T frames. Every term's `cost` takes (x [T, 114], shared [G])."""

    landmarks: LandmarkTerm
    priors: Priors
    colours: PhotometricTerm | None = None
    held: Held | None = None

    def __len__(self) -> int:
        return len(self.landmarks.observed)

    def with_colours(self, colours: PhotometricTerm) -> Problem:
        return replace(self, colours=colours)

    def cost(self, x: Tensor, shared: Tensor) -> float:
        """Sum of the terms."""
        total = self.priors.cost(x, shared) + (self.held.cost(x) if self.held else 0.0)
        for term in self._pictured():
            together = len(self) if isinstance(term, MisplacedLandmarks | UnknownDetail) else FRAMES_AT_ONCE
            for start in range(0, len(self), together):
                frames = slice(start, start + together)
                total += term.at(frames).cost(x[frames], shared)
        return total

    def normal(self, x: Tensor, shared: Tensor, *, solve_shared: bool) -> Normal:
        """Normal equations around (x [T, 114], shared [G])."""
        normal = Normal.empty(len(self), len(shared) if solve_shared else 0)
        together = len(self) if solve_shared else FRAMES_AT_ONCE  # frames that share more than a camera
        for start in range(0, len(self), together):
            frames = slice(start, start + together)
            for term in self._pictured():
                term.at(frames).add_to(normal, frames, x[frames], shared, solve_shared=solve_shared)
        self.priors.add_to(normal, x, shared, solve_shared=solve_shared)
        if self.held:
            self.held.add_to(normal, x)
        return normal

    def stepped(self, steps: Iterable[Tensor]) -> Problem:
        """The same with what its terms brought along moved on by `steps`, in the order of `Normal.tied`."""
        steps = iter(steps)
        landmarks, colours = self.landmarks, self.colours
        if isinstance(landmarks, MisplacedLandmarks):
            landmarks = landmarks.stepped(next(steps))
        if isinstance(colours, UnknownDetail):
            colours = colours.stepped(next(steps))
        return replace(self, landmarks=landmarks, colours=colours)

    def _pictured(self) -> tuple[LandmarkTerm | PhotometricTerm, ...]:
        return (self.landmarks,) if self.colours is None else (self.landmarks, self.colours)
