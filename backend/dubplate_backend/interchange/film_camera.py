# SPDX-License-Identifier: Apache-2.0
"""A camera as 3D packages describe it: a matrix, a lens and a film back; and what that is in pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dubplate_backend.tracking.solved_camera import SolvedCamera
from dubplate_shared.errors import InvalidInput

LARGEST = 1e12
"""No number of a camera is beyond this, in any unit."""
_OPENGL_FROM_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])  # x right, y up, z backward
_SCALE_TOLERANCE = 1e-3  # of a matrix's three scales against each other


@dataclass(frozen=True)
class FilmCamera:
    """T frames.

    world_from_camera: (T, 4, 4), the camera looking along -z with y up; a scale in it is the scene's and is taken out.
    focal_mm, width_mm: (T,) focal length, and the width of the film back that the picture's width shows; of an
    anamorphic lens the width that it squeezes together.   shift: (T, 2) how far the picture's middle lies right of and
    above the lens's axis, in widths.   unit_m: metres in a unit of length, where the file says.
    """

    world_from_camera: np.ndarray
    focal_mm: np.ndarray
    width_mm: np.ndarray
    shift: np.ndarray
    unit_m: float | None = None

    def solved(self, width: int, height: int, pixel_aspect: float, unit_m: float) -> SolvedCamera:
        """For a picture of so many pixels.   pixel_aspect: a pixel's width over its height.   Raises InvalidInput.

        The width is what fits: a film back of another shape than the picture's is cut or added to above and below.
        """
        if (self.width_mm <= 0).any() or (self.focal_mm <= 0).any():
            raise InvalidInput(
                "The camera's focal length or film back is not positive.",
                hint="Mend it and export it again, or say what they are.",
            )
        focal = width * self.focal_mm / self.width_mm  # [T] px
        middle = np.stack(
            [width * (0.5 - self.shift[:, 0]), 0.5 * height + width * pixel_aspect * self.shift[:, 1]], -1
        )  # [T, 2] pixel centres at +0.5: the picture spans 0 to width
        intrinsics = np.concatenate([focal[:, None], pixel_aspect * focal[:, None], middle], axis=1)
        matrix = np.array(self.world_from_camera, np.float64)
        scales = np.linalg.norm(matrix[:, :3, :3], axis=1)  # [T, 3]
        if (scales <= 0).any() or (np.ptp(scales, axis=1) > _SCALE_TOLERANCE * scales.max(axis=1)).any():
            raise InvalidInput(
                "The camera is scaled unevenly.", hint="Export it without scale: parent it to nothing, or bake it."
            )
        matrix[:, :3, :3] = _orthonormal(matrix[:, :3, :3])
        matrix[:, :3, 3] *= unit_m
        return SolvedCamera(intrinsics, np.zeros(8), matrix @ _OPENGL_FROM_OPENCV)


def _orthonormal(matrix: np.ndarray) -> np.ndarray:
    """The nearest rotation (or mirroring) to each of [T, 3, 3]: single precision and scale taken out."""
    u, _, vt = np.linalg.svd(matrix)
    return u @ vt
