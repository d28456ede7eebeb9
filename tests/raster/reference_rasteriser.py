# SPDX-License-Identifier: Apache-2.0
"""A rasteriser to compare with: one loop over faces, float64, written from the definition."""

import numpy as np


def reference_fragments(
    screen: np.ndarray, faces: np.ndarray, height: int, width: int, z_near: float = 1e-3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """screen: [V, 3] px, px, metres.  Returns pix_to_face [H, W], zbuf [H, W], bary_coords [H, W, 3]."""
    screen = screen.astype(np.float64)
    ids = np.full((height, width), -1)
    zbuf = np.full((height, width), np.inf)
    barycentrics = np.full((height, width, 3), -1.0)
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    for face, corners in enumerate(screen[faces]):
        if not np.isfinite(corners).all() or (corners[:, 2] <= z_near).any():
            continue
        matrix = np.stack([corners[:, 0], corners[:, 1], np.ones(3)])  # [3, 3]: corners as columns
        if abs(np.linalg.det(matrix)) <= 1e-8:
            continue
        low = np.clip(np.floor(corners[:, :2].min(0)) - 1, 0, (width, height)).astype(int)
        high = np.clip(np.ceil(corners[:, :2].max(0)) + 1, 0, (width, height)).astype(int)
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        points = np.stack([columns[window], rows[window], np.ones_like(rows[window])], axis=-1)  # [h, w, 3]
        flat = points @ np.linalg.inv(matrix).T  # weights on the screen
        hyperbolic = flat / corners[:, 2]
        depth = 1.0 / hyperbolic.sum(-1)
        nearer = (flat >= 0).all(-1) & (depth < zbuf[window])
        ids[window][nearer] = face
        zbuf[window][nearer] = depth[nearer]
        barycentrics[window][nearer] = (hyperbolic * depth[..., None])[nearer]
    zbuf[ids < 0] = -1.0
    return ids, zbuf, barycentrics
