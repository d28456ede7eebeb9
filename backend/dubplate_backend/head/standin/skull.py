# SPDX-License-Identifier: Apache-2.0
"""Skull and neck around the face: rings from the face's rim over the head down to the neck.

Dimensions are means of adult men and women in millimetres.  Sources: Farkas 1994, Anthropometry of the Head and Face
(head length g-op, breadth eu-eu); Zhuang & Bradtmiller 2005, NIOSH head-and-face survey, table 3 (head length 197/187,
breadth 153/147, neck circumference 406/343).
"""

import numpy as np

from dubplate_backend.head.standin.surface import Points

HEAD_LENGTH_MM = 192.0
HEAD_BREADTH_MM = 150.0
MENTON_TO_VERTEX_MM = 225.0
NECK_CIRCUMFERENCE_MM = 374.0

FULLNESS = 2.35
"""Exponent of the cranium's superellipsoid: a little squarer than an ellipsoid, as skulls are."""

RINGS = 18
CLOSER_AT_RIM = 1.15
"""Exponent of the rings' spacing: a little denser by the face."""
LIFT_DIES = 3.5
"""What the face stands above the solid is gone after 1/3.5 of the way."""
FINE_STEPS = 160
NECK_BOTTOM_MM = 94.0
"""How far the neck's open end lies below the chin."""
BLEND_MM = 26.0
"""Radius of the smooth unions between cranium, jaw and neck."""


class HeadSolid:
    """A smooth union of cranium, jaw and neck, as a signed distance, placed by the face's glabella and chin."""

    def __init__(self, glabella: Points, chin: Points) -> None:
        top = chin[1] + MENTON_TO_VERTEX_MM
        self.cranium_radii = np.array([HEAD_BREADTH_MM / 2, 0.475 * HEAD_LENGTH_MM, HEAD_LENGTH_MM / 2])
        self.cranium = np.array([0, top - self.cranium_radii[1], glabella[2] - HEAD_LENGTH_MM / 2])
        self.jaw = np.array([0, chin[1] + 62, -50.0])
        self.jaw_radii = np.array([57.0, 64.0, 54.0])
        self.neck_radius = NECK_CIRCUMFERENCE_MM / (2 * np.pi)
        self.neck_top = np.array([0, chin[1] + 40, self.cranium[2] + 4])
        self.neck_bottom = np.array([0, chin[1] - NECK_BOTTOM_MM, self.cranium[2] - 10])
        self.centre = np.array([0, chin[1] + 85, self.cranium[2] + 5])

    def distance(self, points: Points) -> np.ndarray:
        """Approximate signed distance, negative inside.   points: [..., 3] -> [...]."""
        cranium = _ellipsoid(points, self.cranium, self.cranium_radii, FULLNESS)
        jaw = _ellipsoid(points, self.jaw, self.jaw_radii)
        axis = self.neck_bottom - self.neck_top
        along = np.clip((points - self.neck_top) @ axis / (axis @ axis), 0, None)
        from_axis = points - (self.neck_top + along[..., None] * axis)
        flare = 60 * np.clip(along - 0.70, 0, 0.35) ** 2
        neck = np.linalg.norm(from_axis * [1.1, 1, 0.95], axis=-1) - self.neck_radius - flare
        return _smooth_min(_smooth_min(cranium, neck), jaw)

    def radius(self, directions: Points) -> np.ndarray:
        """Distance from the centre to the surface along unit directions.   [..., 3] -> [...]."""
        low, high = np.full(directions.shape[:-1], 10.0), np.full(directions.shape[:-1], 320.0)
        for _ in range(40):
            middle = (low + high) / 2
            inside = self.distance(self.centre + middle[..., None] * directions) < 0
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        return (low + high) / 2


def skull_rings(rim: Points, solid: HeadSolid) -> Points:
    """Rings of vertices from the face's rim to the neck's open end.

    The sphere of directions is laid flat from a pole inside the face (stereographic projection): the rim lies outside,
    the neck is a disc inside, and straight lines between them run over the skull without crossing.
    rim: [N, 3], counter-clockwise seen from the front.   Returns [RINGS, N, 3], the rim itself not among them.
    """
    pole = _unit(np.array([0, 0.10, 1.0]))
    up = _unit(np.array([0, 1.0, 0]) - pole * pole[1])
    side = np.cross(up, pole)
    offset = rim - solid.centre
    rim_flat = _flatten(_unit(offset), pole, side, up)  # [N, 2]
    neck_direction = _unit(solid.neck_bottom - solid.centre)
    neck_flat_centre = _flatten(neck_direction[None], pole, side, up)[0]
    around = rim_flat - neck_flat_centre
    angle = np.unwrap(np.arctan2(around[:, 1], around[:, 0]))
    even = angle[0] + (np.arange(len(rim)) * np.sign(angle[-1] - angle[0])) * 2 * np.pi / len(rim)
    neck_angle = 0.45 * angle + 0.55 * even
    neck_rim = _neck_rim(solid, neck_angle, neck_flat_centre, pole, side, up)  # [N, 2]
    lift = np.linalg.norm(offset, axis=1) - solid.radius(_unit(offset))  # what the face stands above the solid

    def surface(share: np.ndarray) -> Points:
        """Points of the way from rim to neck.   share: [R, N] -> [R, N, 3]."""
        flat = (1 - share[..., None]) * rim_flat + share[..., None] * neck_rim  # [R, N, 2]
        directions = _unflatten(flat, pole, side, up)
        reach = solid.radius(directions) + lift * np.clip(1 - share * LIFT_DIES, 0, None) ** 2
        return solid.centre + reach[..., None] * directions

    # Rings at even lengths along the surface; the flat picture would crowd them at the rim and starve the occiput.
    fine = np.linspace(0, 1, FINE_STEPS)
    way = surface(np.repeat(fine[:, None], len(rim), 1))
    length = np.cumsum(np.linalg.norm(np.diff(way, axis=0, prepend=way[:1]), axis=-1), 0)  # [S, N]
    wanted = (np.arange(1, RINGS + 1) / RINGS) ** CLOSER_AT_RIM
    return surface(np.stack([np.interp(wanted * column[-1], column, fine) for column in length.T], 1))


def _neck_rim(solid: HeadSolid, angle: np.ndarray, centre: np.ndarray, *axes: Points) -> np.ndarray:
    """Where the neck's end lies in the flat picture, by angle about its centre.   angle [N] -> [N, 2]."""
    turn = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    around = np.stack([np.cos(turn), 0 * turn, np.sin(turn)], 1)
    low, high = np.full(len(turn), 20.0), np.full(len(turn), 160.0)
    for _ in range(30):  # the solid's section at the end's height, by bisection
        middle = (low + high) / 2
        inside = solid.distance(solid.neck_bottom + middle[:, None] * around) < 0
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    guess = solid.neck_bottom + low[:, None] * around
    flat = _flatten(_unit(guess - solid.centre), *axes) - centre
    found = np.arctan2(flat[:, 1], flat[:, 0])
    order = np.argsort(found)
    length = np.interp(
        angle % (2 * np.pi), found[order] % (2 * np.pi), np.linalg.norm(flat, axis=1)[order], period=2 * np.pi
    )
    return centre + length[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)


def _flatten(direction: Points, pole: Points, side: Points, up: Points) -> np.ndarray:
    """Stereographic projection away from the pole: the pole goes to infinity.   [..., 3] -> [..., 2]."""
    below = 1 - direction @ pole
    return np.stack([direction @ side, direction @ up], -1) / below[..., None]


def _unflatten(flat: np.ndarray, pole: Points, side: Points, up: Points) -> Points:
    squared = (flat**2).sum(-1, keepdims=True)
    return (2 * flat[..., :1] * side + 2 * flat[..., 1:] * up + (squared - 1) * pole) / (squared + 1)


def _unit(vector: Points) -> Points:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


def _ellipsoid(points: Points, centre: Points, radii: Points, exponent: float = 2.0) -> np.ndarray:
    """Signed distance to first order of a superellipsoid."""
    scaled = np.abs(points - centre) / radii
    length = (scaled**exponent).sum(-1) ** (1 / exponent)
    slope = scaled ** (exponent - 1) / np.maximum(length, 1e-9)[..., None] ** (exponent - 1) / radii
    return (length - 1) / np.maximum(np.linalg.norm(slope, axis=-1), 1e-9)


def _smooth_min(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Polynomial smooth minimum.  Source: Quilez, "smooth minimum", quadratic form."""
    mix = np.clip(0.5 + 0.5 * (b - a) / BLEND_MM, 0, 1)
    return b + (a - b) * mix - BLEND_MM * mix * (1 - mix)
