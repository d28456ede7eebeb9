# SPDX-License-Identifier: Apache-2.0
"""Facts about MediaPipe FaceMesh's 468 points (478 with irises), and the measures that Dubplate takes on them.

"left" and "right" are the subject's. Index sets follow MediaPipe's published connection lists (Apache-2.0).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

COUNT = 468
COUNT_WITH_IRISES = 478

RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 33, 263
RIGHT_EYE_INNER, LEFT_EYE_INNER = 133, 362
UPPER_INNER_LIP, LOWER_INNER_LIP = 13, 14
UPPER_OUTER_LIP, LOWER_OUTER_LIP = 0, 17
RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER = 61, 291
RIGHT_INNER_CORNER, LEFT_INNER_CORNER = 78, 308
NOSE_TIP, CHIN, FOREHEAD = 1, 152, 10

# Rings, each from the right corner along the top to the left corner and back along the bottom.
OUTER_LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
LIPS = OUTER_LIPS + INNER_LIPS
# Upper point, lower point: facing pairs of the inner lips, right to left.
INNER_LIP_PAIRS = ((191, 95), (80, 88), (81, 178), (82, 87), (13, 14), (312, 317), (311, 402), (310, 318), (415, 324))
RIGHT_EYE = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
LEFT_EYE = (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249)
RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
LEFT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
RIGHT_IRIS, LEFT_IRIS = (468, 469, 470, 471, 472), (473, 474, 475, 476, 477)
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip


def inter_ocular(points: Array) -> Array:
    """Distance of the outer eye corners.  points: [..., N >= 468, 2 or 3].  Returns [...], in the points' unit."""
    return np.asarray(np.linalg.norm(points[..., RIGHT_EYE_OUTER, :] - points[..., LEFT_EYE_OUTER, :], axis=-1))


def lip_gap(points: Array) -> Array:
    """Distance of the inner lips at the middle over the inter-ocular distance.  points: [..., N, 2 or 3].
    Returns [...].
    """
    gap = np.linalg.norm(points[..., UPPER_INNER_LIP, :] - points[..., LOWER_INNER_LIP, :], axis=-1)
    return np.asarray(gap / inter_ocular(points))


def landmark_error(projected: Array, detected: Array, subset: tuple[int, ...] | None = None) -> Array:
    """Mean distance over the inter-ocular distance of `detected`.  Both [..., N, 2].  Returns [...]."""
    index = list(subset) if subset is not None else slice(None)
    distance = np.linalg.norm(projected[..., index, :] - detected[..., index, :], axis=-1)
    return np.asarray(distance.mean(axis=-1) / inter_ocular(detected))
