# SPDX-License-Identifier: Apache-2.0
"""A track: the head model's parameters, camera and landmarks of what was filmed, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import load_npz, save_npz

Array = npt.NDArray[Any]

# Trailing shape of each array; "T" leads unless the first entry is None. -1: any length.
_SHAPES: dict[str, tuple[type[np.generic], bool, tuple[int, ...]]] = {
    "frame": (np.int32, True, ()),
    "time": (np.float64, True, ()),
    "shape": (np.float32, False, (300,)),
    "expression": (np.float32, True, (100,)),
    "jaw": (np.float32, True, (3,)),
    "neck": (np.float32, True, (3,)),
    "eyes": (np.float32, True, (6,)),
    "eyelids": (np.float32, True, (2,)),
    "rotation": (np.float32, True, (3,)),
    "translation": (np.float32, True, (3,)),
    "intrinsics": (np.float32, True, (4,)),
    "distortion": (np.float32, False, (8,)),
    "lighting": (np.float32, True, (9, 3)),
    "texture": (np.float32, False, (-1,)),
    "confidence": (np.float32, True, ()),
    "landmarks_px": (np.float32, True, (-1, 2)),
    "projected_px": (np.float32, True, (-1, 2)),
    "landmark_index": (np.int32, False, (-1,)),
}


@dataclass(frozen=True)
class Track:
    """T frames of one head.

    frame: (T,) numbers.  time: (T,) seconds, true presentation times.  shape: (300,).  expression: (T, 100).
    jaw, neck: (T, 3) axis-angle.  eyes: (T, 6) left, right.  eyelids: (T, 2) left, right, 0 open.
    rotation, translation: (T, 3) head to camera, X_cam = R X_head + t, metres, OpenCV axes.
    intrinsics: (T, 4) fx fy cx cy, px.  distortion: (8,) OpenCV's.  lighting: (T, 9, 3) spherical harmonics.
    texture: (K,).  confidence: (T,) 0..1, 0 = no face.  landmarks_px: (T, N, 2) as detected.
    projected_px: (T, N, 2) of the fitted head.  landmark_index: (N,) into MediaPipe's 478.
    Pixel centres lie at +0.5.  Raises InvalidInput where a shape is wrong.
    """

    frame: Array
    time: Array
    shape: Array
    expression: Array
    jaw: Array
    neck: Array
    eyes: Array
    eyelids: Array
    rotation: Array
    translation: Array
    intrinsics: Array
    distortion: Array
    lighting: Array
    texture: Array
    confidence: Array
    landmarks_px: Array
    projected_px: Array
    landmark_index: Array

    def __post_init__(self) -> None:
        count = len(self.frame)
        for name, (dtype, per_frame, trailing) in _SHAPES.items():
            array = np.ascontiguousarray(getattr(self, name), dtype)
            wanted = ((count,) if per_frame else ()) + trailing
            fits = array.ndim == len(wanted) and all(
                want in (-1, size) for want, size in zip(wanted, array.shape, strict=True)
            )
            if not fits:
                raise InvalidInput(f"Track: {name} is {array.shape}, expected {wanted}.", hint="Track the shot again.")
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.frame)

    def save(self, path: Path) -> None:
        """Write track.npz."""
        save_npz(path, {field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Track:
        """Read what save wrote. Raises InvalidInput."""
        arrays = load_npz(path)
        missing = [name for name in _SHAPES if name not in arrays]
        if missing:
            raise InvalidInput(f"{path} lacks {', '.join(missing)}.", hint="Track the shot again.")
        return cls(**{name: arrays[name] for name in _SHAPES})
