# SPDX-License-Identifier: Apache-2.0
"""The light of each frame, as nine bands of spherical harmonics, from colours whose albedo is known."""

from __future__ import annotations

import torch
from torch import Tensor

from dubplate_backend.raster.harmonics import BANDS, harmonics

# How strongly each band is held to the mean of its neighbours in time, and to zero, over the weight of one point of the
# mean albedo: a face shows half of the sphere, and the bands of the other half must not run away.
HELD_TO_MEAN = 20.0
HELD_TO_ZERO = 0.5
LEAST_SHADING = 0.02


def shading(normals: Tensor, light: Tensor) -> Tensor:
    """What diffuse light multiplies an albedo by, [T, N, 3].   normals: [T, N, 3] camera space.   light: [T, 9, 3]."""
    return (harmonics(normals) @ light).clamp(min=LEAST_SHADING)


def solve_light(colours: Tensor, albedo: Tensor, normals: Tensor, weight: Tensor, mean: Tensor | None) -> Tensor:
    """Light [T, 9, 3] under which points of `albedo` [N, 3] look like `colours` [T, N, 3], both linear.

    normals: [T, N, 3] camera space.   weight: [T, N].   mean: [9, 3], the light that each frame's is held to, or None.
    Linear least squares; Ramamoorthi & Hanrahan 2001.
    """
    bands = harmonics(normals).double()  # [T, N, 9]
    hold = torch.full((BANDS,), HELD_TO_ZERO, dtype=torch.float64)
    hold[0] = 1e-3
    target = torch.zeros(BANDS, 3, dtype=torch.float64)
    if mean is not None:
        target = mean.double()
        hold = torch.full_like(hold, HELD_TO_MEAN)
    solved = []
    for channel in range(3):
        shaded = bands * albedo[:, channel, None].double()  # [T, N, 9]
        weighted = shaded * weight[..., None].double()
        curvature = weighted.mT @ shaded + torch.diag(hold)
        right = (weighted.mT @ colours[..., channel, None].double())[..., 0] + hold * target[:, channel]
        solved.append(torch.linalg.solve(curvature, right))
    return torch.stack(solved, -1).float()
