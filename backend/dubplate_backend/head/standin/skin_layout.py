# SPDX-License-Identifier: Apache-2.0
"""The skin's wanted picture in the atlas: the face unrolled, the mouth magnified and opened, skull and neck about it.

Only a wish: where it folds over (nostrils, lids), `atlas.spring_layout` finds the nearest layout that does not.
"""

import numpy as np

from dubplate_backend.head.standin.face import Skin
from dubplate_backend.head.standin.interior import LID_EDGE, LINING
from dubplate_backend.head.standin.regions import lining_range, mouth_length
from dubplate_backend.head.standin.skull import RINGS
from dubplate_shared.landmarks import LOWER_INNER_LIP

UNROLL_AXIS_MM = -85.0
"""Depth of the upright axis about which the face is unrolled."""
MAGNIFY, MAGNIFY_REACH_MM = 1.8, 34.0
"""The mouth appears 1 + MAGNIFY times as large; above 2.2 the wish would fold over."""
OPENING_MM, OPENING_REACH_MM = 5.0, 24.0
"""Each lip is drawn this far from the lip line, to lay the lining out between them."""
FACE_SHARE = 0.74
"""Of the picture's width that the face takes; skull and neck lie about it."""


def wanted_layout(skin: Skin, origins: np.ndarray, border: np.ndarray) -> np.ndarray:
    """Wanted places of all skin vertices.   border: [B, 2] in the unit square.   Returns [V, 2]."""
    wanted = np.zeros((len(skin.points), 2))
    face = _face(skin)  # [face_count, 2]
    rim = face[skin.rim]
    low, high = rim.min(0), rim.max(0)
    face = (face - (low + high) / 2) * FACE_SHARE / (high - low).max() + 0.5
    wanted[: skin.face_count] = face
    steps = np.arange(1, RINGS + 1)[:, None, None] / RINGS
    wanted[skin.face_count : skin.outer_count] = ((1 - steps) * face[skin.rim] + steps * border).reshape(-1, 2)
    start, end = lining_range(skin)
    loop = origins[start : start + mouth_length(skin)]
    rings = (np.array([ring[0] for ring in LINING]) / LINING[-1, 0])[:, None, None] ** 0.7 * 0.85
    centre_line = np.stack([0.5 + 0.45 * (face[loop, 0] - 0.5), np.full(len(loop), face[loop, 1].mean())], 1)
    wanted[start : end - 1] = ((1 - rings) * face[loop] + rings * centre_line).reshape(-1, 2)
    wanted[end - 1] = centre_line.mean(0)
    for eye in skin.eyes:
        middle = face[eye].mean(0)
        for ring in range(len(LID_EDGE)):
            members = np.flatnonzero(np.isin(origins, eye))
            members = members[members >= end].reshape(len(LID_EDGE), -1)[ring]
            wanted[members] = face[origins[members]] + (middle - face[origins[members]]) * (ring + 1) / (
                len(LID_EDGE) + 1
            )
    return wanted


def _face(skin: Skin) -> np.ndarray:
    """The face unrolled about an upright axis, the mouth opened and magnified.  [face_count, 2] millimetres."""
    points = skin.points[: skin.face_count]
    turn = np.arctan2(points[:, 0], points[:, 2] - UNROLL_AXIS_MM)
    flat = np.stack([turn * (points[LOWER_INNER_LIP, 2] - UNROLL_AXIS_MM), points[:, 1]], 1)
    upper, lower = (flat[loop] for loop in skin.mouth)
    half_width = np.abs(upper[:, 0]).max()
    line = np.interp(flat[:, 0], upper[:, 0], upper[:, 1])
    side = np.sign(flat[:, 1] - line)
    side[skin.mouth[0]], side[skin.mouth[1]] = 1, -1
    opening = np.sqrt(np.clip(1 - (flat[:, 0] / half_width) ** 2, 0, 1))
    flat[:, 1] += side * opening * OPENING_MM * np.exp(-np.abs(flat[:, 1] - line) / OPENING_REACH_MM)
    middle = np.array([0, (upper[:, 1].mean() + lower[:, 1].mean()) / 2])
    offset = flat - middle
    near = np.exp(-(offset**2).sum(1) / (2 * MAGNIFY_REACH_MM**2))
    return middle + offset * (1 + MAGNIFY * near)[:, None]
