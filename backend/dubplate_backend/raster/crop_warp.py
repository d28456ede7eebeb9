# SPDX-License-Identifier: Apache-2.0
"""Plate to crop and back: the one place that calls `cv2.warpAffine`.

A crop matrix `(2, 3)` maps plate pixels to the unit square; the preset decides how many pixels that square has.
Positions are continuous with pixel centres at +0.5 (pixel i covers [i, i+1)), in the plate and in the crop alike.
OpenCV counts from the centre of the first pixel instead, so every matrix is shifted by half a pixel here and nowhere
else.  OpenCV's sampling positions are rounded to 1/32 px, so a warp is exact to 1/64 px.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np

from dubplate_shared.errors import InvalidInput

CHANNELS_AT_ONCE = 4  # cv2.warpAffine's border value has four components
LARGEST_SIDE = 32766  # cv2.warpAffine refuses SHRT_MAX and above


class Sampling(StrEnum):
    LINEAR = "linear"
    CUBIC = "cubic"
    NEAREST = "nearest"


class Border(StrEnum):
    REPLICATE = "replicate"  # the edge goes on: colours
    ZERO = "zero"  # nothing there: mattes


_CV_SAMPLING = {
    Sampling.LINEAR: cv2.INTER_LINEAR,
    Sampling.CUBIC: cv2.INTER_CUBIC,
    Sampling.NEAREST: cv2.INTER_NEAREST,
}
_CV_BORDER = {Border.REPLICATE: cv2.BORDER_REPLICATE, Border.ZERO: cv2.BORDER_CONSTANT}


@dataclass(frozen=True)
class Box:
    """A rectangle of whole plate pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return max(0, self.right - self.left)

    @property
    def height(self) -> int:
        return max(0, self.bottom - self.top)

    @property
    def empty(self) -> bool:
        return self.width == 0 or self.height == 0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index a plate with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def to_crop(
    plate: np.ndarray,
    matrix: np.ndarray,
    size: int,
    *,
    sampling: Sampling = Sampling.LINEAR,
    border: Border = Border.REPLICATE,
) -> np.ndarray:
    """The crop of a plate, averaged over each crop pixel's area where the plate is finer.

    plate: [H, W] or [H, W, C] float.  matrix: (2, 3) plate px -> unit square.  Returns float32 [size, size(, C)].
    Raises InvalidInput where the matrix cannot be inverted.
    """
    return _warp(plate, crop_pixels(matrix, size), size, size, sampling, border)


def to_plate(
    crop: np.ndarray,
    matrix: np.ndarray,
    height: int,
    width: int,
    *,
    sampling: Sampling = Sampling.CUBIC,
    border: Border = Border.REPLICATE,
) -> tuple[Box, np.ndarray]:
    """A crop laid back over the plate, only within the box that it touches.

    crop: [S, S] or [S, S, C] float.  matrix: (2, 3) plate px -> unit square, as for `to_crop`.
    Returns the box (clipped to the plate, so it may be empty) and the patch, float32 [box.height, box.width(, C)].
    Raises InvalidInput where the matrix cannot be inverted or the crop is not square.
    """
    if crop.shape[0] != crop.shape[1]:
        raise InvalidInput(
            f"A crop is square, this one is {crop.shape[1]}x{crop.shape[0]}.",
            hint="Warp the crop as the renderer gave it.",
        )
    box = crop_box(matrix, height, width)
    if box.empty:
        return box, np.zeros((box.height, box.width, *crop.shape[2:]), np.float32)
    to_patch = _inverse(crop_pixels(matrix, crop.shape[0]))
    to_patch[:, 2] -= (box.left, box.top)
    return box, _warp(crop, to_patch, box.width, box.height, sampling, border)


def crop_box(matrix: np.ndarray, height: int, width: int) -> Box:
    """The whole plate pixels that the unit square touches, clipped to the plate."""
    corners = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]], np.float64) @ _inverse(matrix).T  # [4, 2]
    left, top = np.floor(corners.min(axis=0)).astype(int)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int)
    left, right = np.clip((left, right), 0, width)
    top, bottom = np.clip((top, bottom), 0, height)
    return Box(int(left), int(top), int(right), int(bottom))


def crop_pixels(matrix: np.ndarray, size: int) -> np.ndarray:
    """The crop matrix in crop pixels: (2, 3) float64, plate px -> crop px, both with centres at +0.5."""
    return np.asarray(matrix, np.float64) * size


def st_of_crop(matrix: np.ndarray, size: int, height: int, width: int) -> np.ndarray:
    """STMap that pulls the crop out of the plate: for each crop pixel its place in the plate.

    Returns float32 [size, size, 2]: s right and t up, 0..1 over the plate, as Nuke's STMap reads it.
    """
    x, y = _apply(_inverse(crop_pixels(matrix, size)), size, size)
    return np.stack((x / width, 1.0 - y / height), axis=-1).astype(np.float32)


def st_of_plate(matrix: np.ndarray, box: Box) -> np.ndarray:
    """STMap that lays the crop over the plate: for each plate pixel of `box` its place in the crop.

    Returns float32 [box.height, box.width, 2]: s right and t up, 0..1 over the crop, outside it below 0 or above 1.
    """
    shifted = np.asarray(matrix, np.float64).copy()
    shifted[:, 2] += shifted[:, :2] @ (box.left, box.top)
    x, y = _apply(shifted, box.width, box.height)
    return np.stack((x, 1.0 - y), axis=-1).astype(np.float32)


def _apply(matrix: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """The images of the pixel centres of a width x height raster: two [height, width] float64."""
    x = np.arange(width) + 0.5
    y = (np.arange(height) + 0.5)[:, None]
    return tuple(row[0] * x + row[1] * y + row[2] for row in matrix)


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """The inverse affine map, (2, 3) float64."""
    square = np.vstack((np.asarray(matrix, np.float64), (0.0, 0.0, 1.0)))
    if not np.isfinite(square).all() or abs(np.linalg.det(square)) < 1e-18:
        raise InvalidInput("The crop matrix cannot be inverted.", hint="Track the shot again: its crop is damaged.")
    return np.linalg.inv(square)[:2]


def _warp(
    image: np.ndarray, matrix: np.ndarray, width: int, height: int, sampling: Sampling, border: Border
) -> np.ndarray:
    """Sample `image` at the pixel centres of the target; `matrix` maps source px -> target px, centres at +0.5.

    Where the target is coarser than the source, k x k samples are taken in each target pixel and averaged: a box
    filter over its footprint, which keeps mean brightness and does not alias.
    """
    if max(*image.shape[:2], width, height) > LARGEST_SIDE:
        raise InvalidInput(
            f"No side of a plate may exceed {LARGEST_SIDE} px.", hint="Work on a smaller plate, or on a part of it."
        )
    inverse = _inverse(matrix)  # target px -> source px
    finest = 1 if sampling is Sampling.NEAREST else max(1, math.ceil(np.linalg.svd(inverse[:, :2])[1].max() - 1e-6))
    samples = inverse.copy()
    samples[:, :2] /= finest
    samples[:, 2] += samples[:, :2] @ (0.5, 0.5) - 0.5  # centres at +0.5 -> OpenCV's centres at whole numbers
    source = np.ascontiguousarray(image, np.float32)
    flat = source.reshape(*source.shape[:2], -1)  # [H, W, C]
    planes = []
    for start in range(0, flat.shape[2], CHANNELS_AT_ONCE):
        plane = cv2.warpAffine(
            np.ascontiguousarray(flat[..., start : start + CHANNELS_AT_ONCE]),
            samples,
            (width * finest, height * finest),
            flags=_CV_SAMPLING[sampling] | cv2.WARP_INVERSE_MAP,
            borderMode=_CV_BORDER[border],
            borderValue=0,
        )
        if finest > 1:  # by a whole factor this is the mean of each block
            plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
        planes.append(plane.reshape(height, width, -1))
    warped = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
    return warped.reshape(height, width, *source.shape[2:])
