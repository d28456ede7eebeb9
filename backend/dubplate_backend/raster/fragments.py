# SPDX-License-Identifier: Apache-2.0
"""What the rasteriser sees in each pixel, and how attributes are read there.

The three arrays are PyTorch3D's `Fragments` with one face per pixel, except that face ids count from 0 in every
image of the batch.  Perspective-correct barycentrics: Blinn 1992, Hyperbolic Interpolation.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dubplate_backend.raster.camera import Z_NEAR

NO_FACE = -1
"""In `pix_to_face` where nothing covers a pixel's centre; `zbuf` and `bary_coords` are -1 there, as in PyTorch3D."""


@dataclass(frozen=True)
class Fragments:
    """One face per pixel.  Differentiable: `zbuf` and `bary_coords` carry gradients to the screen vertices."""

    pix_to_face: Tensor  # [B, H, W] int64, NO_FACE where empty
    zbuf: Tensor  # [B, H, W] metres
    bary_coords: Tensor  # [B, H, W, 3] perspective-correct, in the order of the face's corners

    @property
    def covered(self) -> Tensor:
        """[B, H, W] bool: a face covers the pixel's centre."""
        return self.pix_to_face >= 0


def fragments_from_ids(screen: Tensor, faces: Tensor, pix_to_face: Tensor) -> Fragments:
    """Barycentrics and depth at the pixel centres of faces already found, differentiable to `screen`.

    screen: [B, V, 3] px, px, metres.   faces: [F, 3] int64.   pix_to_face: [B, H, W] int64.
    Only the visible face of a pixel is computed, so the cost is that of the picture, not of the mesh.
    """
    batch, height, width = pix_to_face.shape
    vertex_count = screen.shape[1]
    pixel = torch.nonzero(pix_to_face.flatten() >= 0).squeeze(-1)  # [N]
    face = pix_to_face.flatten()[pixel]  # [N]
    image = pixel.div(height * width, rounding_mode="floor")  # [N]
    rows = (faces[face] + (image * vertex_count)[:, None]).flatten()  # [3N]
    corners = screen.reshape(-1, 3).index_select(0, rows).unflatten(0, (-1, 3))  # [N, 3, 3]

    x = (pixel % width).to(screen.dtype) + 0.5  # [N]
    y = (pixel.div(width, rounding_mode="floor") % height).to(screen.dtype) + 0.5  # [N]
    barycentrics, depth = perspective_barycentrics(corners, x, y)

    bary_coords = screen.new_full((batch * height * width, 3), -1.0).index_copy(0, pixel, barycentrics)
    zbuf = screen.new_full((batch * height * width,), -1.0).index_copy(0, pixel, depth)
    return Fragments(
        pix_to_face=pix_to_face,
        zbuf=zbuf.view(batch, height, width),
        bary_coords=bary_coords.view(batch, height, width, 3),
    )


def perspective_barycentrics(corners: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """corners: [N, 3, 3] px, px, metres; x, y: [N] px.  Returns barycentrics [N, 3] and depth [N] metres.

    Screen-space weights of the corners (signed areas), divided by the corners' depths and normalised.
    """
    delta_x = corners[..., 0] - x[:, None]  # [N, 3]
    delta_y = corners[..., 1] - y[:, None]  # [N, 3]
    following, last = [1, 2, 0], [2, 0, 1]
    areas = delta_x[:, following] * delta_y[:, last] - delta_y[:, following] * delta_x[:, last]  # [N, 3]
    weights = areas / areas.sum(-1, keepdim=True)  # [N, 3]
    inverse_depths = weights / corners[..., 2].clamp(min=Z_NEAR)  # [N, 3]
    inverse_depth = inverse_depths.sum(-1, keepdim=True)  # [N, 1]
    return inverse_depths / inverse_depth, 1.0 / inverse_depth.squeeze(-1)


def interpolate(fragments: Fragments, face_attributes: Tensor) -> Tensor:
    """Attributes of the faces' corners, at every pixel.  Zero where nothing is drawn.

    face_attributes: [F, 3, C], or [B, F, 3, C] where they differ between the images.   Returns [B, H, W, C].
    Differentiable to the attributes and, through the barycentrics, to the screen vertices.
    """
    batch, height, width = fragments.pix_to_face.shape
    channels = face_attributes.shape[-1]
    flat_faces = fragments.pix_to_face.flatten()
    pixel = torch.nonzero(flat_faces >= 0).squeeze(-1)  # [N]
    face = flat_faces[pixel]
    if face_attributes.dim() == 4:
        image = pixel.div(height * width, rounding_mode="floor")
        face = face + image * face_attributes.shape[1]
    corners = face_attributes.reshape(-1, 3 * channels).index_select(0, face).unflatten(-1, (3, channels))  # [N, 3, C]
    barycentrics = fragments.bary_coords.reshape(-1, 3).index_select(0, pixel)  # [N, 3]
    values = (barycentrics[..., None] * corners).sum(1)  # [N, C]
    picture = values.new_zeros((batch * height * width, channels)).index_copy(0, pixel, values)
    return picture.view(batch, height, width, channels)
