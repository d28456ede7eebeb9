# SPDX-License-Identifier: Apache-2.0
"""The albedo model of a user's own FLAME texture space, brought onto the head's vertices.

Formats: `FLAME_texture.npz` with `mean` and `tex_dir` (512 x 512 x 3 BGR 0..255, 200 components), and the BFM variant
with `MU` and `PC` (0..1).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.shading import srgb_to_linear
from dubplate_backend.tracking.albedo import AlbedoModel
from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import load_npz, sha256_file

SIDE = 512
COMPONENTS = 140  # what metrical-tracker uses of them


def flame_texture_albedo(path: Path | str, head: HeadModel) -> AlbedoModel:
    """The file's texture model at the head's vertices, linear RGB.

    Raises InvalidInput where the file is another, or the head has not FLAME's texture coordinates.
    """
    path = Path(path)
    if not head.kind.startswith("flame"):
        raise InvalidInput(
            f"{path.name} is painted on FLAME's texture coordinates, which {head.kind} has not.",
            hint="Load FLAME with --head, or leave --albedo out.",
        )
    arrays = load_npz(path)
    if {"mean", "tex_dir"} <= arrays.keys():
        mean, basis, scale = arrays["mean"], arrays["tex_dir"], 1 / 255
    elif {"MU", "PC"} <= arrays.keys():
        mean, basis, scale = arrays["MU"], arrays["PC"], 1.0
    else:
        raise InvalidInput(f"{path} has neither mean and tex_dir nor MU and PC.", hint="Give FLAME_texture.npz.")
    texels = SIDE * SIDE * 3
    if mean.size != texels or basis.size % texels:
        raise InvalidInput(f"{path}: the texture is not {SIDE} x {SIDE}.", hint="Give FLAME_texture.npz as it comes.")
    picture = mean.reshape(SIDE, SIDE, 3)
    components = basis.reshape(SIDE, SIDE, 3, -1)[..., :COMPONENTS]
    row, column = texels_of(head)
    encoded = torch.from_numpy(picture[row, column, ::-1].astype(np.float32) * scale).clamp(0, 1)  # [V, 3] RGB
    slope = (srgb_to_linear((encoded + 0.01).clamp(max=1)) - srgb_to_linear((encoded - 0.01).clamp(min=0))) / 0.02
    carried = torch.from_numpy(components[row, column, ::-1].astype(np.float32) * scale)  # [V, 3, K]
    return AlbedoModel(srgb_to_linear(encoded), carried * slope[..., None], f"flame-texture/{sha256_file(path)[:12]}")


def texels_of(head: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each vertex's texel, (V,) each; a vertex at a seam takes one of its sides."""
    uv = np.zeros((head.vertex_count, 2))
    uv[head.faces.numpy().reshape(-1)] = head.uv.numpy()[head.faces_uv.numpy().reshape(-1)]
    column = np.clip((uv[:, 0] * SIDE).astype(int), 0, SIDE - 1)
    row = np.clip(((1 - uv[:, 1]) * SIDE).astype(int), 0, SIDE - 1)
    return row, column
