# SPDX-License-Identifier: Apache-2.0
"""What a user may say about a shot before it is tracked."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dubplate_backend.tracking.albedo import AlbedoModel
from dubplate_backend.tracking.face_choice import FaceChoice
from dubplate_backend.tracking.solved_camera import SolvedCamera
from dubplate_backend.tracking.weights import Weights
from dubplate_shared.files import sha256_arrays


@dataclass(frozen=True)
class TrackSettings:
    """photometric: whether the picture's colours are fitted too, or landmarks alone (quick, and less exact).
    shape: (300,) where a regressor or a scan knows it: then held.   albedo: the linear model of the skin's colour; our
    own unless told.   focal_px: fx where the lens is known.   camera: of a matchmove, held.   face: which one is meant
    where there are several.   one_shot: believe that there is no cut.   weights: what each term is believed."""

    photometric: bool = True
    shape: np.ndarray | None = None
    albedo: AlbedoModel | None = None
    focal_px: float | None = None
    camera: SolvedCamera | None = None
    face: FaceChoice | None = None
    one_shot: bool = False
    weights: Weights = field(default_factory=Weights)

    def key(self) -> str:
        """The same for the same settings: what a checkpoint is kept by."""
        arrays = {"shape": self.shape}
        if self.camera is not None:
            arrays |= {"intrinsics": self.camera.intrinsics, "distortion": self.camera.distortion}
        if self.albedo is not None:
            arrays |= {"albedo": self.albedo.mean.numpy()}
        hashed = sha256_arrays({name: array for name, array in arrays.items() if array is not None})
        return repr((self.photometric, self.focal_px, self.face, self.one_shot, self.weights, hashed))
