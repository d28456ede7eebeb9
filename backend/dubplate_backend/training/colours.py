# SPDX-License-Identifier: Apache-2.0
"""What a texture's first three channels start from: the filmed colours of one person's shots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch import Tensor

from dubplate_backend.head.model import HeadModel
from dubplate_backend.training.dataset import FACE, ShotCrops
from dubplate_backend.training.unproject import unproject

UNPROJECTED_FRAMES = 200  # of the training frames, evenly: enough for an average


def first_colours(crops: Sequence[ShotCrops], head: HeadModel, size: int) -> Tensor:
    """[3, size, size] -1..1: the average of what was filmed on each texel."""

    def pictures() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for shot in crops:
            step = max(1, len(shot.train) // UNPROJECTED_FRAMES)
            for index in shot.train[::step]:
                frames = shot.frames(np.array([index]))
                yield frames.rgb[0], frames.uv[0], frames.has(FACE)[0]

    return unproject(pictures(), head, size)[0]
