# SPDX-License-Identifier: Apache-2.0
"""Which vertices belong to what: masks, what moves as one, and where the head varies how much."""

from dataclasses import dataclass

import numpy as np

from dubplate_backend.head.standin.face import Skin
from dubplate_backend.head.standin.interior import LID_EDGE, LINING
from dubplate_backend.head.standin.surface import Points, Surface
from dubplate_shared.landmarks import CHIN, OUTER_LIPS, RIGHT_BROW

NOSE_BASE = 2
CHIN_STILL, CHIN_STILL_MM = 0.75, 30.0
"""Share of its local variation that the chin loses, and how far around."""
LIP_MARGIN_MM = 0.5
NAPE_ABOVE_CHIN_MM = 30.0
"""Where the scalp ends and the neck begins."""
CHEEK_RISE = 0.10
"""The border of what is drawn anew rises by this much per millimetre from below the nose outward."""
RIM_REDRAW_MM, NECK_REDRAW_MM, REDRAW_BACK_MM = 62.0, 26.0, -62.0
"""Beyond the face's rim: how far above and below the chin, and how far back."""
LIP_RINGS = 3
"""Rings of the lining that still count as lip: the wet red that shows when the mouth opens."""


def masks(surface: Surface, skin: Skin) -> dict[str, np.ndarray]:
    """Region masks, name -> [V] bool."""
    points, count = surface.points, len(surface.points)
    index = np.arange(count)
    face = index < skin.face_count
    around = (index >= skin.face_count) & (index < skin.outer_count)
    lining_start, lining_end = lining_range(skin)
    in_lining = (index >= lining_start) & (index < lining_end)
    wet = in_lining & (index < lining_start + LIP_RINGS * mouth_length(skin))
    lips = wet | (
        face & inside_polygon(points[:, :2], points[list(OUTER_LIPS), :2], LIP_MARGIN_MM) & (points[:, 2] > -10)
    )
    edge = (index >= lining_end) & (index < len(skin.points))
    labels = {name: surface.labels[name] for name in ("eyes", "iris", "pupil", "ears", "teeth", "gums", "tongue")}
    chin, nose = points[CHIN], points[NOSE_BASE]
    scalp = around & (points[:, 1] > chin[1] + NAPE_ABOVE_CHIN_MM)
    neck = around & ~scalp
    mouth = (in_lining & ~wet) | labels["teeth"] | labels["gums"] | labels["tongue"]
    cheek_line = nose[1] - 1 + CHEEK_RISE * np.abs(points[:, 0])
    redraw = (face & (points[:, 1] < cheek_line)) | in_lining | mouth
    above_chin = points[:, 1] - chin[1]
    redraw |= around & (above_chin < RIM_REDRAW_MM) & (above_chin > -NECK_REDRAW_MM) & (points[:, 2] > REDRAW_BACK_MM)
    brows = [points[[*RIGHT_BROW]] * [side, 1, 1] for side in (1, -1)]
    brow = face & np.any([inside_polygon(points[:, :2], b[:, :2]) for b in brows], axis=0)
    return {
        "face": face | edge,
        "lips": lips,
        "mouth": mouth,
        "socket": in_lining & ~wet,
        "neck": neck,
        "scalp": scalp,
        "lid_edges": edge,
        "brows": brow,
        "redraw": redraw,
        **labels,
    }


def mouth_length(skin: Skin) -> int:
    """Vertices round the lip line."""
    return len(skin.mouth[0]) + len(skin.mouth[1]) - 2


def lining_range(skin: Skin) -> tuple[int, int]:
    """First vertex of the mouth's lining and the one after its last."""
    return skin.outer_count, skin.outer_count + len(LINING) * mouth_length(skin) + 1


def lining(skin: Skin) -> np.ndarray:
    """Vertices of the mouth's lining."""
    return np.arange(*lining_range(skin))


def lid_end(skin: Skin, eye: int) -> np.ndarray:
    """The innermost ring of a lid's edge, in the direction of its margin."""
    around = len(skin.eyes[eye])
    start = lining_range(skin)[1] + eye * len(LID_EDGE) * len(skin.eyes[0])
    return start + (len(LID_EDGE) - 1) * around + np.arange(around)


def inside_polygon(points: np.ndarray, polygon: np.ndarray, margin: float = 0.05) -> np.ndarray:
    """Whether points lie in a polygon or within a margin of it.   [V, 2], [N, 2] -> [V] bool.  Even-odd rule."""
    x, y = points[:, :1], points[:, 1:]
    a, b = polygon, np.roll(polygon, -1, 0)
    crosses = (a[:, 1] > y) != (b[:, 1] > y)
    rise = np.where(b[:, 1] == a[:, 1], 1, b[:, 1] - a[:, 1])
    at = a[:, 0] + (y - a[:, 1]) / rise * (b[:, 0] - a[:, 0])
    inside = (crosses & (x < at)).sum(1) % 2 == 1
    along = b - a
    share = np.clip(((points[:, None] - a) * along).sum(-1) / (along**2).sum(-1), 0, 1)  # [V, N]
    distance = np.linalg.norm(points[:, None] - a - share[..., None] * along, axis=-1).min(1)
    return inside | (distance < margin)


def joint_surroundings(surface: Surface, skin: Skin, eyes: tuple[np.ndarray, np.ndarray]) -> list[np.ndarray]:
    """The vertices from which root, neck, jaw and eye joints are regressed.  Five [V] bool."""
    points = surface.points
    index = np.arange(len(points))
    outer = index < skin.outer_count
    chin = points[CHIN]
    end = outer & (index >= skin.outer_count - 2 * len(skin.rim))
    neck = (
        outer & (index >= skin.face_count) & (np.abs(points[:, 1] - chin[1] + 6) < 22) & (points[:, 2] < chin[2] - 30)
    )
    temples = outer & (np.abs(points[:, 0]) > 55) & (np.abs(points[:, 1] - 5) < 25) & (np.abs(points[:, 2] + 64) < 25)
    return [end, neck, temples, *eyes]


def face_strength(points: Points) -> np.ndarray:
    """1 in the face, falling to 0.15 over skull and neck.  [V]."""
    depth = 1 / (1 + np.exp(-(points[..., 2] + 62) / 9))
    height = 1 / (1 + np.exp(-(points[..., 1] + 104) / 8))
    return 0.15 + 0.85 * depth * height


def front_strength(points: Points, skin: Skin) -> np.ndarray:
    """As `face_strength`, weaker about the eyeballs, which the lids must not enter.  [V]."""
    strength = face_strength(points)
    for centre in skin.eye_centres:
        near = np.exp(-(((points - centre) / 15) ** 2).sum(-1))
        strength = strength * (1 - 0.6 * near)
    return strength


def expression_strength(points: Points, beyond_mm: float) -> np.ndarray:
    """1 in the face, dying away `beyond_mm` behind the line from temple to throat.  [V]."""
    inside = np.minimum(points[:, 2] + 66, 1.0 * (points[:, 1] + 122))
    share = np.clip(1 + inside / beyond_mm, 0, 1)
    return share * share * (3 - 2 * share)


@dataclass(frozen=True)
class VariationStrength:
    """Where expressions vary locally, as functions of points on the head with its mouth open."""

    mouth_middle: Points
    chin: Points

    def broad(self, points: Points) -> np.ndarray:
        """Lower face and brows.  [V]."""
        return np.maximum(self._near_mouth(points, 62), 0.55 * self._near_eyes(points, 34)) * self._front(points)

    def middle(self, points: Points) -> np.ndarray:
        """About mouth, nose and eyes.  [V]."""
        return np.maximum(self._near_mouth(points, 42), 0.6 * self._near_eyes(points, 26)) * self._front(points)

    def fine(self, points: Points) -> np.ndarray:
        """Lips alone, and a little of the lids.  [V]."""
        return np.maximum(self._near_mouth(points, 26), 0.4 * self._near_eyes(points, 17)) * self._front(points)

    def density(self, points: Points) -> np.ndarray:
        """How close samples should lie.  [V]."""
        return 0.3 + self.middle(points) + 1.5 * self.fine(points)

    def _front(self, points: Points) -> np.ndarray:
        """Nothing behind the cheeks, little at the chin: that moves with the jaw."""
        chin = np.exp(-((np.linalg.norm(points - self.chin, axis=1) / CHIN_STILL_MM) ** 2))
        return (1 - CHIN_STILL * chin) / (1 + np.exp(-(points[:, 2] + 58) / 6))

    def _near_mouth(self, points: Points, reach: float) -> np.ndarray:
        return np.exp(-(((points - self.mouth_middle) / [reach, 0.9 * reach, 1.3 * reach]) ** 2).sum(1))

    def _near_eyes(self, points: Points, reach: float) -> np.ndarray:
        offset = (np.abs(points[:, :2]) * [1, 0] + points[:, :2] * [0, 1]) - [30, 40]
        return np.exp(-((offset / [reach, 0.8 * reach]) ** 2).sum(1))


@dataclass(frozen=True)
class Anchors:
    """Groups of vertices that a shape change moves without bending: translation of a group of skin vertices' mean,
    and for the teeth their widening too.   groups: (members [V] bool, guides [V] bool, widens).
    """

    points: Points
    groups: tuple[tuple[np.ndarray, np.ndarray, bool], ...]

    def coherent(self, basis: np.ndarray) -> np.ndarray:
        """[V, 3, C] with each group's rows replaced."""
        basis = basis.copy()
        for members, guides, widens in self.groups:
            guide, mean = self.points[guides], basis[guides].mean(0)  # [N, 3], [3, C]
            basis[members] = mean
            if widens:
                across = guide[:, 0] - guide[:, 0].mean()
                slope = np.einsum("n,nc->c", across, basis[guides][:, 0] - mean[0]) / (across**2).sum()  # [C]
                basis[members, 0] += (self.points[members, 0] - guide[:, 0].mean())[:, None] * slope
        return basis


def anchors(surface: Surface, skin: Skin) -> Anchors:
    """Eyeballs follow their lids; upper teeth the upper lip, lower teeth and tongue the lower lip."""
    count = len(surface.points)
    groups = []
    for eye, margin in enumerate(skin.eyes):
        members = surface.labels["eyes"] & ((surface.points[:, 0] > 0) == (eye == 0))
        groups.append((members, _only(count, margin), False))
    start, _ = lining_range(skin)
    around = mouth_length(skin)
    behind = start + 4 * around + np.arange(around)  # the lining's ring before the teeth
    behind = np.concatenate([behind, skin.mouth[0]])
    for jaw in ("upper_jaw", "lower_jaw"):
        groups.append((surface.labels[jaw], _only(count, behind), True))
    return Anchors(surface.points, tuple(groups))


def _only(count: int, members: object) -> np.ndarray:
    chosen = np.zeros(count, bool)
    chosen[np.asarray(members)] = True
    return chosen
