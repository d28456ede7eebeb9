# SPDX-License-Identifier: Apache-2.0
"""What lies behind lips and lids: the lips rolled inward into the mouth's lining, the lids' edges, the eyeballs."""

from dataclasses import replace

import numpy as np

from dubplate_backend.head.standin.face import EYE_RADIUS_MM, Skin
from dubplate_backend.head.standin.surface import Indices, Points, Surface, ball, band_triangles, fan_triangles

LINING = np.array(
    [  # back from the lip line, up, down, widening: millimetres, then a factor
        (-1.2, 0.15, 0.15, 1.0),
        (-3.2, 0.5, 0.5, 1.0),
        (-5.0, 2.0, 2.0, 1.0),
        (-6.2, 5.0, 5.0, 1.02),
        (-6.8, 9.0, 9.5, 1.06),
        (-12.0, 13.5, 14.0, 1.2),
        (-26.0, 15.5, 17.0, 1.36),
        (-44.0, 14.5, 17.0, 1.3),
        (-58.0, 10.0, 12.0, 0.95),
    ]
)
"""Profile of the lining from the lips' contact to the throat: lips about 6 mm thick, a vestibule, the oral cavity."""
THROAT_MM = -64.0
LID_EDGE = ((0.15, 2.2, 0.0), (0.5, 5.0, 14.0), (2.4, 9.0, 34.0))
"""Rings of a lid's edge: clearance of the ball [mm], most that a far margin draws in [mm], turn outward [deg]."""

IRIS_MM = 5.9
"""Half the visible iris' breadth, 11.7 mm.  Source: Rufer et al. 2005 (white to white)."""
CORNEA_MM = 0.6
EYE_RINGS_DEG = (4.0, 9.0, 18.0, 26.0, 28.9, 33.0, 42.0, 58.0, 85.0, 130.0)
EYE_COLUMNS = 24


def mouth_lining(skin: Skin, first: int) -> tuple[Points, Indices, Indices]:
    """The lining's vertices, triangles and, for each vertex, the lip vertex that it starts from.

    first: index of the first new vertex.   Returns points [N, 3], triangles [F, 3] and origins [N]
    (the throat's single vertex, the last, starts from the upper lip's middle).
    """
    upper, lower = skin.mouth
    loop = np.array([*upper, *lower[-2:0:-1]])
    if not _runs_along(skin.triangles, loop):
        loop = loop[::-1]
    lip = skin.points[loop]
    side = np.where(np.isin(loop, upper), 1.0, -1.0)
    half_width = np.abs(lip[:, 0]).max()
    opening = np.sqrt(np.clip(1 - (lip[:, 0] / half_width) ** 2, 0, 1))  # 1 at the middle, 0 at the corners
    middle_height = lip[:, 1].mean()
    rings = []
    for depth, up, down, wide in LINING:
        deep = np.clip((-depth - 7) / 12, 0, 1)  # the cavity's outline is its own, not the lip line's
        height = np.where(side > 0, up, -down) * opening ** (1 - 0.45 * deep)
        base = lip * [1, 1 - deep, 1 - deep] + deep * np.array([0, middle_height, lip[:, 2].max()])
        bow = -9.0 * deep * (lip[:, 0] / half_width) ** 2
        rings.append(np.stack([base[:, 0] * wide, base[:, 1] + height, base[:, 2] + depth + bow], 1))
    points = np.concatenate([*rings, [[0, middle_height - 2, lip[:, 2].max() + THROAT_MM]]])
    rows = np.concatenate([loop[None], first + np.arange(len(rings) * len(loop)).reshape(-1, len(loop))])
    lean = (lip[:, 0] + np.roll(lip, -1, 0)[:, 0]) > 0
    triangles = np.concatenate([band_triangles(rows, lean), fan_triangles(rows[-1], first + len(points) - 1)])
    return points, triangles, np.concatenate([np.tile(loop, len(rings)), [13]])


def lid_edges(skin: Skin, eye: int, first: int) -> tuple[Points, Indices, Indices]:
    """A lid margin's edge rolled back onto the eyeball: points, triangles, and the margin vertex each starts from."""
    loop = np.array(skin.eyes[eye])
    centre = skin.eye_centres[eye]
    offset = skin.points[loop] - centre
    length = np.linalg.norm(offset, axis=1)
    rings = []
    for clearance, draw, turn in LID_EDGE:
        direction = _away_from_axis(offset / length[:, None], np.radians(turn))
        reach = np.maximum(EYE_RADIUS_MM + clearance, length - draw)
        rings.append(centre + reach[:, None] * direction)
    rows = np.concatenate([loop[None], first + np.arange(len(rings) * len(loop)).reshape(-1, len(loop))])
    lean = np.full(len(loop), bool(eye))
    return np.concatenate(rings), band_triangles(rows, lean), np.tile(loop, len(rings))


def eyeball(centre: Points) -> Surface:
    """An eyeball looking along +z, with its cornea, iris and pupil ringed by edges.   centre: [3]."""
    angle = np.radians(EYE_RINGS_DEG)
    turn = 2 * np.pi * np.arange(EYE_COLUMNS) / EYE_COLUMNS
    limbus = np.arcsin(IRIS_MM / EYE_RADIUS_MM)
    bulge = CORNEA_MM * np.clip(1 - (angle / limbus) ** 2, 0, 1)  # the cornea stands out
    around = np.stack([np.cos(turn), np.sin(turn), 0 * turn], 1)  # [N, 3]
    reach = EYE_RADIUS_MM + bulge
    rings = (reach * np.sin(angle))[:, None, None] * around + (reach * np.cos(angle))[:, None, None] * [0, 0, 1]
    tips = np.array([[0, 0, EYE_RADIUS_MM + CORNEA_MM], [0, 0, -EYE_RADIUS_MM]])
    surface = ball(rings + centre, tips + centre)
    from_axis = np.degrees(
        np.arccos(np.clip((surface.points - centre)[:, 2] / np.linalg.norm(surface.points - centre, axis=1), -1, 1))
    )
    labels = {"iris": from_axis < np.degrees(limbus) + 0.5, "pupil": from_axis < EYE_RINGS_DEG[1] + 0.5}
    turn_uv, out = 2 * np.pi * surface.uv[:, 0], (1 - surface.uv[:, 1]) / 2  # the cylinder bent to a disc, iris amid
    disc = 0.5 + out[:, None] * np.stack([np.cos(turn_uv), np.sin(turn_uv)], 1)
    return replace(surface, uv=disc, labels=labels).labelled("eyes")


def _away_from_axis(direction: Points, turn: float) -> Points:
    """Unit directions turned away from +z by an angle."""
    flat = direction * [1, 1, 0]
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    angle = np.arccos(np.clip(direction[:, 2], -1, 1)) + turn
    return np.sin(angle)[:, None] * flat + np.cos(angle)[:, None] * [0, 0, 1]


def _runs_along(triangles: Indices, loop: Indices) -> bool:
    """Whether a boundary loop follows its triangles' edges."""
    edges = {edge for t in triangles.tolist() for edge in ((t[0], t[1]), (t[1], t[2]), (t[2], t[0]))}
    return (int(loop[0]), int(loop[1])) in edges
