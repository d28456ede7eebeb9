# SPDX-License-Identifier: Apache-2.0
"""PyTorch3D's rasteriser behind our conventions, where it is installed."""

from importlib.util import find_spec

import torch
from torch import Tensor


def is_installed() -> bool:
    return find_spec("pytorch3d") is not None


def to_ndc(screen: Tensor, height: int, width: int) -> Tensor:
    """Our pixels to PyTorch3D's normalised coordinates: x left, y up, the shorter side spans [-1, 1].

    screen: [B, V, 3] px, px, metres.   Returns [B, V, 3].  Depth is kept, so barycentrics stay perspective-correct.
    Source: PyTorch3D, docs/notes/renderer_getting_started and cameras (screen and NDC of non-square images).
    """
    shorter = min(height, width)
    x = (width - 2.0 * screen[..., 0]) / shorter
    y = (height - 2.0 * screen[..., 1]) / shorter
    return torch.stack([x, y, screen[..., 2]], dim=-1)


def rasterise_pytorch3d(
    screen: Tensor, faces: Tensor, height: int, width: int, z_near: float, min_area: float
) -> Tensor:
    """screen: [B, V, 3], faces: [F, 3].  Returns pix_to_face [B, H, W] int64.  See `rasterise`.

    Raises ImportError where PyTorch3D is absent.
    """
    from pytorch3d.renderer.mesh import rasterize_meshes
    from pytorch3d.structures import Meshes

    points = screen.detach().to(torch.float32)
    corners = points[:, faces]  # [B, F, 3, 3]
    drawable = corners.isfinite().all(-1).all(-1) & (corners[..., 2] > z_near).all(-1)  # [B, F]
    # A face on one vertex has no area and is skipped: ids keep their places.
    kept = torch.where(drawable[..., None], faces, torch.zeros_like(faces))  # [B, F, 3]
    meshes = Meshes(verts=to_ndc(points.nan_to_num(0.0, 0.0, 0.0), height, width), faces=kept)
    packed = rasterize_meshes(
        meshes,
        image_size=(height, width),
        blur_radius=0.0,
        faces_per_pixel=1,
        perspective_correct=True,
        clip_barycentric_coords=False,
        cull_backfaces=False,
    )[0][..., 0]  # [B, H, W], face ids counted on through the batch
    start = torch.arange(screen.shape[0], device=packed.device)[:, None, None] * faces.shape[0]
    return torch.where(packed >= 0, packed - start, packed)
