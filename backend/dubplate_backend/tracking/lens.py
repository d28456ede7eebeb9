# SPDX-License-Identifier: Apache-2.0
"""The lens apart from what the fit finds of it: the fit works on an ideal picture, square pixels and no distortion."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dubplate_backend.tracking.solved_camera import SolvedCamera


@dataclass(frozen=True)
class Lens:
    """width, height: of the plate, px.  centre: (T, 2) plate px, the principal point as stated (the picture's middle
    unless told).  squeeze: fx over fy.  zoom: (T,) the focal length of each frame over the shot's.  focal_px: fx of the
    shot where it is known.  distortion: (8,) OpenCV's k1 k2 p1 p2 k3 k4 k5 k6."""

    width: int
    height: int
    centre: np.ndarray
    squeeze: float = 1.0
    zoom: np.ndarray | None = None
    focal_px: float | None = None
    distortion: np.ndarray | None = None

    @classmethod
    def unknown(cls, width: int, height: int, count: int, *, pixel_aspect: float = 1.0) -> Lens:
        """A lens of which nothing is known but the picture's size, and the width of a pixel over its height."""
        return cls(width, height, np.tile([width / 2, height / 2], (count, 1)), 1 / pixel_aspect)

    @classmethod
    def solved(cls, width: int, height: int, camera: SolvedCamera) -> Lens:
        """The lens of a matchmove. Its pixels have one shape and its distortion one set of coefficients throughout."""
        focal = camera.intrinsics[:, :2]
        shot = float(np.median(focal[:, 0]))
        return cls(
            width,
            height,
            camera.intrinsics[:, 2:],
            float(np.median(focal[:, 0] / focal[:, 1])),
            focal[:, 0] / shot,
            shot,
            camera.distortion,
        )

    @property
    def diagonal(self) -> float:
        """Of the picture with square pixels as wide as the plate's, px."""
        return float(np.hypot(self.width, self.height * self.squeeze))

    def zooms(self) -> np.ndarray:
        """(T,)."""
        return np.ones(len(self.centre)) if self.zoom is None else self.zoom

    def focals(self, focal_px: float) -> np.ndarray:
        """(T, 2) fx fy, plate px, of a shot's focal length in px of the plate's width."""
        fx = focal_px * self.zooms()
        return np.stack([fx, fx / self.squeeze], axis=1)

    def ideal(self, points: np.ndarray, frames: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Plate px (T, N, 2) to px of the ideal picture around the same centre."""
        centre = self.centre[frames][:, None]
        offset = (points - centre) * (1.0, self.squeeze)
        if self.distorts:
            scale = (self.focal_px or 1.0) * self.zooms()[frames][:, None, None]
            offset = undistorted(offset / scale, self.distortion) * scale
        return centre + offset

    def plate(self, points: np.ndarray, frames: slice | np.ndarray = slice(None)) -> np.ndarray:
        """The inverse of `ideal`."""
        centre = self.centre[frames][:, None]
        offset = points - centre
        if self.distorts:
            scale = (self.focal_px or 1.0) * self.zooms()[frames][:, None, None]
            offset = distorted(offset / scale, self.distortion) * scale
        return centre + offset / (1.0, self.squeeze)

    @property
    def distorts(self) -> bool:
        return self.distortion is not None and bool(np.any(self.distortion))


def undistorted(points: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """(..., 2) normalised camera coordinates as the lens shows them -> as a pinhole would."""
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-10)
    flat = np.ascontiguousarray(points, np.float64).reshape(-1, 1, 2)
    return cv2.undistortPointsIter(flat, np.eye(3), coefficients, None, None, criteria).reshape(points.shape)


def distorted(points: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """(..., 2) normalised pinhole coordinates -> as the lens shows them.  Source: OpenCV's rational model."""
    x, y = points[..., 0], points[..., 1]
    k1, k2, p1, p2, k3, k4, k5, k6 = coefficients
    square = x * x + y * y
    radial = 1 + square * (k1 + square * (k2 + square * k3))
    radial = radial / (1 + square * (k4 + square * (k5 + square * k6)))
    return np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x),
            y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y,
        ],
        axis=-1,
    )
