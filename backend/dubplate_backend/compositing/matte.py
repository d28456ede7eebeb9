# SPDX-License-Identifier: Apache-2.0
"""The soft matte: how much of each plate pixel the drawn face replaces.

The support is what the renderer may redraw.  Distances to its edge are measured at the plate's resolution and smoothed,
so that neither the crop's pixels nor the mesh's triangles show in the outline, nor a pixel that joins or leaves the
mask between two frames.  The matte rises from a little inside
that edge (nothing that the renderer copied from outside its mask is used) and is exactly 0 from the edge outwards.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from dubplate_backend.raster.crop_warp import Border, Box, Sampling, to_plate

EDGE = 1.5  # crop px: enlarging the crop mixes that much of what lies beside the mask
OUTLINE = 1.5  # crop px, sigma: a mask's pixel comes and goes whole, its outline shall not
SMOOTHING = 0.015  # of the crop's side, sigma
RAMP = 0.06  # of the crop's side: about the width of a lip, so that skin shading has room to meet
# A distance changes by at most 1 a pixel, so a Gaussian moves it by at most the mean length of its own steps.
MOST_MOVED = math.sqrt(math.pi / 2)  # sigmas


def soft_matte(mask: np.ndarray, matrix: np.ndarray, height: int, width: int) -> tuple[Box, np.ndarray]:
    """The matte over the plate.

    mask: [S, S] bool.  matrix: (2, 3) plate px -> unit square.
    Returns the crop's box in the plate and float32 [box.height, box.width] in 0..1.
    """
    solid = mask.astype(np.float32)
    box, support = to_plate(solid, matrix, height, width, sampling=Sampling.LINEAR, border=Border.ZERO)
    if box.empty:
        return box, support
    side = crop_side(matrix)
    sigma = SMOOTHING * side
    erosion = max(EDGE * side / mask.shape[0], MOST_MOVED * sigma)
    edges = at_frame_edge(box, height, width)
    blurred = cv2.GaussianBlur(solid, (0, 0), OUTLINE, borderType=cv2.BORDER_REPLICATE)
    _, outline = to_plate(blurred, matrix, height, width, sampling=Sampling.LINEAR, border=Border.ZERO)
    distance = inside_distance(outline > 0.5, edges, side)
    smooth = cv2.GaussianBlur(distance, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    # The blurred outline may bridge a slit of the mask; the mask's own distance keeps the matte out of it.
    return box, ramp(np.minimum(smooth - erosion, inside_distance(support > 0.5, edges, side)), RAMP * side)


def crop_side(matrix: np.ndarray) -> float:
    """Side of the crop square, plate px."""
    return 1.0 / math.sqrt(abs(np.linalg.det(np.asarray(matrix, np.float64)[:, :2])))


def at_frame_edge(box: Box, height: int, width: int) -> tuple[bool, bool, bool, bool]:
    """Which sides of the box (top, bottom, left, right) are the plate's own edge, where a mask goes on unseen."""
    return box.top == 0, box.bottom == height, box.left == 0, box.right == width


def inside_distance(inside: np.ndarray, continues: tuple[bool, bool, bool, bool], reach_px: float) -> np.ndarray:
    """Distance of each pixel inside to the nearest pixel outside, px; 0 outside.

    continues: the sides (top, bottom, left, right) beyond which the region is taken to go on; beyond the others there
    is nothing.  reach_px: distances beyond it need not be right.
    """
    margin = max(1, math.ceil(reach_px))
    padded = inside.astype(np.uint8)
    for side, goes_on in enumerate(continues):
        amount = [0, 0, 0, 0]
        amount[side] = margin if goes_on else 1
        kind = cv2.BORDER_REPLICATE if goes_on else cv2.BORDER_CONSTANT
        padded = cv2.copyMakeBorder(padded, *amount, kind, value=0)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    top, left = (margin if continues[0] else 1), (margin if continues[2] else 1)
    return distance[top : top + inside.shape[0], left : left + inside.shape[1]]


def ramp(distance: np.ndarray, width: float) -> np.ndarray:
    """0 up to distance 0, 1 from `width` on, between them a cubic with level ends: no visible edge at either."""
    t = np.clip(distance / max(width, 1e-6), 0.0, 1.0).astype(np.float32)
    return t * t * (3.0 - 2.0 * t)
