# SPDX-License-Identifier: Apache-2.0
"""Nine bands of spherical harmonics: what diffuse light of any kind comes down to.

Ramamoorthi & Hanrahan 2001, "An efficient representation for irradiance environment maps", eq. 3.  Directions are in
camera axes (x right, y down, z forward).
"""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Directions = TypeVar("Directions", np.ndarray, Tensor)
BANDS = 9


def harmonics(directions: Directions) -> Directions:
    """The real spherical harmonics Y_00 .. Y_22 at unit directions (..., 3), numpy or torch.  Returns (..., 9)."""
    x, y, z = directions[..., 0], directions[..., 1], directions[..., 2]
    rows = [
        0 * x + 0.282095,
        0.488603 * y, 0.488603 * z, 0.488603 * x,
        1.092548 * x * y, 1.092548 * y * z, 0.315392 * (3 * z * z - 1), 1.092548 * x * z, 0.546274 * (x * x - y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1) if isinstance(x, Tensor) else np.stack(rows, axis=-1)
