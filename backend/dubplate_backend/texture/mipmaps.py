# SPDX-License-Identifier: Apache-2.0
"""Mip levels of a texture, each UV chart apart, so that no level mixes a chart with its neighbours or with nothing.

Coarse texels of an ordinary mip chain straddle the borders of charts that lie closer than the texel is wide. Here every
chart has a block of its own on every level. A coarse texel is the mean of those finest texels beneath it that belong to
its chart, and one that has none takes the nearest that has. Levels are linear in the texels: a fixed sparse matrix,
whose transpose is the gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from scipy.ndimage import distance_transform_edt
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.rasterise import visible_faces

LEVELS = 4
"""Down to an eighth: a 128 px crop shows a texture of 256 at about half its scale, a turned cheek at a quarter."""

CELLS_PER_TEXEL = 4
"""How finely charts are told apart: they may lie within a texel of each other (the stand-in's teeth: 1.2 texels)."""


@dataclass(frozen=True)
class MipLayout:
    """Where every texel of every level lies in one long list of N, and what it is made of.

    labels: [K, K] int16, the chart at each cell of the UV square, row 0 at v = 1; beside the charts, the nearest.
    blocks: [charts, LEVELS, 5] int64: first place in the list, left, top, width, height in texels of that level.
    matrix: [N, size * size], makes the list from the texels.
    """

    size: int
    labels: npt.NDArray[np.int16]
    blocks: npt.NDArray[np.int64]
    matrix: sparse.csr_array

    @cached_property
    def transposed(self) -> sparse.csr_array:
        """[size * size, N]: what each texel gives to."""
        return self.matrix.T.tocsr()

    @classmethod
    def of(cls, head: HeadModel, size: int) -> MipLayout:
        """For a texture of `size` x `size` over the head's UV."""
        return cls.of_uv(head.uv, head.faces_uv, size)

    @classmethod
    def of_uv(cls, uv: Tensor, faces_uv: Tensor, size: int) -> MipLayout:
        """uv: [VT, 2], 0..1, v up.   faces_uv: [F, 3] int64."""
        chart_of_vertex = uv_charts(faces_uv.numpy(), len(uv))  # [VT]
        chart_of_face = chart_of_vertex[faces_uv[:, 0].numpy()]  # [F]
        cells = _nearest(_labels(uv, faces_uv, chart_of_face, CELLS_PER_TEXEL * size))
        texels = _labels(uv, faces_uv, chart_of_face, size)  # [size, size], -1 outside
        charts = int(chart_of_face.max()) + 1
        blocks = np.zeros((charts, LEVELS, 5), np.int64)
        parts, first = [], 0
        for chart in range(charts):
            corners = uv[torch.from_numpy(chart_of_vertex == chart)].double().numpy()
            flat = np.stack([corners[:, 0], 1.0 - corners[:, 1]], axis=1)  # x right, y down, 0..1
            own = np.argwhere(texels == chart)  # [n, 2] row, column
            if not len(own):  # smaller than a texel: the one it lies in
                own = np.clip(flat.mean(axis=0)[None, ::-1] * size, 0, size - 1).astype(np.int64)
            for level in range(LEVELS):
                left, top, width, height = _block(flat, size >> level)
                blocks[chart, level] = first, left, top, width, height
                parts.append(_averages(own, level, (left, top, width, height), size))
                first += width * height
        return cls(size, cells, blocks, sparse.vstack(parts, format="csr", dtype=np.float32))


def uv_charts(faces_uv: npt.NDArray[np.int64], vertices: int) -> npt.NDArray[np.int16]:
    """(VT,) number of the connected piece of UV that each UV vertex lies in; vertices of no face have one of their own
    after all others.
    """
    edges = np.stack([faces_uv.ravel(), np.roll(faces_uv, 1, axis=1).ravel()])
    links = sparse.coo_array((np.ones(edges.shape[1]), tuple(edges)), shape=(vertices, vertices))
    pieces = connected_components(links, directed=False)[1]
    used = np.unique(pieces[faces_uv.ravel()])
    numbers = np.full(pieces.max() + 1, len(used))
    numbers[used] = np.arange(len(used))
    return numbers[pieces].astype(np.int16)


def _labels(uv: Tensor, faces_uv: Tensor, chart_of_face: npt.NDArray[np.int16], size: int) -> npt.NDArray[np.int16]:
    """[size, size]: the chart that covers each cell's centre, -1 where none does."""
    flat = torch.stack([uv[:, 0] * size, (1.0 - uv[:, 1]) * size, torch.ones_like(uv[:, 0])], dim=-1)  # [VT, 3]
    faces = visible_faces(flat[None], faces_uv, size, size)[0].numpy()
    return np.where(faces >= 0, chart_of_face[np.maximum(faces, 0)], np.int16(-1))


def _nearest(labels: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    rows, columns = distance_transform_edt(labels < 0, return_distances=False, return_indices=True)
    return labels[rows, columns]


def _block(flat: npt.NDArray[np.float64], size: int) -> tuple[int, int, int, int]:
    """left, top, width, height of the texels that bilinear look-ups within a chart read on a level of `size`."""
    low = np.floor(flat.min(axis=0) * size - 0.5).astype(int)
    high = np.floor(flat.max(axis=0) * size - 0.5).astype(int) + 1
    return int(low[0]), int(low[1]), int(high[0] - low[0]) + 1, int(high[1] - low[1]) + 1


def _averages(own: npt.NDArray[np.int64], level: int, block: tuple[int, int, int, int], size: int) -> sparse.csr_array:
    """[width * height, size * size]: each texel of a block as the mean of the chart's own texels beneath it, or as the
    nearest that has some.
    """
    left, top, width, height = block
    rows = np.clip((own[:, 0] >> level) - top, 0, height - 1)
    columns = np.clip((own[:, 1] >> level) - left, 0, width - 1)
    place = rows * width + columns
    count = np.bincount(place, minlength=width * height)
    shape = (width * height, size * size)
    means = sparse.csr_array((1.0 / count[place], (place, own[:, 0] * size + own[:, 1])), shape=shape)
    empty = (count == 0).reshape(height, width)
    nearest = distance_transform_edt(empty, return_distances=False, return_indices=True).astype(np.int64)
    return means[(nearest[0] * width + nearest[1]).ravel()]
