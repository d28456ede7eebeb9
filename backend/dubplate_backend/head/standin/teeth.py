# SPDX-License-Identifier: Apache-2.0
"""Teeth, gums and tongue.

Crown widths and heights are means in millimetres.  Source: Nelson & Ash, Wheeler's Dental Anatomy (tables of crown
dimensions; mesiodistal width and crown length of each tooth from the central incisor to the second molar).
"""

from dataclasses import replace

import numpy as np

from dubplate_backend.head.standin.atlas import (
    LOWER_GUM_BOX,
    LOWER_TEETH_BOX,
    TONGUE_BOX,
    UPPER_GUM_BOX,
    UPPER_TEETH_BOX,
)
from dubplate_backend.head.standin.surface import Points, Surface, ball, join

UPPER_WIDTHS = (8.5, 6.5, 7.5, 7.0, 7.0, 10.0, 9.0)
LOWER_WIDTHS = (5.0, 5.5, 7.0, 7.0, 7.0, 11.0, 10.5)
UPPER_HEIGHTS = (10.5, 9.0, 10.0, 8.5, 8.5, 7.5, 7.0)
LOWER_HEIGHTS = (9.0, 9.5, 11.0, 8.5, 8.0, 7.5, 7.0)
DEPTHS = (6.0, 6.0, 7.5, 8.5, 8.5, 10.5, 10.5)

UPPER_ARCH = (25.5, 45.0)
"""Half breadth and depth of the half ellipse that the teeth's middles stand on."""
LOWER_ARCH = (22.8, 41.5)
BEHIND_LIPS_MM = 10.2
"""Of the upper arch's front behind the front of the lip line."""
OVERJET_MM = 2.6
EDGE_BELOW_LIP_LINE_MM = 1.5
"""Of the upper incisors' edge: a little of them shows as the lips part."""
OVERBITE_MM = 1.8
ROWS, COLUMNS = 4, 8


def build_teeth(lip_line: Points) -> Surface:
    """Both rows of teeth, gums and tongue behind a closed mouth.   lip_line: [3], the middle of the lips' contact."""
    upper_front = lip_line - np.array([0, EDGE_BELOW_LIP_LINE_MM, BEHIND_LIPS_MM])
    lower_front = upper_front + np.array([0, OVERBITE_MM, -OVERJET_MM])
    return join(
        [
            row(upper_front, UPPER_ARCH, UPPER_WIDTHS, UPPER_HEIGHTS, 1)
            .labelled("teeth", "upper_jaw")
            .in_box(*UPPER_TEETH_BOX),
            row(lower_front, LOWER_ARCH, LOWER_WIDTHS, LOWER_HEIGHTS, -1)
            .labelled("teeth", "lower_jaw")
            .in_box(*LOWER_TEETH_BOX),
            gum(upper_front, UPPER_ARCH, max(UPPER_HEIGHTS), 1).labelled("gums", "upper_jaw").in_box(*UPPER_GUM_BOX),
            gum(lower_front, LOWER_ARCH, max(LOWER_HEIGHTS), -1).labelled("gums", "lower_jaw").in_box(*LOWER_GUM_BOX),
            tongue(lower_front).labelled("tongue", "lower_jaw").in_box(*TONGUE_BOX),
        ]
    )


def arch_points(front: Points, arch: tuple[float, float], along: np.ndarray) -> tuple[Points, Points]:
    """Points of the arch at signed lengths from its middle, and the unit outward normals there.   along [N] mm."""
    turn = np.linspace(-np.pi / 2, np.pi / 2, 2001)
    curve = np.stack([arch[0] * np.sin(turn), 0 * turn, arch[1] * (np.cos(turn) - 1)], 1)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    length -= length[1000]
    angle = np.interp(along, length, turn)
    point = front + np.stack([arch[0] * np.sin(angle), 0 * angle, arch[1] * (np.cos(angle) - 1)], 1)
    normal = np.stack([np.sin(angle) / arch[0], 0 * angle, np.cos(angle) / arch[1]], 1)
    return point, normal / np.linalg.norm(normal, axis=1, keepdims=True)


def row(front: Points, arch: tuple[float, float], widths: tuple, heights: tuple, up: int) -> Surface:
    """Fourteen crowns along an arch; `up` +1 for the upper row, whose roots point up."""
    starts = np.concatenate([[0], np.cumsum(widths)])
    teeth = []
    for k, (width, height, depth) in enumerate(zip(widths, heights, DEPTHS, strict=True)):
        along = (starts[k] + starts[k + 1]) / 2
        (point,), (normal,) = arch_points(front, arch, np.array([along]))
        tooth = crown(width, height, depth, molar=k > 2)
        across = np.cross([0, 1, 0], normal)
        placed = tooth.points @ np.stack([across, [0, up, 0], normal])
        rise = 0.35 * (k == 1) + 0.35 * max(0, k - 3)  # laterals are shorter, and the row curves up behind
        left = replace(tooth, points=placed + point + np.array([0, up * rise, 0]))
        if up < 0:
            swap = [0, 2, 1]
            left = replace(
                left,
                triangles=left.triangles[:, swap],
                uv=[1, 0] + left.uv * [-1, 1],
                uv_triangles=left.uv_triangles[:, swap],
            )
        # Crowns lie side by side in the picture, this one and its mirror image about the middle.
        step = 1 / (2 * len(widths))
        teeth += [left.in_box(0.5 + k * step, 0, 0.5 + (k + 0.9) * step, 1)]
        teeth += [left.mirrored().in_box(0.5 - (k + 0.9) * step, 0, 0.5 - k * step, 1)]
    return join(teeth)


def crown(width: float, height: float, depth: float, molar: bool) -> Surface:
    """One crown, its biting edge at y = 0 and its root at y = height, its face towards +z.

    A rounded box (superellipse sections): incisors thin to an edge, molars end in a table.
    """
    turn = -2 * np.pi * (np.arange(COLUMNS) + 0.5) / COLUMNS
    box = np.stack([np.cos(turn), np.sin(turn)], 1)
    box = np.sign(box) * np.abs(box) ** 0.55  # [N, 2] between a circle and a square
    heights = np.array([1.0, 0.62, 0.22, 0.035])
    wide = np.array([0.80, 0.97, 1.01, 0.97]) * width * 0.5 * 0.985
    thick = np.array([1.0, 0.95, 0.75, 0.6] if molar else [1.0, 0.85, 0.42, 0.2]) * depth * 0.5
    lean = np.array([0.0, 0.35, 0.25, -0.3]) if not molar else np.zeros(4)  # the face bulges, the edge turns in
    rings = np.stack(
        [
            np.stack(
                [
                    wide[r] * box[:, 0],
                    np.full(COLUMNS, heights[r] * height),
                    thick[r] * box[:, 1] + lean[r] - (0 if molar else thick[r] - 0.35 * depth),
                ],
                1,
            )
            for r in range(ROWS)
        ]
    )
    middle = rings.mean(1)
    tips = np.array([middle[0] + [0, 0.8, 0], middle[-1] * [1, 0, 1]])
    return ball(rings, tips)


def gum(front: Points, arch: tuple[float, float], height: float, up: int) -> Surface:
    """A rounded ridge that hides the roots."""
    turn = 2 * np.pi * np.arange(8) / 8
    along = np.linspace(-46, 46, 23) * arch[0] / UPPER_ARCH[0]
    point, normal = arch_points(front, arch, along)
    section = np.stack([np.cos(turn), np.sin(turn)], 1) * [3.9, 5.2]
    rings = point[:, None] + section[:, :1] * normal[:, None] + (section[:, 1:] + up * (height - 1.2 + 2.6)) * [0, 1, 0]
    rings += -2.6 * normal[:, None]
    tips = np.stack([rings[0].mean(0), rings[-1].mean(0)])
    return ball(rings, tips)


def tongue(lower_front: Points) -> Surface:
    """The tongue's body between the lower teeth, its tip just behind the incisors."""
    steps = np.linspace(0.05, 0.97, 11)
    turn = 2 * np.pi * np.arange(12) / 12
    depth = -7 - 47 * steps
    wide = 17.0 * np.sqrt(np.clip(1 - (1 - steps / 0.62) ** 2, 0, 1)) * (steps < 0.62) + 17.0 * (steps >= 0.62)
    thick = 2.2 + 5.5 * np.clip(steps / 0.6, 0, 1) ** 0.8
    height = -8.0 + 1.5 * np.sin(np.pi * np.clip(steps, 0, 1)) - 5.0 * np.clip(steps - 0.7, 0, 1) / 0.3
    groove = 1.2 * np.exp(-((np.cos(turn) / 0.22) ** 2)) * (np.sin(turn) > 0)
    rings = lower_front + np.stack(
        [
            np.stack(
                [
                    w * np.cos(turn),
                    h + t * (np.sin(turn) * np.where(np.sin(turn) > 0, 0.75, 1.0) - groove / 6),
                    np.full(12, d),
                ],
                1,
            )
            for w, h, t, d in zip(wide, height, thick, depth, strict=True)
        ]
    )
    tips = np.stack([rings[0].mean(0) + np.array([0, 0, 1.2]), rings[-1].mean(0) - np.array([0, 0, 2])])
    return ball(rings, tips)
