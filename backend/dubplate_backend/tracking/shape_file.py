# SPDX-License-Identifier: Apache-2.0
"""A face's shape that another tool knows: MICA's identity.npy, or any vector of 300 components of the head model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dubplate_backend.head.model import SHAPE_COMPONENTS
from dubplate_shared.errors import InvalidInput

LARGEST = 12.0  # deviations: components beyond this are no face


def load_shape(path: Path | str) -> np.ndarray:
    """(300,) float64 from a .npy of (300,) or (1, 300) numbers; nothing in it is run.

    Raises InvalidInput where it is anything else.  The vector has to be of the head model that is tracked: MICA's is
    FLAME's.
    """
    path = Path(path)
    hint = f"Give a .npy of {SHAPE_COMPONENTS} numbers, as MICA writes identity.npy."
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidInput(f"{path} cannot be read as a shape: {error}.", hint=hint) from error
    if not isinstance(array, np.ndarray) or array.size != SHAPE_COMPONENTS or array.dtype.kind not in "fiu":
        raise InvalidInput(f"{path} holds no {SHAPE_COMPONENTS} numbers.", hint=hint)
    shape = array.reshape(-1).astype(np.float64)
    if not np.isfinite(shape).all() or np.abs(shape).max() > LARGEST:
        raise InvalidInput(f"{path} holds numbers that are no face's shape.", hint=hint)
    return shape
