# SPDX-License-Identifier: Apache-2.0
"""Which texels belong to the surface, and what stands beside them.

A bilinear look-up at the rim of a UV island reads texels just outside it.  Padding gives those the value of the
nearest texel inside, so that no neighbour and no background bleeds in, at any magnification.
"""

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from dubplate_backend.raster.rasterise import rasterise


def island_mask(uv: Tensor, faces_uv: Tensor, size: int) -> Tensor:
    """The texels whose centres the surface covers.

    uv: [VT, 2], 0..1, v up.   faces_uv: [F, 3] int64.   Returns [size, size] bool, row 0 at v = 1.
    """
    flat = torch.stack([uv[:, 0] * size, (1.0 - uv[:, 1]) * size, torch.ones_like(uv[:, 0])], dim=-1)  # [VT, 3]
    return rasterise(flat[None], faces_uv, size, size).covered[0]


def pad_islands(texels: Tensor, mask: Tensor) -> Tensor:
    """Give every texel outside the islands the value of the nearest one inside.

    texels: [C, S, S].   mask: [S, S] bool, as `island_mask` returns.   Returns [C, S, S].
    Raises ValueError where the mask is empty.
    """
    if not bool(mask.any()):
        raise ValueError("no texel lies inside an island, so there is nothing to pad from")
    outside = ~mask.cpu().numpy()
    rows, columns = distance_transform_edt(outside, return_distances=False, return_indices=True).astype(np.int64)
    nearest = torch.from_numpy(rows).to(texels.device), torch.from_numpy(columns).to(texels.device)
    return texels[:, nearest[0], nearest[1]]
