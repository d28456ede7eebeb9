# SPDX-License-Identifier: Apache-2.0
"""An invented person's own outline, which no head model's shapes hold.

A tracker fits the face's middle and finds the outline by what its shapes have: on the development clip the jaw lies up
to 8 mm beside the fitted head's.  A prior that has only seen people whom the model holds draws their jaws where the
head ends.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel

_STARTS_M = 0.030, 0.048  # from the middle plane, at the jaw and at the eyes: what is nearer stays as it is
_RAMP_M = 0.025
_DEVIATION_M = 0.004  # of each side, at jaw and temples by themselves


def with_own_outline(head: HeadModel, seed: int) -> HeadModel:
    """The head with its sides further out or in, left and right by themselves.  Deterministic in the seed."""
    random = np.random.default_rng((seed, 0x0071))
    across, height = head.template[:, 0], head.template[:, 1]  # [V] m
    low, high = torch.quantile(height[head.masks["face"]], torch.tensor([0.05, 0.95])).tolist()
    upward = ((height - low) / (high - low)).clamp(0.0, 1.0)  # 0 at the chin and below it
    starts = _STARTS_M[0] + (_STARTS_M[1] - _STARTS_M[0]) * upward
    ramp = ((across.abs() - starts) / _RAMP_M).clamp(0.0, 1.0)
    ramp = ramp * ramp * (3.0 - 2.0 * ramp)
    template = head.template.clone()
    for side in (-1.0, 1.0):
        jaw, temple = _DEVIATION_M * random.normal(size=2)
        template[:, 0] += side * ramp * (across * side > 0) * (jaw + (temple - jaw) * upward)
    return replace(head, template=template)
