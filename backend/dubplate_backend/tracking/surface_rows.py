# SPDX-License-Identifier: Apache-2.0
"""The inner loop of the fit: derivatives of posed surface points, multiplied from the left. See `SurfaceHead.rows`."""

from __future__ import annotations

import numba
import numpy as np

from dubplate_backend.raster.threads import in_threads, ranges


def fill_rows(
    rows: np.ndarray,
    left: tuple[np.ndarray, np.ndarray, np.ndarray],
    bases: tuple[np.ndarray, np.ndarray, np.ndarray],
    shapes: tuple[np.ndarray, np.ndarray, np.ndarray],
    turned: tuple[np.ndarray, np.ndarray],
    derivatives: tuple[np.ndarray, np.ndarray],
    linear: int,
    first: int,
) -> None:
    """Write `rows` [T, N, R, first + 6 + linear + S] from column `first` on: jaw 3, linear, neck 3, shape S.

    left: what multiplies the rooted, the still and the moved part, [T, N, R, 3] each.   bases: motion bases of those
    parts [N, 3, linear + 18], shapes: [N, 3, S].   turned: what jaw and neck turn, [T, N, 3] each.   derivatives: of
    their matrices, [T, 3, 3, 3] each.   Points whose left is zero get zeros.
    """
    frames = rows.shape[0]

    def work(span: tuple[int, int]) -> None:
        part = slice(*span)
        _fill(
            rows[part],
            *(each[part] for each in left),
            *bases,
            *shapes,
            *(each[part] for each in turned),
            *(each[part] for each in derivatives),
            linear,
            first,
        )

    in_threads(work, ranges(frames, 1))


@numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _fill(
    rows, left, neck_left, jaw_left, rooted, still, moved, rooted_shape, still_shape, moved_shape, moved_points,
    inner_points, by_jaw, by_neck, linear, first,
):  # fmt: skip
    frames, points, count = left.shape[0], left.shape[1], left.shape[2]
    motion, shape, beyond = still.shape[2], still_shape.shape[2], first + 6 + linear
    uses_root = np.empty(points, np.bool_)
    uses_jaw = np.empty(points, np.bool_)
    for n in range(points):
        uses_root[n] = np.any(rooted[n] != 0) or np.any(rooted_shape[n] != 0)
        uses_jaw[n] = np.any(moved[n] != 0) or np.any(moved_shape[n] != 0)
    code = np.empty(motion, rows.dtype)
    for t in range(frames):
        for n in range(points):
            for r in range(count):
                row = rows[t, n, r]
                a, b, c = left[t, n, r, 0], left[t, n, r, 1], left[t, n, r, 2]
                if a == 0 and b == 0 and c == 0:
                    row[:] = 0
                    continue
                d, e, f = neck_left[t, n, r, 0], neck_left[t, n, r, 1], neck_left[t, n, r, 2]
                for k in range(motion):
                    code[k] = d * still[n, 0, k] + e * still[n, 1, k] + f * still[n, 2, k]
                for k in range(shape):
                    row[beyond + k] = d * still_shape[n, 0, k] + e * still_shape[n, 1, k] + f * still_shape[n, 2, k]
                if uses_jaw[n]:
                    g, h, i = jaw_left[t, n, r, 0], jaw_left[t, n, r, 1], jaw_left[t, n, r, 2]
                    for k in range(motion):
                        code[k] += g * moved[n, 0, k] + h * moved[n, 1, k] + i * moved[n, 2, k]
                    for k in range(shape):
                        row[beyond + k] += (
                            g * moved_shape[n, 0, k] + h * moved_shape[n, 1, k] + i * moved_shape[n, 2, k]
                        )
                if uses_root[n]:
                    for k in range(motion):
                        code[k] += a * rooted[n, 0, k] + b * rooted[n, 1, k] + c * rooted[n, 2, k]
                    for k in range(shape):
                        row[beyond + k] += (
                            a * rooted_shape[n, 0, k] + b * rooted_shape[n, 1, k] + c * rooted_shape[n, 2, k]
                        )
                for k in range(linear):
                    row[first + 3 + k] = code[k]
                for component in range(3):
                    jaw = row.dtype.type(0)
                    neck = row.dtype.type(0)
                    for i in range(3):
                        for j in range(3):
                            jaw += by_jaw[t, component, i, j] * (
                                neck_left[t, n, r, i] * moved_points[t, n, j] + code[linear + 3 * i + j]
                            )
                            neck += by_neck[t, component, i, j] * (
                                left[t, n, r, i] * inner_points[t, n, j] + code[linear + 9 + 3 * i + j]
                            )
                    row[first + component] = jaw
                    row[first + 3 + linear + component] = neck
