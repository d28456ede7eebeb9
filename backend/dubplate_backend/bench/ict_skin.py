# SPDX-License-Identifier: Apache-2.0
"""What the ICT head is made of: it comes without colours, so skin, lips, brows, hair, teeth and eyes are painted on."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from dubplate_backend.bench.ict_head import (
    CHIN,
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    NOSE_TIP,
    OUTER_LIPS,
    PARTS,
    RIGHT_BROW,
    RIGHT_EYE,
    IctHead,
)
from dubplate_backend.raster.rasterise import interpolate, rasterise
from dubplate_backend.synthetic.noise import Noise

PARTS_ACROSS = 3  # materials beside the face lie in tiles of half its size, so many beside one another
# Linear reflectances: a darker person than the stand-in's, so that the tracker meets another skin.
SKIN, BLOOD, LIP = np.array([0.36, 0.19, 0.115]), np.array([0.33, 0.10, 0.07]), np.array([0.27, 0.085, 0.075])
HAIR, TOOTH = np.array([0.022, 0.015, 0.011]), np.array([0.62, 0.55, 0.43])
TONGUE, GUM = np.array([0.36, 0.10, 0.095]), np.array([0.30, 0.085, 0.08])
SCLERA, IRIS, PUPIL = np.array([0.50, 0.46, 0.43]), np.array([0.085, 0.045, 0.022]), np.array([0.006, 0.006, 0.006])
IRIS_M, PUPIL_M = 0.0059, 0.0022
SPLINE = 12  # points between two landmarks of a ring


@dataclass(frozen=True)
class Paint:
    """uv: (F, 3, 2) in the atlas, v up.   texture: (H, W, 8) albedo 3, gloss, wet, relief 3, as the photographer takes
    it."""

    uv: np.ndarray
    texture: np.ndarray


def paint(head: IctHead, person: np.ndarray, *, seed: int, face_px: int) -> Paint:
    """The skin of one person at rest (V, 3), the face `face_px` wide.  Ten seconds at 1024, the same in the seed."""
    height, width = face_px, face_px + PARTS_ACROSS * (face_px // 2)
    pixels = _in_atlas(head.faces_uv, face_px)  # (F, 3, 2) px, y down
    part = np.zeros((len(person), len(PARTS)), np.float32)
    for index, (first, behind) in enumerate(PARTS.values()):
        part[first:behind, index] = 1
    flat = torch.from_numpy(np.concatenate([pixels.reshape(-1, 2), np.ones((pixels.size // 2, 1))], 1)).float()
    corners = torch.arange(len(flat)).view(-1, 3)
    fragments = rasterise(flat[None], corners, height, width)
    attributes = torch.from_numpy(np.concatenate([person, part], axis=1)[head.faces]).float()
    covered = fragments.covered[0].numpy()
    values = interpolate(fragments, attributes)[0].numpy()[covered].astype(np.float64)
    layers = _painted(values[:, :3], dict(zip(PARTS, values[:, 3:].T, strict=True)), person, Noise(seed))
    nearest = distance_transform_edt(~covered, return_distances=False, return_indices=True)
    index = np.zeros(covered.shape, np.int64)
    index[covered] = np.arange(len(layers))
    texture = layers[index[tuple(nearest)]].astype(np.float32)  # spread beyond the islands, so that no seam shows
    uv = np.stack([pixels[..., 0] / width, 1 - pixels[..., 1] / height], axis=-1)
    return Paint(uv.astype(np.float32), texture)


def _in_atlas(uv: np.ndarray, face_px: int) -> np.ndarray:
    """(F, 3, 2) px, y down: each material's tile at its place."""
    part_px = face_px // 2
    tile = np.floor(uv[..., 0].mean(axis=1)).astype(int)[:, None]  # (F, 1): one material a face
    inside = np.stack([uv[..., 0] - tile, 1 - uv[..., 1]], axis=-1)
    size = np.where(tile == 0, face_px, part_px)[..., None]
    other = np.maximum(tile - 1, 0)
    left = np.where(tile == 0, 0, face_px + other % PARTS_ACROSS * part_px)
    top = np.where(tile == 0, 0, other // PARTS_ACROSS * part_px)
    return inside * size + np.stack([left, top], axis=-1)


def _painted(points: np.ndarray, part: dict[str, np.ndarray], person: np.ndarray, noise: Noise) -> np.ndarray:
    """(N, 8).   points: (N, 3) metres at rest.   part: (N,) 0..1 each."""
    layers = np.zeros((len(points), 8))
    skin = part["face"] + part["head"] > 0.5
    layers[:, :3], layers[:, 3], layers[:, 4] = SKIN, 0.28, 0.15
    _paint_skin(layers, points, person, noise)
    _paint_lips(layers, points, part, person, noise)
    layers[~skin] = 0
    for name, colour, gloss, wet in (
        ("mouth_socket", 0.7 * GUM, 0.5, 0.5),
        ("eye_sockets", BLOOD, 0.3, 0.3),
        ("gums_tongue", GUM, 0.8, 0.75),
        ("teeth", TOOTH, 0.8, 0.75),
        ("left_eye", SCLERA, 1.6, 1.0),
        ("right_eye", SCLERA, 1.6, 1.0),
    ):
        mine = part[name] > 0.5
        layers[mine, :3], layers[mine, 3], layers[mine, 4], layers[mine, 5:] = colour, gloss, wet, 0
    teeth, tongue = part["teeth"] > 0.5, part["gums_tongue"] > 0.5
    layers[teeth, :3] *= (1 + 0.06 * noise(points[teeth], 0.003, octaves=2))[:, None]
    behind = person[INNER_LIPS[2], 2] - 0.012
    layers[tongue & (points[:, 2] < behind), :3] = TONGUE
    for name in ("left_eye", "right_eye"):
        _paint_eye(layers, points, part[name] > 0.5, person[slice(*PARTS[name])])
    layers[:, :3] = np.clip(layers[:, :3], 0.004, 0.9)
    return layers


def _paint_skin(layers: np.ndarray, points: np.ndarray, person: np.ndarray, noise: Noise) -> None:
    def near(vertex: int, radius: float) -> np.ndarray:
        return np.exp(-0.5 * ((points - person[vertex]) ** 2).sum(axis=1) / radius**2)

    cheeks = [0.5 * (person[eye] + person[corner]) for eye, corner in ((1511, 5708), (3725, 6213))]
    warm = 0.2 + 0.18 * noise(points, 0.022, octaves=3) + 0.4 * near(NOSE_TIP, 0.013) + 0.15 * near(CHIN, 0.016)
    for cheek in cheeks:
        warm = warm + 0.35 * np.exp(-0.5 * ((points - cheek) ** 2).sum(axis=1) / 0.018**2)
    _mix(layers, BLOOD, 0.7 * warm)
    freckles = _ramp((noise(points, 0.0030, octaves=2) - 0.85) / 0.3) * np.clip(warm, 0, 1)
    tone = 1 + 0.05 * noise(points, 0.006, octaves=2) + 0.08 * noise(points, 0.0016, octaves=2)
    layers[:, :3] *= (tone * (1 - 0.18 * freckles))[:, None]
    layers[:, 5:] += 0.00011 * noise.gradient(points, 0.0020, octaves=2)
    for brow in (RIGHT_BROW, LEFT_BROW):
        line = _spline(person[list(brow)], closed=False)
        hairs = noise(points, (0.0008, 0.004, 0.004), octaves=2)
        distance = _to_line(points, line) + 0.0006 * hairs
        _mix(layers, HAIR, 0.85 * _ramp((0.0052 - distance) / 0.003) * (0.8 + 0.3 * hairs))
    for eye in (RIGHT_EYE, LEFT_EYE):
        distance = _to_line(points, _spline(person[list(eye)], closed=True))
        above = points[:, 1] > person[list(eye), 1].mean()
        _mix(layers, HAIR, np.where(above, 0.9, 0.5) * _ramp((0.0019 - distance) / 0.0012))
    hairline = 0.088 - 0.62 * np.maximum(0.075 - points[:, 2], 0) - 0.5 * np.maximum(np.abs(points[:, 0]) - 0.05, 0)
    scalp = _ramp((points[:, 1] - hairline + 0.004 * noise(points, 0.006, octaves=2)) / 0.008)
    scalp *= _ramp((0.079 - np.abs(points[:, 0])) / 0.004) + (points[:, 2] < -0.02)
    _mix(layers, HAIR, 0.96 * np.clip(scalp, 0, 1) * (0.92 + 0.08 * noise(points, (0.0012, 0.008, 0.002), octaves=2)))


def _paint_lips(
    layers: np.ndarray, points: np.ndarray, part: dict[str, np.ndarray], person: np.ndarray, noise: Noise
) -> None:
    ring = _spline(person[list(OUTER_LIPS)], closed=True)
    front = points[:, 2] > person[OUTER_LIPS[0], 2] - 0.02
    distance = np.where(front & (part["face"] > 0.5), _inside(points[:, :2], ring[:, :2]), -1.0)
    lips = _ramp(distance / 0.0018 + 0.5)
    lines = noise(points, (0.0011, 0.006, 0.004), octaves=2)
    upper = points[:, 1] > person[list(INNER_LIPS), 1].mean()
    layers[:, :3] += (0.92 * lips)[:, None] * (
        LIP * (np.where(upper, 0.8, 1.0) * (1 + 0.16 * lines))[:, None] - layers[:, :3]
    )
    layers[:, 3] += 0.45 * lips
    layers[:, 4] += 0.25 * lips
    layers[:, 5:] += (lips * 0.00018)[:, None] * noise.gradient(points, (0.0012, 0.006, 0.004))


def _paint_eye(layers: np.ndarray, points: np.ndarray, mine: np.ndarray, ball: np.ndarray) -> None:
    """An iris round the ball's foremost point: the model looks straight ahead at rest."""
    apex = ball[ball[:, 2].argmax()]
    radius = np.linalg.norm(points[:, :2] - apex[:2], axis=1)
    mine = mine & (points[:, 2] > ball[:, 2].mean())
    iris = _ramp((IRIS_M - radius) / 0.0006 + 0.5)[:, None]
    colour = IRIS * (1 - 0.6 * _ramp((radius - 0.0047) / 0.0012))[:, None]
    colour = colour + _ramp((PUPIL_M - radius) / 0.0004 + 0.5)[:, None] * (PUPIL - colour)
    shaded = SCLERA * (1 - 0.3 * _ramp((radius - 0.007) / 0.005))[:, None]
    layers[mine, :3] = (shaded + iris * (colour - shaded))[mine]


def _mix(layers: np.ndarray, colour: np.ndarray, amount: np.ndarray) -> None:
    layers[:, :3] += np.clip(amount, 0, 1)[:, None] * (colour - layers[:, :3])


def _spline(points: np.ndarray, *, closed: bool) -> np.ndarray:
    """Catmull-Rom through the points (N, 3), SPLINE steps between two."""
    around = np.concatenate([points[-1:], points, points[:2]] if closed else [points[:1], points, points[-1:]])
    t = (np.arange(SPLINE) / SPLINE)[:, None]
    pieces = []
    for a, b, c, d in zip(around[:-3], around[1:-2], around[2:-1], around[3:], strict=True):
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.concatenate(pieces if closed else [*pieces, points[-1:]])


def _to_line(points: np.ndarray, line: np.ndarray) -> np.ndarray:
    """(N,) distance to the nearest of the line's points; far off, a large number."""
    distance = np.full(len(points), 1.0)
    near = ((points > line.min(axis=0) - 0.012) & (points < line.max(axis=0) + 0.012)).all(axis=1)
    distance[near] = np.sqrt(((points[near, None] - line) ** 2).sum(axis=-1)).min(axis=1)
    return distance


def _inside(points: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """(N,) distance to a closed ring (M, 2), positive inside."""
    distance = np.full(len(points), -1.0)
    near = ((points > ring.min(axis=0) - 0.01) & (points < ring.max(axis=0) + 0.01)).all(axis=1)
    chosen = points[near]
    edge = np.sqrt(((chosen[:, None] - ring) ** 2).sum(axis=-1)).min(axis=1)
    inside = np.zeros(len(chosen), bool)
    for a, b in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        crosses = (a[1] > chosen[:, 1]) != (b[1] > chosen[:, 1])
        slope = (b[0] - a[0]) / (b[1] - a[1]) if b[1] != a[1] else 0.0
        inside ^= crosses & (chosen[:, 0] < a[0] + (chosen[:, 1] - a[1]) * slope)
    distance[near] = np.where(inside, edge, -edge)
    return distance


def _ramp(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)
