# SPDX-License-Identifier: Apache-2.0
"""A camera that a matchmove has solved: what the tracker then holds fixed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dubplate_shared.errors import InvalidInput

_LAST_ROW = (0.0, 0.0, 0.0, 1.0)
_RIGID_TOLERANCE = 1e-4  # of a rotation's entries: single precision, and no scale


@dataclass(frozen=True)
class SolvedCamera:
    """One camera over T frames of a plate.

    intrinsics: (T, 4) float64 fx fy cx cy, px, pixel centres at +0.5.
    distortion: (8,) float64 OpenCV's k1 k2 p1 p2 k3 k4 k5 k6; zeros where the plate is undistorted or it is not known.
    world_from_camera: (T, 4, 4) float64, rigid: X_world = world_from_camera X_cam, OpenCV camera axes (x right, y down,
    z forward), metres.
    Raises InvalidInput where shapes disagree, a number is not finite, a focal length is not positive, or a matrix
    scales or mirrors.
    """

    intrinsics: np.ndarray
    distortion: np.ndarray
    world_from_camera: np.ndarray

    def __post_init__(self) -> None:
        count = len(self.intrinsics)
        wanted = {"intrinsics": (count, 4), "distortion": (8,), "world_from_camera": (count, 4, 4)}
        for name, shape in wanted.items():
            array = np.ascontiguousarray(getattr(self, name), np.float64)
            if array.shape != shape:
                raise InvalidInput(
                    f"Camera: {name} is {array.shape}, expected {shape}.", hint="Import the camera again."
                )
            if not np.isfinite(array).all():
                raise InvalidInput(
                    f"Camera: {name} holds what is no number.", hint="Mend the camera's curves and export it again."
                )
            object.__setattr__(self, name, array)
        if (self.intrinsics[:, :2] <= 0).any():
            raise InvalidInput(
                "Camera: a focal length is not positive.", hint="Mend the camera's focal curve and export it again."
            )
        rotation = self.world_from_camera[:, :3, :3]  # [T, 3, 3]
        squared = rotation @ rotation.transpose(0, 2, 1)
        straight = np.abs(squared - np.eye(3)).max(initial=0.0) < _RIGID_TOLERANCE
        if not straight or (np.linalg.det(rotation) < 0).any() or (self.world_from_camera[:, 3] != _LAST_ROW).any():
            raise InvalidInput(
                "Camera: its matrices are not rigid.", hint="Export the camera without scale, shear or mirroring."
            )

    def __len__(self) -> int:
        return len(self.intrinsics)
