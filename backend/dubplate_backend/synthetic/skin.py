# SPDX-License-Identifier: Apache-2.0
"""What the synthetic actor is made of: albedo, gloss and relief, painted on the head's UV layout by its landmarks.

Everything is placed by MediaPipe's points and the head's masks, so that it fits any head model.  Skin albedo: measured
reflectances of light to medium skin (Xiao et al. 2017, "Characterising the variations in ethnic skin colours"); iris
radius 5.9 mm, pupil 2 mm (Forrester et al., "The Eye").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.rasterise import interpolate, rasterise
from dubplate_backend.raster.shading import vertex_normals
from dubplate_backend.synthetic.hair import hair_extent
from dubplate_backend.synthetic.noise import Noise
from dubplate_shared.landmarks import LEFT_BROW, LEFT_EYE, OUTER_LIPS, RIGHT_BROW, RIGHT_EYE

TEXTURE_SIZE = 1024  # px: 0.3 mm of skin a texel

_BROW_SHARE, _BEARD_SHARE = 1.3, 2.2  # how much lighter than the scalp's hair brows and cropped beard are


@dataclass(frozen=True)
class Complexion:
    """The colours of one person, as linear-light reflectances; the demo's actor unless told.

    blood: where skin is thin and warm.  beard: 0 shaven, 1 a few days, 2 full.  freckles: 0 none, 1 some.
    blotches: unevenness of the skin's warmth, 1 ordinary.  shine: of the skin, 1 ordinary.
    """

    skin: tuple[float, float, float] = (0.46, 0.255, 0.165)
    blood: tuple[float, float, float] = (0.40, 0.135, 0.105)
    lip: tuple[float, float, float] = (0.36, 0.115, 0.105)
    hair: tuple[float, float, float] = (0.030, 0.019, 0.013)
    tooth: tuple[float, float, float] = (0.66, 0.58, 0.45)
    tongue: tuple[float, float, float] = (0.40, 0.105, 0.10)
    gum: tuple[float, float, float] = (0.33, 0.085, 0.080)
    sclera: tuple[float, float, float] = (0.47, 0.43, 0.40)
    iris: tuple[float, float, float] = (0.095, 0.125, 0.105)
    beard: float = 1.0
    freckles: float = 1.0
    blotches: float = 1.0
    shine: float = 1.0


_FAR_M = 0.02
_IRIS_RADIUS_M, _PUPIL_RADIUS_M = 0.0059, 0.0021


DEMO_COMPLEXION = Complexion()


@dataclass(frozen=True)
class Skin:
    """Textures over the UV square, row 0 at v = 1.

    albedo: [H, W, 3] linear.  gloss: [H, W] strength of the highlight.  relief: [H, W, 3] slope of the fine surface in
    head space at rest: it bends the normal.  wet: [H, W] 0..1, how tight the highlight is.
    """

    albedo: np.ndarray
    gloss: np.ndarray
    wet: np.ndarray
    relief: np.ndarray

    def stacked(self) -> np.ndarray:
        """(H, W, 8): albedo 3, gloss, wet, relief 3."""
        return np.concatenate([self.albedo, self.gloss[..., None], self.wet[..., None], self.relief], axis=-1)


def paint(
    head: HeadModel,
    shape: torch.Tensor,
    *,
    seed: int,
    size: int = TEXTURE_SIZE,
    complexion: Complexion = DEMO_COMPLEXION,
) -> Skin:
    """The skin of one synthetic person.   shape: [300].  Deterministic in the seed; about 3 s."""
    canvas = _Canvas(head, shape, seed, size, complexion)
    _paint_face(canvas)
    _paint_hair(canvas)
    _paint_lips(canvas)
    _paint_mouth(canvas)
    _paint_eyes(canvas)
    return canvas.finished()


class _Canvas:
    """The texels that carry surface, as flat lists, while they are painted."""

    def __init__(self, head: HeadModel, shape: torch.Tensor, seed: int, size: int, complexion: Complexion) -> None:
        vertices, joints = head.shaped(shape)  # [1, V, 3], [1, 5, 3]
        normals = vertex_normals(vertices, head.faces)[0]
        extent = torch.from_numpy(hair_extent(head, shape)).float()
        regions = torch.stack([extent if name == "hair" else head.masks[name].float() for name in _REGIONS], dim=-1)
        attributes = torch.cat([vertices[0], normals, regions], dim=-1)  # [V, 6 + R]
        flat = torch.stack([head.uv[:, 0] * size, (1 - head.uv[:, 1]) * size, torch.ones(len(head.uv))], dim=-1)
        fragments = rasterise(flat[None], head.faces_uv, size, size)
        texels = interpolate(fragments, attributes[head.faces])[0]  # [H, W, 6 + R]
        self.covered = fragments.covered[0].numpy()
        values = texels.numpy()[self.covered].astype(np.float64)  # [N, 6 + R]
        self.points, self.normals = values[:, :3], values[:, 3:6]
        self.region = {name: values[:, 6 + index] for index, name in enumerate(_REGIONS)}
        self.landmarks = head.landmarks(vertices)[0].double().numpy()  # [468, 3]
        self.eye_centres = joints[0, 3:5].double().numpy()
        self.noise = Noise(seed)
        count = len(self.points)
        self.albedo, self.relief = np.tile(complexion.skin, (count, 1)), np.zeros((count, 3))
        self.gloss, self.wet = np.full(count, 0.28), np.full(count, 0.15)
        self.size = size
        self.complexion = complexion

    def near(self, index: int, radius_m: float) -> np.ndarray:
        """(N,) bell of this radius round a landmark."""
        squared = ((self.points - self.landmarks[index]) ** 2).sum(axis=1)
        return np.exp(-0.5 * squared / radius_m**2)

    def inside(self, ring: tuple[int, ...], *, grow_m: float = 0.0, soft_m: float = 0.0015) -> np.ndarray:
        """(N,) 0..1: inside a ring of landmarks as seen from the front, with a soft border; not on the head's back."""
        outline = self.landmarks[list(ring)]
        distance = _signed_distance(self.points[:, :2], outline[:, :2]) - grow_m
        depth = self.points[:, 2] - outline[:, 2].mean()
        return _ramp(-distance / soft_m + 0.5) * (np.abs(depth) < 0.030)

    def mix(self, colour: np.ndarray | tuple[float, float, float], amount: np.ndarray) -> None:
        self.albedo += np.clip(amount, 0, 1)[:, None] * (np.asarray(colour) - self.albedo)

    def finished(self) -> Skin:
        """The lists as pictures, spread a little beyond the islands so that no seam shows."""
        nearest = distance_transform_edt(~self.covered, return_distances=False, return_indices=True)
        index = np.zeros(self.covered.shape, np.int64)
        index[self.covered] = np.arange(len(self.points))
        spread = index[tuple(nearest)]  # [H, W]
        albedo, gloss, wet, relief = (
            layer[spread].astype(np.float32)
            for layer in (np.clip(self.albedo, 0.004, 0.9), np.clip(self.gloss, 0, 4), self.wet, self.relief)
        )
        return Skin(albedo, gloss, wet, relief)


_REGIONS = ("face", "lips", "mouth", "teeth", "tongue", "neck", "eyes", "hair")


def _paint_face(canvas: _Canvas) -> None:
    points, noise, complexion = canvas.points, canvas.noise, canvas.complexion
    blotches = noise(points, 0.022, octaves=3)
    warm = 0.20 + 0.16 * complexion.blotches * blotches
    for index, radius, strength in (
        (4, 0.013, 0.42),
        (205, 0.017, 0.36),
        (425, 0.017, 0.36),
        (234, 0.016, 0.35),
        (454, 0.016, 0.35),
        (152, 0.016, 0.15),
    ):  # nose tip, cheeks, ears, chin
        warm = warm + strength * canvas.near(index, radius)
    canvas.mix(complexion.blood, 0.75 * np.clip(warm, 0, 1))
    for index in (33, 133, 263, 362, 145, 374, 159, 386):  # thin skin round the eyes
        canvas.albedo *= 1 - 0.10 * canvas.near(index, 0.009)[:, None]
    canvas.albedo *= (1 + 0.05 * noise(points, 0.006, octaves=2) + 0.07 * noise(points, 0.0016, octaves=2))[:, None]
    freckles = _ramp((noise(points, 0.0035) - 0.62) / 0.2) * np.clip(
        sum(canvas.near(i, 0.025) for i in (6, 205, 425)), 0, 1
    )
    canvas.albedo *= 1 - 0.12 * complexion.freckles * freckles[:, None]
    canvas.relief += 0.00011 * noise.gradient(points, 0.0020, octaves=2)
    shine = sum(
        canvas.near(index, radius) for index, radius in ((4, 0.010), (9, 0.016), (151, 0.022), (10, 0.02), (152, 0.010))
    )
    canvas.gloss *= complexion.shine * (1 + 0.8 * shine) * (1 + 0.25 * noise(points, 0.004, octaves=2))


def _paint_hair(canvas: _Canvas) -> None:
    points, noise, complexion = canvas.points, canvas.noise, canvas.complexion
    strands = noise(points, (0.0011, 0.010, 0.0016), octaves=2)
    scalp = _ramp((canvas.region["hair"] + 0.10 * strands - 0.08) / 0.45)
    canvas.mix(complexion.hair, scalp * (0.94 + 0.06 * strands))
    canvas.albedo *= 1 + (0.35 * scalp * strands)[:, None]
    canvas.relief += (scalp * 0.00045)[:, None] * noise.gradient(points, (0.0014, 0.012, 0.002))
    canvas.gloss *= 1 - 0.45 * scalp

    for ring, side in ((RIGHT_BROW, -1.0), (LEFT_BROW, 1.0)):
        slanted = points.copy()
        slanted[:, 0] -= side * 0.55 * slanted[:, 1]  # hairs lean outwards
        hairs = noise(slanted, (0.0006, 0.0050, 0.004), octaves=2)
        brow = canvas.inside(ring, grow_m=0.0012, soft_m=0.0045)
        canvas.mix(_BROW_SHARE * np.array(complexion.hair), brow * np.clip(0.74 + 0.34 * hairs, 0, 1))
        canvas.relief += (brow * 0.0002)[:, None] * noise.gradient(slanted, (0.0012, 0.006, 0.004))
        canvas.gloss *= 1 - 0.5 * brow
    for ring in (RIGHT_EYE, LEFT_EYE):  # lashes and the dark of the lid's edge
        outline = canvas.landmarks[list(ring)]
        edge = np.abs(_signed_distance(points[:, :2], outline[:, :2]))
        lash = np.exp(-0.5 * (edge / 0.0011) ** 2) * (canvas.region["eyes"] < 0.5)
        lash *= np.where(points[:, 1] > outline[:, 1].mean(), 0.85, 0.35) * (points[:, 2] > outline[:, 2].min() - 0.012)
        canvas.mix(complexion.hair, lash)

    beard = np.zeros(len(points))
    for index, radius in (
        (152, 0.017),
        (148, 0.016),
        (377, 0.016),
        (136, 0.014),
        (365, 0.014),
        (172, 0.014),
        (397, 0.014),
        (18, 0.012),
        (58, 0.013),
        (288, 0.013),
        (164, 0.012),
        (92, 0.010),
        (322, 0.010),
        (167, 0.008),
        (393, 0.008),
        (194, 0.012),
        (418, 0.012),
        (43, 0.010),
        (273, 0.010),
        (210, 0.014),
        (430, 0.014),
    ):
        beard = np.maximum(beard, canvas.near(index, radius))
    beard = _ramp((beard + 0.12 * noise(points, 0.008, octaves=2) - 0.30) / 0.5) * (
        1 - canvas.inside(OUTER_LIPS, grow_m=0.001)
    )
    beard *= canvas.region["mouth"] < 0.5
    dots = noise(points, 0.0009, octaves=2)
    strength = complexion.beard
    cover = beard * np.clip(strength * (0.42 + 0.34 * dots), 0.05 * min(strength, 1.0), 0.9)
    canvas.mix(_BEARD_SHARE / max(strength, 1.0) * np.array(complexion.hair), cover)
    canvas.relief += (strength * beard * 0.00012)[:, None] * noise.gradient(points, 0.0012)
    canvas.gloss *= 1 - 0.3 * min(strength, 1.5) * beard


def _paint_lips(canvas: _Canvas) -> None:
    points, noise, complexion = canvas.points, canvas.noise, canvas.complexion
    lips = canvas.inside(OUTER_LIPS, soft_m=0.0022) * (canvas.region["teeth"] < 0.5) * (canvas.region["tongue"] < 0.5)
    lines = noise(points, (0.0011, 0.006, 0.004), octaves=2)
    middle = canvas.landmarks[[13, 14], 1].mean()
    tone = np.where(points[:, 1] > middle, 0.82, 1.0) * (1 + 0.10 * lines)
    canvas.albedo += (0.88 * lips)[:, None] * (np.array(complexion.lip) * tone[:, None] - canvas.albedo)
    canvas.relief += (lips * 0.00018)[:, None] * noise.gradient(points, (0.0012, 0.006, 0.004))
    canvas.gloss += lips * 0.45
    canvas.wet += lips * 0.25


def _paint_mouth(canvas: _Canvas) -> None:
    points, noise, complexion = canvas.points, canvas.noise, canvas.complexion
    mouth = _ramp((canvas.region["mouth"] - 0.45) / 0.3)
    teeth, tongue = (_ramp((canvas.region[name] - 0.45) / 0.2) for name in ("teeth", "tongue"))
    canvas.mix(0.8 * np.array(complexion.gum), mouth)
    canvas.mix(complexion.tooth, teeth)
    canvas.mix(complexion.tongue, tongue)
    canvas.albedo *= (1 + (0.12 * tongue * noise(points, 0.0014, octaves=2)) + 0.05 * teeth * noise(points, 0.004))[
        :, None
    ]
    canvas.relief *= (1 - mouth)[:, None]
    canvas.relief += (tongue * 0.0002)[:, None] * noise.gradient(points, 0.0013)
    canvas.gloss[mouth > 0.5] = 0.8
    canvas.wet = np.maximum(canvas.wet, 0.75 * mouth)


def _paint_eyes(canvas: _Canvas) -> None:
    points, noise, complexion = canvas.points, canvas.noise, canvas.complexion
    eyes = canvas.region["eyes"] > 0.5
    canvas.albedo[eyes] = complexion.sclera
    canvas.relief[eyes] = 0
    canvas.gloss[eyes], canvas.wet[eyes] = 1.6, 1.0
    for centre in canvas.eye_centres:
        offset = points - centre
        mine = eyes & (np.linalg.norm(offset, axis=1) < 0.02) & (offset[:, 2] > 0)
        radius = np.linalg.norm(offset[:, :2], axis=1)
        angle = np.arctan2(offset[:, 1], offset[:, 0])
        spokes = noise(
            np.stack([np.cos(angle) * 0.03, np.sin(angle) * 0.03, radius], axis=1), (0.0012, 0.0012, 0.004), octaves=2
        )
        veins = _ramp((noise(points, (0.004, 0.0011, 0.0011), octaves=2) - 0.55) / 0.4) * _ramp(
            (radius - 0.006) / 0.004
        )
        colours = np.array(complexion.sclera) * (1 - 0.16 * veins[:, None] * np.array([0.2, 1.0, 1.0]))
        colours = colours * (1 - 0.25 * _ramp((radius - 0.007) / 0.005))[:, None]
        iris = np.array(complexion.iris) * (1 + 0.55 * spokes + 0.8 * _ramp((0.0042 - radius) / 0.0015))[:, None]
        iris = iris * (1 - 0.75 * _ramp((radius - 0.0047) / 0.0012))[:, None]  # the limbal ring
        colours += _ramp((_IRIS_RADIUS_M - radius) / 0.0006 + 0.5)[:, None] * (iris - colours)
        colours *= (1 - 0.97 * _ramp((_PUPIL_RADIUS_M - radius) / 0.0004 + 0.5))[:, None]
        canvas.albedo[mine] = colours[mine]


def _signed_distance(points: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """(N,) distance to a closed polygon, negative inside, `_FAR_M` where further.  points: (N, 2); outline: (M, 2)."""
    result = np.full(len(points), _FAR_M)
    near = ((points > outline.min(axis=0) - _FAR_M) & (points < outline.max(axis=0) + _FAR_M)).all(axis=1)
    points = points[near]
    distance, inside = np.full(len(points), _FAR_M), np.zeros(len(points), bool)
    for a, b in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        edge, offset = b - a, points - a
        along = np.clip(offset @ edge / (edge @ edge + 1e-18), 0, 1)
        distance = np.minimum(distance, np.hypot(*(offset - along[:, None] * edge).T))
        crosses = (a[1] > points[:, 1]) != (b[1] > points[:, 1])
        slope = edge[0] / edge[1] if edge[1] != 0 else 0.0
        inside ^= crosses & (points[:, 0] < a[0] + (points[:, 1] - a[1]) * slope)
    result[near] = np.where(inside, -distance, distance)
    return result


def _ramp(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)
