# SPDX-License-Identifier: Apache-2.0
"""Closing lids: each margin slides over the eyeball to the line where the lids meet, and the skin follows."""

import numpy as np

from dubplate_backend.head.standin.face import EYE_RADIUS_MM, Skin
from dubplate_backend.head.standin.surface import Points, least_bending

CLOSED_CLEARANCE_MM = 1.5
"""Of closed lids off the ball's sphere: they bridge the cornea."""
MEETING = 0.12
"""Height of the line where the lids meet, as a share of the opening: the upper lid does nearly all of it."""
# Landmarks of the right eye whose skin a closing lid hardly moves, and those of the lid itself.
AROUND = (
    70,
    63,
    105,
    66,
    107,
    55,
    193,
    122,
    196,
    236,
    126,
    100,
    101,
    50,
    123,
    116,
    143,
    156,
    225,
    224,
    223,
    222,
    221,
    113,
    226,
    35,
    31,
    228,
    229,
    230,
    231,
    232,
    233,
    244,
    189,
)
CORNERS = (33, 133)


def closing(skin: Skin, pairs: np.ndarray, origins: np.ndarray) -> np.ndarray:
    """Displacement of the left and right lid at full closure.

    origins: [V] the outer vertex whose movement each skin vertex shares (itself on the outside).
    Returns [V, 3, 2] millimetres.
    """
    around = np.unique([*AROUND, *pairs[list(AROUND)]])
    corners = np.unique([*CORNERS, *pairs[list(CORNERS)]])
    outer = skin.triangles[(skin.triangles < skin.outer_count).all(1)]
    fields = []
    for margin, centre in zip(skin.eyes, skin.eye_centres, strict=True):
        values = np.zeros((skin.outer_count, 3))
        hold = np.zeros(skin.outer_count)
        hold[around] = 1.0
        hold[skin.face_count :] = np.inf
        far = np.linalg.norm(skin.points[: skin.outer_count] - centre, axis=1) > 48
        hold[far] = np.inf
        hold[corners] = np.inf
        values[margin] = margin_closing(skin.points[margin], centre)
        hold[margin] = np.inf
        field = least_bending(outer, values, hold)
        field = _outside_ball(skin.points[: skin.outer_count], field, centre)
        fields.append(field[origins])
    return np.stack(fields, -1)


def margin_closing(margin: Points, centre: Points) -> Points:
    """How a lid margin, a closed loop, moves to its closed line.   [N, 3] -> [N, 3]."""
    left, right = np.argmin(margin[:, 0]), np.argmax(margin[:, 0])
    loop = np.roll(np.arange(len(margin)), -left)
    split = int(np.flatnonzero(loop == right)[0])
    one, other = margin[loop[: split + 1]], margin[np.append(loop[split:], left)][::-1]
    upper, lower = (one, other) if one[:, 1].mean() > other[:, 1].mean() else (other, one)
    across = margin[:, 0]
    top = np.interp(across, upper[:, 0], upper[:, 1])
    bottom = np.interp(across, lower[:, 0], lower[:, 1])
    closed = margin.copy()
    closed[:, 1] = bottom + MEETING * (top - bottom)
    reach = EYE_RADIUS_MM + CLOSED_CLEARANCE_MM
    off_axis = np.linalg.norm(closed[:, :2] - centre[:2], axis=1)
    on_ball = centre[2] + np.sqrt(np.maximum(reach**2 - off_axis**2, 0))
    trust = np.clip((12.0 - off_axis) / 4.0, 0, 1)
    closed[:, 2] = trust * on_ball + (1 - trust) * np.maximum(margin[:, 2], np.where(off_axis < reach, on_ball, -99.0))
    return closed - margin


def _outside_ball(points: Points, field: Points, centre: Points) -> Points:
    """The displacement changed where it would take skin into the eyeball."""
    offset = points + field - centre
    length = np.linalg.norm(offset, axis=1, keepdims=True)
    least = np.minimum(
        EYE_RADIUS_MM + CLOSED_CLEARANCE_MM, 0.6 + np.linalg.norm(points - centre, axis=1, keepdims=True)
    )
    moved = (np.linalg.norm(field, axis=1, keepdims=True) > 1e-6) & (length < least)
    return np.where(moved, centre + offset * (least / length) - points, field)
