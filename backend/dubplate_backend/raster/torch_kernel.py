# SPDX-License-Identifier: Apache-2.0
"""The rasteriser in plain torch: the readable reference, and the one that runs on CUDA.

Every face lists the pixels of its bounding box; those inside it compete for their pixel by the smallest
(depth, face id), packed into one integer so that a single `scatter_reduce` decides.
"""

import torch
from torch import Tensor

_CHUNK_CANDIDATES = 1 << 22
"""(face, pixel) pairs held at a time: about 0.4 GB of intermediate values."""

_EMPTY = torch.iinfo(torch.int64).max


def rasterise_torch(screen: Tensor, faces: Tensor, height: int, width: int, z_near: float, min_area: float) -> Tensor:
    """screen: [B, V, 3] on any device, faces: [F, 3].  Returns pix_to_face [B, H, W] int64.  See `rasterise`."""
    points = screen.detach().to(torch.float32)
    batch, face_count = points.shape[0], faces.shape[0]
    corners = points[:, faces].flatten(0, 1)  # [B*F, 3, 3]
    image = torch.arange(batch, device=points.device).repeat_interleave(face_count)  # [B*F]
    face = torch.arange(face_count, device=points.device).repeat(batch)  # [B*F]

    drawable = _drawable(corners, z_near, min_area)
    corners, image, face = corners[drawable], image[drawable], face[drawable]  # [G, ...]
    first, last = _pixel_box(corners, height, width)  # [G, 2]
    size = (last - first + 1).clamp(min=0)  # [G, 2]
    candidates = size.prod(-1)  # [G]

    keys = torch.full((batch * height * width,), _EMPTY, device=points.device)
    for chunk in _chunks(candidates):
        index = chunk.repeat_interleave(candidates[chunk])  # [N]
        before = candidates[chunk].cumsum(0) - candidates[chunk]
        place = torch.arange(index.numel(), device=points.device) - before.repeat_interleave(candidates[chunk])  # [N]
        column = first[index, 0] + place % size[index, 0]
        row = first[index, 1] + place.div(size[index, 0], rounding_mode="floor")
        inside, depth = _inside_and_depth(corners[index], column, row)
        index, column, row, depth = index[inside], column[inside], row[inside], depth[inside]
        # The bits of a positive float order as the float does.
        key = (depth.view(torch.int32).long() << 32) | face[index]  # [N]
        pixel = (image[index] * height + row) * width + column
        keys.scatter_reduce_(0, pixel, key, reduce="amin")
    ids = torch.where(keys == _EMPTY, -1, keys & 0xFFFFFFFF)
    return ids.view(batch, height, width)


def _drawable(corners: Tensor, z_near: float, min_area: float) -> Tensor:
    """[G] bool: finite, wholly in front of the camera and not degenerate.  corners: [G, 3, 3]."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    return corners.isfinite().all(-1).all(-1) & (corners[..., 2] > z_near).all(-1) & (area.abs() > min_area)


def _pixel_box(corners: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """First and last column and row whose centres may lie inside: [G, 2] int64 each."""
    limit = torch.tensor([width, height], device=corners.device)
    # Clamped before the conversion, which is undefined for what an integer cannot hold.
    low = corners[..., :2].amin(1).clamp(min=torch.zeros_like(limit), max=limit)
    high = corners[..., :2].amax(1).clamp(min=-torch.ones_like(limit), max=limit)
    return (low - 0.5).ceil().long().clamp(min=0), (high - 0.5).floor().long().minimum(limit - 1)


def _chunks(candidates: Tensor) -> list[Tensor]:
    """Runs of faces whose candidates together stay near `_CHUNK_CANDIDATES`; faces without any are left out."""
    kept = torch.nonzero(candidates).squeeze(-1)
    if kept.numel() == 0:
        return []
    run = candidates[kept].cumsum(0).div(_CHUNK_CANDIDATES, rounding_mode="floor")
    return list(kept.split(torch.unique_consecutive(run, return_counts=True)[1].tolist()))


def _inside_and_depth(corners: Tensor, column: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """Whether pixel centres lie in their faces, edges included: [N] bool; and the faces' depth there: [N] metres."""
    dx = corners[..., 0] - (column.to(corners.dtype) + 0.5)[:, None]  # [N, 3]
    dy = corners[..., 1] - (row.to(corners.dtype) + 0.5)[:, None]  # [N, 3]
    ax, bx, cx = dx.unbind(-1)
    ay, by, cy = dy.unbind(-1)
    a, b, c = bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx  # signed areas opposite to the corners
    inside = ((a >= 0) & (b >= 0) & (c >= 0)) | ((a <= 0) & (b <= 0) & (c <= 0))
    a, b, c = a.abs(), b.abs(), c.abs()
    depths = corners[..., 2]  # [N, 3]
    return inside, (a + b + c) / (a / depths[:, 0] + b / depths[:, 1] + c / depths[:, 2])
