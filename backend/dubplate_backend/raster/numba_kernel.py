# SPDX-License-Identifier: Apache-2.0
"""The CPU rasteriser: which face is seen in each pixel.

Rows are cut into bands; each band walks all faces in order of their ids and keeps the nearest, a tie going to the
lower id, so the picture does not depend on how many threads share the bands.  The arithmetic is written as in
`torch_kernel`, operation for operation, in float32: both give the same ids.
"""

import numba
import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from dubplate_backend.raster.threads import in_threads

_BAND_ROWS = 32
"""Rows of a band: few enough that bands spread over threads evenly, enough that walking all faces is cheap."""

_INLINE_PIXELS = 128 * 128
"""Pictures up to this size are drawn in the calling thread: starting another costs more than it saves."""


def rasterise_numba(screen: Tensor, faces: Tensor, height: int, width: int, z_near: float, min_area: float) -> Tensor:
    """screen: [B, V, 3] on the CPU, faces: [F, 3].  Returns pix_to_face [B, H, W] int64.  See `rasterise`."""
    points = np.ascontiguousarray(screen.detach().numpy(), dtype=np.float32)  # [B, V, 3]
    corners = np.ascontiguousarray(faces.numpy(), dtype=np.int32)  # [F, 3]
    batch = points.shape[0]
    ids = np.full((batch, height, width), -1, dtype=np.int64)
    bands = [(image, top) for image in range(batch) for top in range(0, height, _BAND_ROWS)]
    limits = np.float32(z_near), np.float32(min_area)

    def draw(band: tuple[int, int]) -> None:
        image, top = band
        _draw_band(points[image], corners, ids[image], top, min(top + _BAND_ROWS, height), *limits)

    if ids.size <= _INLINE_PIXELS:
        for band in bands:
            draw(band)
    else:
        in_threads(draw, bands)
    return torch.from_numpy(ids)


@numba.njit(cache=True, nogil=True)
def _draw_band(
    points: ndarray, faces: ndarray, ids: ndarray, top: int, bottom: int, z_near: np.float32, min_area: np.float32
) -> None:
    """Writes rows [top, bottom) of `ids` [H, W]."""
    width = ids.shape[1]
    half = np.float32(0.5)
    nearest = np.full((bottom - top, width), np.inf, dtype=np.float32)
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ay, by, cy = points[a, 1], points[b, 1], points[c, 1]
        low_y, high_y = min(ay, by, cy), max(ay, by, cy)
        # Negated so that NaN fails.  A row y is touched where low <= y + 0.5 <= high.
        if not (high_y >= top + half and low_y <= bottom - half):
            continue
        ax, bx, cx = points[a, 0], points[b, 0], points[c, 0]
        low_x, high_x = min(ax, bx, cx), max(ax, bx, cx)
        if not (high_x >= half and low_x <= width - half):
            continue
        az, bz, cz = points[a, 2], points[b, 2], points[c, 2]
        if not (az > z_near and bz > z_near and cz > z_near):
            continue
        if not np.isfinite(ax + bx + cx + ay + by + cy + az + bz + cz):
            continue
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if not abs(area) > min_area:
            continue
        first_y = max(top, int(np.ceil(max(low_y, np.float32(0.0)) - half)))
        last_y = min(bottom - 1, int(np.floor(min(high_y, np.float32(bottom)) - half)))
        first_x = max(0, int(np.ceil(max(low_x, np.float32(0.0)) - half)))
        last_x = min(width - 1, int(np.floor(min(high_x, np.float32(width)) - half)))
        # One sign for both windings: back faces are drawn, as PyTorch3D draws them.
        sign = np.float32(1.0) if area > 0 else np.float32(-1.0)
        for row in range(first_y, last_y + 1):
            y = np.float32(row) + half
            ady, bdy, cdy = ay - y, by - y, cy - y
            for column in range(first_x, last_x + 1):
                x = np.float32(column) + half
                adx, bdx, cdx = ax - x, bx - x, cx - x
                # Relative to the pixel, an edge's two faces get exactly opposite values: no gaps, no overlap.
                area_a = sign * (bdx * cdy - bdy * cdx)
                area_b = sign * (cdx * ady - cdy * adx)
                area_c = sign * (adx * bdy - ady * bdx)
                if area_a >= 0 and area_b >= 0 and area_c >= 0:
                    total = area_a + area_b + area_c
                    depth = total / (area_a / az + area_b / bz + area_c / cz)
                    if depth < nearest[row - top, column]:
                        nearest[row - top, column] = depth
                        ids[row, column] = face
