# SPDX-License-Identifier: Apache-2.0
"""The part of the plate that a tool worked on: one rectangle for the whole shot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubplate_backend.head.torch_files import read_torch_array
from dubplate_backend.interchange.array_files import read_npy
from dubplate_shared.errors import InvalidInput

_SAME_ASPECT = 0.01  # relative; 854 x 480 and 16:9 are one


@dataclass(frozen=True)
class PictureCrop:
    """Left, top, width and height in plate px (edges, so that a whole plate is 0 0 W H) of the tool's pictures."""

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        if not np.isfinite([self.x, self.y, self.width, self.height]).all() or min(self.width, self.height) <= 0:
            raise InvalidInput("A crop needs a positive size.", hint="Give left, top and side in pixels of the plate.")

    def intrinsics(self, of_pictures: np.ndarray, picture: tuple[int, int]) -> np.ndarray:
        """fx fy cx cy of the tool's pictures in px of the plate.   of_pictures: [N, 4].   Returns [N, 4]."""
        across, down = self.width / picture[0], self.height / picture[1]
        return of_pictures * np.array([across, down, across, down]) + np.array([0.0, 0.0, self.x, self.y])

    def crop_from_plate(self, crop_px: int) -> np.ndarray:
        """[3, 3] plate px to the px of a square crop."""
        across, down = crop_px / self.width, crop_px / self.height
        return np.array([[across, 0.0, -self.x * across], [0.0, down, -self.y * down], [0.0, 0.0, 1.0]])


def whole_plate(picture: tuple[int, int], plate: tuple[int, int]) -> PictureCrop:
    """The whole plate as a tool's pictures.   picture, plate: width, height.

    Raises InvalidInput where they are of another shape: then the tool cropped, and only its user knows where.
    """
    if abs(picture[0] * plate[1] / (picture[1] * plate[0]) - 1) > _SAME_ASPECT:
        raise InvalidInput(
            f"The tool worked on pictures of {picture[0]}x{picture[1]}, and the plate is {plate[0]}x{plate[1]}: it "
            "cropped.",
            hint="Give the part of the plate with --crop X Y SIZE, or the tool's own file with --crop-file "
            "(metrical-tracker: bbox.pt; pixel3dmm: crop_ymin_ymax_xmin_xmax.npy).",
        )
    return PictureCrop(0.0, 0.0, float(plate[0]), float(plate[1]))


def read_crop(path: Path) -> PictureCrop:
    """metrical-tracker's bbox.pt (left right top bottom) or pixel3dmm's .npy (top bottom left right).

    metrical-tracker pads what is not square before it scales it (image.py, `squarefiy`).
    Raises InvalidInput where the file is neither.
    """
    numbers = read_npy(path) if path.suffix == ".npy" else read_torch_array(path, "a tool's crop")
    if numbers.shape != (4,) or numbers.dtype.kind not in "fiu":
        raise InvalidInput(f"{path.name} holds no crop of four numbers.", hint="Give bbox.pt, or pixel3dmm's .npy.")
    if path.suffix == ".npy":
        top, bottom, left, right = numbers.tolist()
        return PictureCrop(left, top, right - left, bottom - top)
    left, right, top, bottom = numbers.tolist()
    side = max(right - left, bottom - top)
    across, down = (side - (right - left)) // 2, (side - (bottom - top)) // 2
    return PictureCrop(left - across, top - down, side, side)
