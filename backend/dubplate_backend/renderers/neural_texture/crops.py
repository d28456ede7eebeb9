# SPDX-License-Identifier: Apache-2.0
"""The filmed crop as the network sees it, in training and in rendering alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_backend.raster.crop_warp import to_crop

Array = npt.NDArray[Any]


def crop_picture(plate: Array, matrix: Array, size: int) -> npt.NDArray[np.uint8]:
    """The crop of a plate in 8 bits.  plate: [H, W, 3] uint8, or floats 0..1.  Returns [size, size, 3]."""
    scale = 1.0 if plate.dtype == np.uint8 else 255.0
    crop = to_crop(plate.astype(np.float32), matrix, size) * scale
    return np.clip(np.rint(crop), 0, 255).astype(np.uint8)
