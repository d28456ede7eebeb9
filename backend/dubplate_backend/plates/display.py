# SPDX-License-Identifier: Apache-2.0
"""Any plate as a person would look at it: sRGB, for finding faces and for previews, never for the result.

Display-referred values are taken as they are. Light is brought to BT.709 primaries and through the sRGB curve; what
is brighter than diffuse white is cut there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import OpenEXR

from dubplate_backend.plates.colour import CINEON, PlateColour

# Kodak, "Conversion of 10-bit Log Film Data to 8-bit Linear or Video Data", 1995: reference black and white, code
# values a step of printing density, and the density's gamma of the negative.
CINEON_BLACK, CINEON_WHITE, CINEON_DENSITY, CINEON_GAMMA, CINEON_CODES = 95.0, 685.0, 0.002, 0.6, 1023.0
# IEC 61966-2-1.
SRGB_BREAK, SRGB_SLOPE, SRGB_SCALE, SRGB_OFFSET, SRGB_EXPONENT = 0.0031308, 12.92, 1.055, 0.055, 2.4
# Cone responses of the linear Bradford adaptation (ICC.1:2022, annex E).
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)


def to_display(rgb: np.ndarray, colour: PlateColour, chromaticities: Sequence[float] | None = None) -> np.ndarray:
    """Plate values [H, W, 3] -> uint8 [H, W, 3]. NaN becomes 0.

    `chromaticities`: red, green, blue and white x and y as the file states them, for light whose space has no name.
    """
    if not _has_curve(colour):
        with np.errstate(invalid="ignore"):
            return np.nan_to_num(np.clip(np.asarray(rgb, np.float32) * 255 + 0.5, 0, 255), nan=0.0).astype(np.uint8)
    return _table(colour.interop_id == CINEON)[_bits(rgb, colour, chromaticities)]


def to_display_half(rgb: np.ndarray, colour: PlateColour) -> np.ndarray:
    """Plate values [H, W, 3] -> float16 [H, W, 3] in 0..1, for whoever compares more finely than 8 bits do."""
    if not _has_curve(colour):
        with np.errstate(invalid="ignore"):
            return np.nan_to_num(np.clip(np.asarray(rgb, np.float32), 0, 1), nan=0.0).astype(np.float16)
    return _half_table(colour.interop_id == CINEON)[_bits(rgb, colour)]


def _has_curve(colour: PlateColour) -> bool:
    return colour.scene_linear or colour.interop_id == CINEON


def _bits(rgb: np.ndarray, colour: PlateColour, chromaticities: Sequence[float] | None = None) -> np.ndarray:
    """uint16 [H, W, 3]: the halves of linear BT.709 light, or of film density, for the tables."""
    if colour.interop_id == CINEON:
        return np.asarray(rgb, np.float16).view(np.uint16)
    named = OpenEXR.colorInteropIDToChromaticities(colour.interop_id) if colour.interop_id else None
    primaries = tuple(float(value) for value in named or chromaticities or REC709)
    with np.errstate(invalid="ignore", over="ignore"):
        if not np.allclose(primaries, REC709, atol=1e-4):
            rgb = np.asarray(rgb, np.float32) @ to_rec709(primaries).T.astype(np.float32)
        return np.asarray(rgb, np.float16).view(np.uint16)


def to_rec709(chromaticities: Sequence[float]) -> np.ndarray:
    """[3, 3] linear RGB of these primaries -> linear BT.709, white to white."""
    source, target = _white(chromaticities), _white(REC709)
    adapted = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ target) / (BRADFORD @ source)) @ BRADFORD
    return np.linalg.inv(_to_xyz(REC709)) @ adapted @ _to_xyz(chromaticities)


def _to_xyz(chromaticities: Sequence[float]) -> np.ndarray:
    """[3, 3] linear RGB -> CIE XYZ (SMPTE RP 177)."""
    pairs = np.reshape(np.asarray(chromaticities[:6], float), (3, 2))
    columns = np.stack([pairs[:, 0], pairs[:, 1], 1 - pairs.sum(1)])  # [xyz, RGB]
    return columns * np.linalg.solve(columns, _white(chromaticities))


def _white(chromaticities: Sequence[float]) -> np.ndarray:
    x, y = chromaticities[6:8]
    return np.array([x / y, 1.0, (1 - x - y) / y])


@cache
def _table(logarithmic: bool) -> np.ndarray:
    """[65536] bits of a half -> its 8-bit display value."""
    return np.round(_curve(logarithmic) * 255).astype(np.uint8)


@cache
def _half_table(logarithmic: bool) -> np.ndarray:
    """[65536] bits of a half -> its display value, 0..1."""
    return _curve(logarithmic).astype(np.float16)


def _curve(logarithmic: bool) -> np.ndarray:
    """[65536] bits of a half -> its display value, 0..1."""
    values = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float64)
    values = np.nan_to_num(values, nan=0.0, posinf=1e5, neginf=0.0)
    if logarithmic:
        values = _film_light(np.clip(values, 0, 1))
    return srgb_curve(np.clip(values, 0, 1))


def srgb_curve(light: np.ndarray) -> np.ndarray:
    """Light 0..1 -> sRGB 0..1, in its own float type."""
    curved = SRGB_SCALE * light ** (1 / SRGB_EXPONENT) - SRGB_OFFSET
    return np.where(light <= SRGB_BREAK, SRGB_SLOPE * light, curved)


def _film_light(code: np.ndarray) -> np.ndarray:
    """Printing density, 0..1 of its codes, -> light with 1 at reference white."""

    def exposure(codes: np.ndarray | float) -> np.ndarray:
        return 10 ** ((np.asarray(codes) - CINEON_WHITE) * CINEON_DENSITY / CINEON_GAMMA)

    black = exposure(CINEON_BLACK)
    return (exposure(code * CINEON_CODES) - black) / (1 - black)
