# SPDX-License-Identifier: Apache-2.0
"""The ears: shells with helix, antihelix and concha, sunk into the sides of the head.

Height 63 mm, breadth 35 mm, standing off the head by about 20 mm.  Source: Farkas 1994 (sa-sba, pra-pa); Sforza 2009.
"""

from dataclasses import replace

import numpy as np

from dubplate_backend.head.standin.surface import Points, Surface, ball

HEIGHT_MM, BREADTH_MM = 62.0, 35.0
STAND_OFF = 0.42
"""Rise of the ear's plane per millimetre backward: tangent of its angle to the head."""
TILT_RAD = np.radians(14)
COLUMNS = 20
# Rings from the concha out over the rim and down the back: share of the outline, rise of the relief in millimetres.
RELIEF = (
    (0.12, -7.5), (0.34, -6.5), (0.50, 0.2), (0.62, 1.4), (0.76, -0.8), (0.88, 1.6), (0.96, 2.6), (1.0, 1.6),
    (0.98, -0.2), (0.86, -2.4), (0.60, -7.0), (0.36, -12.0),
)  # fmt: skip


def ear(tragus: Points) -> Surface:
    """The subject's left ear.   tragus: [3] millimetres, on the left side of the head."""
    turn = -2 * np.pi * np.arange(COLUMNS) / COLUMNS
    forward, up = np.cos(turn), np.sin(turn)
    # An egg: broad above, narrow at the lobe.
    half_height, half_breadth = HEIGHT_MM / 2, BREADTH_MM / 2
    outline = np.stack([half_breadth * forward * (1 + 0.22 * up), half_height * up], 1)  # [N, 2] forward, up
    hub = np.array([2.5, -4.0])
    lobe = np.clip(-up - 0.55, 0, 1) / 0.45
    front = np.clip(forward - 0.15, 0, 1) / 0.85
    rings = []
    for share, rise in RELIEF:
        flat = hub + share * (outline - hub)
        relief = rise * (1 - 0.75 * lobe * (rise > -2)) * (1 - 0.8 * front * (rise > -2)) - 3.2 * front * (share > 0.4)
        rings.append(np.concatenate([flat, relief[:, None]], 1))
    tips = np.array([[*hub, -8.5], [*hub, -16.0]])
    surface = ball(np.stack(rings), tips)
    return _placed(surface, tragus).labelled("ears")


def _placed(surface: Surface, tragus: Points) -> Surface:
    """From (forward, up, out) on the ear's own plane to the head."""
    forward, up, out = surface.points.T
    c, s = np.cos(TILT_RAD), np.sin(TILT_RAD)
    forward, up = c * forward + s * up * -1, c * up + s * forward
    back = BREADTH_MM / 2 - forward
    points = np.stack([out + STAND_OFF * np.maximum(back, -4), up, -back], 1)
    return replace(surface, points=points + tragus + [0.5, 4.0, -1.0])
