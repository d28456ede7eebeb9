# SPDX-License-Identifier: Apache-2.0
"""How people differ: the stand-in's shape components."""

from dataclasses import replace

import numpy as np

from dubplate_backend.head.model import SHAPE_COMPONENTS
from dubplate_backend.head.standin import regions
from dubplate_backend.head.standin.face import Skin
from dubplate_backend.head.standin.gaussian_process import Kernel, Scale, components, spread
from dubplate_backend.head.standin.surface import Points, Surface

ORIGIN = np.array([0.0, 0.0, -60.0])
"""About which heads are larger, longer or broader: the middle of the head."""
REACH_MM = 80.0
AFFINE = 0.035
"""Deviation of size and proportions: adults' head breadth and length vary by 3 % to 4 %.  Source: see skull.py."""
DEVIATIONS_MM = (3.2, 2.4, 1.5, 0.9)
"""At reaches of 80, 40, 20 and 10 mm."""
LOPSIDED = 0.25
SAMPLES = 650


def shape_basis(surface: Surface, skin: Skin) -> np.ndarray:
    """[V, 3, 300] millimetres: smooth at several scales, finest in the face; eyes and teeth keep their form."""

    def in_face(points: Points) -> np.ndarray:
        return regions.face_strength(points + ORIGIN)

    def off_the_eyes(points: Points) -> np.ndarray:
        return regions.front_strength(points + ORIGIN, skin)

    whole, broad, middle, fine = (Scale(deviation, in_face) for deviation in DEVIATIONS_MM)
    scales = (replace(whole, strength=None), broad, middle, replace(fine, strength=off_the_eyes))
    outer = skin.points[: skin.outer_count]
    half = np.flatnonzero(outer[:, 0] >= -1e-6)
    chosen = half[spread(outer[half], SAMPLES, 0.35 + regions.face_strength(outer[half]))]
    moving = components(
        Kernel(REACH_MM, scales, AFFINE), outer[chosen] - ORIGIN, surface.points - ORIGIN, SHAPE_COMPONENTS, LOPSIDED
    )
    return regions.anchors(surface, skin).coherent(moving)
