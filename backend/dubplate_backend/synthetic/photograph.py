# SPDX-License-Identifier: Apache-2.0
"""The light that the camera gathers: one fused loop over the samples of a picture.

Diffuse light by spherical harmonics with a shadowed key; normalised Blinn-Phong highlights with Schlick's Fresnel
term; light that reaches into the mouth falls off with the depth behind the lips.  Red scatters furthest in skin, so
fine relief bends its normal least (Ma et al. 2007, "Rapid acquisition of specular and diffuse normal maps"), and
shadows let a little of it through.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from dubplate_backend.synthetic.light import ShadowMap, share_at

LIP_DEPTH_M = 0.030  # light into the mouth falls to 1/e over this much behind the lips
FRESNEL = 0.03  # of skin and saliva, refractive index about 1.4
GRAZING = 0.30  # reflectance at the silhouette, below 1 since skin is rough
RELIEF_SHARE = (0.45, 0.80, 0.95)  # how much of the relief red, green and blue see
SHADOW_GAMMA = (0.80, 1.0, 1.06)
CLOTH = (0.030, 0.052, 0.066)  # linear RGB, a dark teal wool
HAIR = (0.034, 0.021, 0.014)
HAIR_GLOSS, HAIR_EXPONENT = 0.045, 22.0
STRANDS_AROUND, STRAND_M = 620.0, 0.016
STITCHES_AROUND = 180.0
STITCH_M = 0.0058


@dataclass(frozen=True)
class Materials:
    """faces: (F, 3) int64, the head's, the body's, the hair's.  head_faces, bald_faces: where the head's and the body's
    end.  uv: (F, 3, 2) of the head; of the body: turns round it and metres down; of the hair: turns round the crown and
    metres from it.  texture: (H, W, 8) albedo 3, gloss, wet, relief 3, row 0 at v = 1.  strands: (N, N) noise, wraps.
    cloth, hair: linear RGB.
    """

    faces: np.ndarray
    head_faces: int
    bald_faces: int
    uv: np.ndarray
    texture: np.ndarray
    strands: np.ndarray
    cloth: tuple[float, float, float] = CLOTH
    hair: tuple[float, float, float] = HAIR


@dataclass(frozen=True)
class Lighting:
    """soft, key: (9, 3) irradiance of what casts no shadow and of the key.  lamps: (L, 6) unit direction, colour, the
    key first.  shadow: of the key.
    """

    soft: np.ndarray
    key: np.ndarray
    lamps: np.ndarray
    shadow: ShadowMap


def expose(
    bald_ids: np.ndarray,
    hair_ids: np.ndarray,
    screen: np.ndarray,
    vertices: np.ndarray,
    materials: Materials,
    lighting: Lighting,
    turn: np.ndarray,
) -> np.ndarray:
    """Linear radiance, premultiplied, and coverage, of pixels of 2 x 2 samples.

    bald_ids, hair_ids: (2H, 2W) face of each sample without the hair, and of the hair alone (counted from its first).
    screen: (V, 3) px, px, metres.  vertices: (V, 13) camera position, normal, depth behind the lips [m], openness,
    mouth, hair's density, hair's direction.  turn: (3, 3) head to camera.  Returns (H, W, 4) float32.
    """
    return _expose(
        bald_ids, hair_ids, screen, vertices,
        materials.faces, materials.head_faces, materials.bald_faces, materials.uv, materials.texture, materials.strands,
        np.ascontiguousarray(np.concatenate([lighting.soft, lighting.key], axis=1), np.float32),
        lighting.lamps.astype(np.float32), lighting.shadow.depth, lighting.shadow.view, turn.astype(np.float32),
        np.array(materials.cloth), np.array(materials.hair),
    )  # fmt: skip


@numba.njit(cache=True, nogil=True, fastmath=True)
def _expose(
    bald_ids, hair_ids, screen, vertices, faces, head_faces, bald_faces, uv, texture, strands, irradiance, lamps,
    depth, view, turn, cloth, hair_colour,
):  # fmt: skip
    height, width = bald_ids.shape[0] // 2, bald_ids.shape[1] // 2
    picture = np.zeros((height, width, 4), np.float32)
    mean, surface, light, colour = np.zeros(13), np.zeros(8), np.zeros(6), np.zeros(3)
    normal, bent, relief = np.zeros(3), np.zeros(3), np.zeros(3)
    for row in range(height):
        for column in range(width):
            # Where all four samples show skin, the two on a diagonal will do; cloth has nothing finer than a pixel.
            lowest, highest, hairy = faces.shape[0], -1, False
            for sample in range(4):
                face = bald_ids[2 * row + sample // 2, 2 * column + sample % 2]
                lowest, highest = min(lowest, face), max(highest, face)
                hairy = hairy or hair_ids[2 * row + sample // 2, 2 * column + sample % 2] >= 0
            if highest < 0 and not hairy:
                continue
            step = 1
            if not hairy and lowest >= head_faces:
                step = 4
            elif not hairy and lowest >= 0 and highest < head_faces:
                step = 3
            share = 0.25 if step == 1 else (0.5 if step == 3 else 1.0)
            for sample in range(0, 4, step):
                i, j = 2 * row + sample // 2, 2 * column + sample % 2
                face = _seen(bald_ids[i, j], hair_ids[i, j], screen, vertices, faces, uv, strands, bald_faces,
                             i, j, mean)  # fmt: skip
                if face < 0:
                    continue
                u, v = _interpolate(face, screen, vertices, faces, uv, j + 0.5, i + 0.5, mean)
                _shade(face, u, v, mean, head_faces, bald_faces, texture, strands, irradiance, lamps, depth, view,
                       turn, cloth, hair_colour, normal, bent, relief, surface, light, colour)  # fmt: skip
                for k in range(3):
                    picture[row, column, k] += share * colour[k]
                picture[row, column, 3] += share
    return picture


@numba.njit(cache=True, nogil=True, fastmath=True)
def _seen(bald, hair, screen, vertices, faces, uv, strands, bald_faces, row, column, mean):
    """The face that a sample shows: the hair's where a strand lies in front, else the bald head's, body's or none."""
    if hair < 0:
        return bald
    face = hair + bald_faces
    u, v = _interpolate(face, screen, vertices, faces, uv, column + 0.5, row + 0.5, mean)
    if _strand(strands, u, v) > 3.0 * mean[9] - 1.0:
        return bald
    in_front = mean[2]
    if bald >= 0:
        _interpolate(bald, screen, vertices, faces, uv, column + 0.5, row + 0.5, mean)
        if mean[2] < in_front:
            return bald
    return face


@numba.njit(cache=True, nogil=True, fastmath=True)
def _shade(
    face, u, v, mean, head_faces, bald_faces, texture, strands, irradiance, lamps, depth, view, turn,
    cloth, hair_colour, normal, bent, relief, surface, light, colour,
):  # fmt: skip
    """Radiance of one sample into `colour`; the arrays behind `hair_colour` are room to work in."""
    distance = np.sqrt(mean[0] ** 2 + mean[1] ** 2 + mean[2] ** 2)
    for k in range(3):
        normal[k], relief[k] = mean[3 + k], 0.0
    _normalise(normal)
    facing = -(normal[0] * mean[0] + normal[1] * mean[1] + normal[2] * mean[2]) / distance
    if facing < 0:  # seen from inside: lit from inside
        for k in range(3):
            normal[k] = -normal[k]
        facing = -facing
    reach = 1.0 + mean[8] * (np.exp(-max(mean[6], 0.0) / LIP_DEPTH_M) - 1.0)
    free = mean[7] * reach
    sun = reach * share_at(mean[0], mean[1], mean[2], depth, view)
    tone = 1.0
    if face < head_faces:
        _sample(texture, u, v, surface)
        for k in range(3):
            relief[k] = turn[k, 0] * surface[5] + turn[k, 1] * surface[6] + turn[k, 2] * surface[7]
    elif face < bald_faces:
        tone = _knit(u, v)
        for k in range(3):
            surface[k] = cloth[k] * tone
    else:
        tone = 0.62 + 0.55 * _strand(strands, u, v) + 0.25 * _strand(strands, 0.13 * u, 0.2 * v)
        for k in range(3):
            surface[k] = hair_colour[k] * max(tone, 0.12)
    along = relief[0] * normal[0] + relief[1] * normal[1] + relief[2] * normal[2]
    for k in range(3):
        bent[k] = normal[k] - (relief[k] - along * normal[k])
    _normalise(bent)
    _irradiance(normal, bent, irradiance, light)
    for k in range(3):
        colour[k] = surface[k] * (light[k] * free + light[3 + k] * sun ** SHADOW_GAMMA[k])
    if head_faces <= face < bald_faces:
        return
    near = FRESNEL + (GRAZING - FRESNEL) * (1.0 - min(facing, 1.0)) ** 5
    for lamp in range(lamps.shape[0]):
        if face < head_faces:
            exponent = 14.0 + 160.0 * surface[4] * surface[4]
            shine = surface[3] * near * _highlight(mean, distance, bent, lamps[lamp], exponent)
        else:
            shine = HAIR_GLOSS * tone * _sheen(mean, distance, normal, lamps[lamp])
        shine *= sun if lamp == 0 else free
        for k in range(3):
            colour[k] += shine * lamps[lamp, 3 + k]


@numba.njit(cache=True, nogil=True, fastmath=True)
def _interpolate(face, screen, vertices, faces, uv, x, y, mean):
    """Vertex attributes at a sample into `mean`; returns u, v."""
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    wa, wb, wc = _weights(screen, a, b, c, x, y)
    for k in range(mean.shape[0]):
        mean[k] = wa * vertices[a, k] + wb * vertices[b, k] + wc * vertices[c, k]
    u = wa * uv[face, 0, 0] + wb * uv[face, 1, 0] + wc * uv[face, 2, 0]
    v = wa * uv[face, 0, 1] + wb * uv[face, 1, 1] + wc * uv[face, 2, 1]
    return u, v


@numba.njit(cache=True, nogil=True, fastmath=True)
def _strand(strands, turns, along):
    """Noise that is fine across the hair and long along it, about -1..1."""
    size = strands.shape[0]
    x, y = turns * STRANDS_AROUND, along / STRAND_M
    j, i = int(np.floor(x)), int(np.floor(y))
    p, q = x - j, y - i
    upper = strands[i % size, j % size] * (1 - p) + strands[i % size, (j + 1) % size] * p
    lower = strands[(i + 1) % size, j % size] * (1 - p) + strands[(i + 1) % size, (j + 1) % size] * p
    return upper * (1 - q) + lower * q


@numba.njit(cache=True, nogil=True, fastmath=True)
def _sheen(mean, distance, normal, lamp):
    """The band of light across hair.  Kajiya & Kay 1989, "Rendering fur with three dimensional textures", eq. 14."""
    x, y, z = lamp[0] - mean[0] / distance, lamp[1] - mean[1] / distance, lamp[2] - mean[2] / distance
    length = np.sqrt(x * x + y * y + z * z)
    tangent = (mean[10] * x + mean[11] * y + mean[12] * z) / length
    facing = max(normal[0] * lamp[0] + normal[1] * lamp[1] + normal[2] * lamp[2] + 0.2, 0.0)
    return min(facing, 1.0) * max(1.0 - tangent * tangent, 0.0) ** HAIR_EXPONENT


@numba.njit(cache=True, nogil=True, fastmath=True)
def _weights(screen, a, b, c, x, y):
    """Perspective-correct barycentrics of a sample."""
    ax, ay, bx, by, cx, cy = (
        screen[a, 0] - x, screen[a, 1] - y, screen[b, 0] - x, screen[b, 1] - y, screen[c, 0] - x, screen[c, 1] - y,
    )  # fmt: skip
    wa, wb, wc = (
        (bx * cy - by * cx) / screen[a, 2],
        (cx * ay - cy * ax) / screen[b, 2],
        (ax * by - ay * bx) / screen[c, 2],
    )
    total = wa + wb + wc
    return wa / total, wb / total, wc / total


@numba.njit(cache=True, nogil=True, fastmath=True)
def _sample(texture, u, v, out):
    """Bilinear texel into `out`."""
    rows, columns = texture.shape[0], texture.shape[1]
    x = min(max(u * columns - 0.5, 0.0), columns - 1.001)
    y = min(max((1.0 - v) * rows - 0.5, 0.0), rows - 1.001)
    i, j = int(y), int(x)
    q, p = y - i, x - j
    for k in range(out.shape[0]):
        upper = texture[i, j, k] * (1 - p) + texture[i, j + 1, k] * p
        lower = texture[i + 1, j, k] * (1 - p) + texture[i + 1, j + 1, k] * p
        out[k] = upper * (1 - q) + lower * q


@numba.njit(cache=True, nogil=True, fastmath=True)
def _irradiance(smooth, bent, coefficients, out):
    """Soft and key light, three colours each, red by the smoother normal."""
    for k in range(6):
        share = RELIEF_SHARE[k % 3]
        x = smooth[0] + share * (bent[0] - smooth[0])
        y = smooth[1] + share * (bent[1] - smooth[1])
        z = smooth[2] + share * (bent[2] - smooth[2])
        value = (
            0.282095 * coefficients[0, k]
            + 0.488603 * (y * coefficients[1, k] + z * coefficients[2, k] + x * coefficients[3, k])
            + 1.092548 * (x * y * coefficients[4, k] + y * z * coefficients[5, k] + x * z * coefficients[7, k])
            + 0.315392 * (3 * z * z - 1) * coefficients[6, k]
            + 0.546274 * (x * x - y * y) * coefficients[8, k]
        )
        out[k] = max(value, 0.0)


@numba.njit(cache=True, nogil=True, fastmath=True)
def _highlight(mean, distance, normal, lamp, exponent):
    facing = normal[0] * lamp[0] + normal[1] * lamp[1] + normal[2] * lamp[2]
    if facing <= 0:
        return 0.0
    x, y, z = lamp[0] - mean[0] / distance, lamp[1] - mean[1] / distance, lamp[2] - mean[2] / distance
    cosine = (normal[0] * x + normal[1] * y + normal[2] * z) / np.sqrt(x * x + y * y + z * z)
    return facing * (exponent + 8.0) / 8.0 * max(cosine, 0.0) ** exponent


@numba.njit(cache=True, nogil=True, fastmath=True)
def _knit(u, v):
    """Brightness of stockinette: columns of V-shaped stitches."""
    x = u * STITCHES_AROUND
    across = 2.0 * abs(x - np.floor(x) - 0.5)  # 1 at the column's edge, 0 in its middle
    wave = np.cos(2.0 * np.pi * (v / STITCH_M + 0.45 * across))
    return 0.80 + 0.22 * wave * (1.0 - across * across) - 0.30 * across**6 + 0.12 * np.sin(37.0 * u + 9.0 * v)


@numba.njit(cache=True, nogil=True, fastmath=True)
def _normalise(vector):
    length = np.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2) + 1e-12
    for k in range(3):
        vector[k] /= length
