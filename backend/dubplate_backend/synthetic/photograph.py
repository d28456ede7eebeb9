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

LIP_DEPTH_M = 0.016  # light into the mouth falls to 1/e over this much behind the lips
FRESNEL = 0.03  # of skin and saliva, refractive index about 1.4
GRAZING = 0.30  # reflectance at the silhouette, below 1 since skin is rough
RELIEF_SHARE = (0.45, 0.80, 0.95)  # how much of the relief red, green and blue see
SHADOW_GAMMA = (0.80, 1.0, 1.06)
CLOTH = (0.030, 0.052, 0.066)  # linear RGB, a dark teal wool
STITCHES_AROUND = 180.0
STITCH_M = 0.0058


@dataclass(frozen=True)
class Materials:
    """faces: (F, 3) int64, the head's first.  head_faces: how many are the head's.  uv: (F, 3, 2); of the body: turns
    round it and metres down.  texture: (H, W, 8) albedo 3, gloss, wet, relief 3, row 0 at v = 1.
    """

    faces: np.ndarray
    head_faces: int
    uv: np.ndarray
    texture: np.ndarray


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
    ids: np.ndarray,
    screen: np.ndarray,
    vertices: np.ndarray,
    materials: Materials,
    lighting: Lighting,
    turn: np.ndarray,
) -> np.ndarray:
    """Linear radiance, premultiplied, and coverage.

    ids: (H, W) face of each sample.  screen: (V, 3) px, px, metres.  vertices: (V, 9) camera position, normal, depth
    behind the lips [m], openness, mouth.  turn: (3, 3) head to camera.  Returns (H, W, 4) float32.
    """
    return _expose(
        ids, screen, vertices, materials.faces, materials.head_faces, materials.uv, materials.texture,
        np.ascontiguousarray(np.concatenate([lighting.soft, lighting.key], axis=1), np.float32),
        lighting.lamps.astype(np.float32), lighting.shadow.depth, lighting.shadow.view, turn.astype(np.float32),
    )  # fmt: skip


@numba.njit(cache=True, nogil=True, fastmath=True)
def _expose(ids, screen, vertices, faces, head_faces, uv, texture, irradiance, lamps, depth, view, turn):  # noqa: ANN
    height, width = ids.shape
    picture = np.zeros((height, width, 4), np.float32)
    point, smooth, bent, relief = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    albedo, light, mean = np.zeros(3), np.zeros(6), np.zeros(9)
    surface = np.zeros(8)
    for row in range(height):
        for column in range(width):
            face = ids[row, column]
            if face < 0:
                continue
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            wa, wb, wc = _weights(screen, a, b, c, column + 0.5, row + 0.5)
            for k in range(9):
                mean[k] = wa * vertices[a, k] + wb * vertices[b, k] + wc * vertices[c, k]
            u = wa * uv[face, 0, 0] + wb * uv[face, 1, 0] + wc * uv[face, 2, 0]
            v = wa * uv[face, 0, 1] + wb * uv[face, 1, 1] + wc * uv[face, 2, 1]
            for k in range(3):
                point[k], smooth[k] = mean[k], mean[3 + k]
            _normalise(smooth)
            distance = np.sqrt(point[0] ** 2 + point[1] ** 2 + point[2] ** 2)
            facing_camera = -(smooth[0] * point[0] + smooth[1] * point[1] + smooth[2] * point[2]) / distance
            if facing_camera < 0:  # seen from inside: lit from inside
                for k in range(3):
                    smooth[k] = -smooth[k]
                facing_camera = -facing_camera
            if face < head_faces:
                _sample(texture, u, v, surface)
                for k in range(3):
                    albedo[k] = surface[k]
                    relief[k] = turn[k, 0] * surface[5] + turn[k, 1] * surface[6] + turn[k, 2] * surface[7]
                gloss, wet = surface[3], surface[4]
            else:
                knit = _knit(u, v)
                for k in range(3):
                    albedo[k], relief[k] = CLOTH[k] * knit, 0.0
                gloss, wet = 0.0, 0.0
            along = relief[0] * smooth[0] + relief[1] * smooth[1] + relief[2] * smooth[2]
            for k in range(3):
                bent[k] = smooth[k] - (relief[k] - along * smooth[k])
            _normalise(bent)
            inward = np.exp(-max(mean[6], 0.0) / LIP_DEPTH_M)
            reach = 1.0 + mean[8] * (inward - 1.0)
            free = mean[7] * reach
            sun = reach * share_at(point[0], point[1], point[2], depth, view)
            _irradiance(smooth, bent, irradiance, light)
            gloss_near = FRESNEL + (GRAZING - FRESNEL) * (1.0 - min(facing_camera, 1.0)) ** 5
            exponent = 14.0 + 160.0 * wet * wet
            for k in range(3):
                picture[row, column, k] = albedo[k] * (light[k] * free + light[3 + k] * sun ** SHADOW_GAMMA[k])
            if gloss > 0:
                for lamp in range(lamps.shape[0]):
                    shine = _highlight(point, distance, bent, lamps[lamp], exponent) * gloss * gloss_near
                    shine *= sun if lamp == 0 else free
                    for k in range(3):
                        picture[row, column, k] += shine * lamps[lamp, 3 + k]
            picture[row, column, 3] = 1.0
    return picture


@numba.njit(cache=True, nogil=True, fastmath=True)
def _weights(screen, a, b, c, x, y):  # noqa: ANN
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
def _sample(texture, u, v, out):  # noqa: ANN
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
def _irradiance(smooth, bent, coefficients, out):  # noqa: ANN
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
def _highlight(point, distance, normal, lamp, exponent):  # noqa: ANN
    facing = normal[0] * lamp[0] + normal[1] * lamp[1] + normal[2] * lamp[2]
    if facing <= 0:
        return 0.0
    x, y, z = lamp[0] - point[0] / distance, lamp[1] - point[1] / distance, lamp[2] - point[2] / distance
    cosine = (normal[0] * x + normal[1] * y + normal[2] * z) / np.sqrt(x * x + y * y + z * z)
    return facing * (exponent + 8.0) / 8.0 * max(cosine, 0.0) ** exponent


@numba.njit(cache=True, nogil=True, fastmath=True)
def _knit(u, v):  # noqa: ANN
    """Brightness of stockinette: columns of V-shaped stitches."""
    x = u * STITCHES_AROUND
    across = 2.0 * abs(x - np.floor(x) - 0.5)  # 1 at the column's edge, 0 in its middle
    wave = np.cos(2.0 * np.pi * (v / STITCH_M + 0.45 * across))
    return 0.80 + 0.22 * wave * (1.0 - across * across) - 0.30 * across**6 + 0.12 * np.sin(37.0 * u + 9.0 * v)


@numba.njit(cache=True, nogil=True, fastmath=True)
def _normalise(vector):  # noqa: ANN
    length = np.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2) + 1e-12
    for k in range(3):
        vector[k] /= length
