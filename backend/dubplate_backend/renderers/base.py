# SPDX-License-Identifier: Apache-2.0
"""What every renderer takes and gives, whatever draws inside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dubplate_backend.renderers.hearing import Hearing
from dubplate_backend.renderers.presets import Preset
from dubplate_shared.progress import Stop
from dubplate_shared.shot import Shot
from dubplate_shared.take import Take

Array = npt.NDArray[Any]
Plates = Callable[[int], Array]  # frame number -> [H, W, 3], uint8 or display-referred floats in 0..1


@dataclass(frozen=True)
class RenderedFrame:
    """One frame's face crop. S is the preset's crop size; the shot's crop matrix of this frame places it."""

    frame: int  # frame number, as in the shot
    rgb: npt.NDArray[np.float32]  # [S, S, 3] display-referred 0..1; outside the matte the filmed crop
    alpha: npt.NDArray[np.float32]  # [S, S] 0..1 soft matte of what was redrawn; exactly 0 outside `mask`
    mask: npt.NDArray[np.bool_]  # [S, S] where the renderer may draw: the jaw-independent redraw mask
    uv: npt.NDArray[np.float32]  # [S, S, 2] texture coordinates 0..1 (v up) of the drawn head, 0 beside it
    face: npt.NDArray[np.bool_]  # [S, S] where the drawn head covers the crop, so where `uv` means something
    regions: dict[str, npt.NDArray[np.bool_]]  # [S, S] each: "lips", "mouth" (interior), "teeth" as drawn


class Renderer(Protocol):
    """Draws a take over a shot. A frame's bits depend on its window alone, never on the frames asked with it."""

    preset: Preset
    hearing: Hearing

    @property
    def memory_bytes(self) -> int:
        """What it keeps in memory, on whichever device."""
        ...

    def with_hearing(self, hearing: Hearing) -> Renderer:
        """The same renderer, hearing the voice as told; without that, as its actor says."""
        ...

    def without_references(self, frames: Sequence[int]) -> Renderer:
        """The same renderer, which takes no reference from these frames of a shot: for judging it on them."""
        ...

    def render(
        self, shot: Shot, take: Take, frames: Sequence[int], plates: Plates, stop: Stop
    ) -> Iterator[RenderedFrame]:
        """Yield the frames asked for, in that order; frames without a face (confidence 0) are left out."""
        ...

    def renderer_key(self) -> str:
        """Hash of all that fixes the bits of a frame besides shot, take and plates."""
        ...

    def window(self, shot: Shot, frame: int) -> tuple[int, ...]:
        """The frames of the take that `frame`'s pixels depend on, sorted."""
        ...

    def frames_read(self, shot: Shot, frame: int) -> tuple[int, ...]:
        """The frames of track, take and plates that `frame`'s pixels depend on, sorted."""
        ...
