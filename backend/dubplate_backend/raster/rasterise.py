# SPDX-License-Identifier: Apache-2.0
"""Triangles to fragments.

A kernel says only which face is seen in each pixel; `fragments_from_ids` recomputes barycentrics and depth there in
torch, so gradients and values are the same whatever found the faces.
"""

from collections.abc import Callable
from enum import StrEnum

import torch
from torch import Tensor

from dubplate_backend.raster.camera import Z_NEAR
from dubplate_backend.raster.fragments import Fragments, fragments_from_ids, interpolate

__all__ = ["Backend", "available_backends", "choose_backend", "interpolate", "rasterise", "visible_faces"]

MIN_DOUBLE_AREA_PX = 1e-8
"""px^2.  Faces whose doubled screen area is not above it have no inside."""

_IdKernel = Callable[[Tensor, Tensor, int, int, float, float], Tensor]


class Backend(StrEnum):
    """What finds the faces.  AUTO: numba on the CPU, torch elsewhere."""

    AUTO = "auto"
    NUMBA = "numba"
    TORCH = "torch"
    PYTORCH3D = "pytorch3d"


def rasterise(
    screen: Tensor, faces: Tensor, height: int, width: int, backend: Backend | str = Backend.AUTO
) -> Fragments:
    """Find the nearest face at every pixel centre.

    screen: [B, V, 3] = x px, y px, z metres (`vertices_to_screen`).   faces: [F, 3] int64, shared by the batch.
    Returns Fragments of `height` x `width` pixels; `zbuf` and `bary_coords` carry gradients to `screen`.

    Both windings are drawn.  An edge belongs to its faces; equal depths go to the lower face id.  Faces with a
    corner at or behind `Z_NEAR`, a corner that is not finite, or no area are not drawn.  Faces are found in float32
    whatever the dtype of `screen`; values and gradients are computed in its own.

    Raises ValueError for an unknown backend or wrong shapes, ImportError where the one asked for is not installed.
    """
    return fragments_from_ids(screen, faces, visible_faces(screen, faces, height, width, backend))


def visible_faces(
    screen: Tensor, faces: Tensor, height: int, width: int, backend: Backend | str = Backend.AUTO
) -> Tensor:
    """The ids alone, where no more is asked for: pix_to_face [B, H, W] int64, -1 where nothing is drawn.

    Arguments and errors are those of `rasterise`, whose fragments take several times as long.
    """
    if screen.dim() != 3 or screen.shape[-1] != 3 or faces.dim() != 2 or faces.shape[-1] != 3:
        raise ValueError(
            f"screen must be [B, V, 3] and faces [F, 3]; they are {tuple(screen.shape)} and {tuple(faces.shape)}"
        )
    kernel = _kernel(choose_backend(backend, screen.device))
    with torch.no_grad():
        return kernel(screen, faces, height, width, Z_NEAR, MIN_DOUBLE_AREA_PX)


def choose_backend(backend: Backend | str, device: torch.device) -> Backend:
    """The backend that `rasterise` uses on `device`.  Raises ValueError for an unknown name."""
    chosen = Backend(backend)
    if chosen is not Backend.AUTO:
        return chosen
    return Backend.NUMBA if device.type == "cpu" else Backend.TORCH


def available_backends() -> tuple[Backend, ...]:
    """What `rasterise` can be asked for on this machine."""
    from dubplate_backend.raster.pytorch3d_adapter import is_installed

    return (Backend.NUMBA, Backend.TORCH, *((Backend.PYTORCH3D,) if is_installed() else ()))


def _kernel(backend: Backend) -> _IdKernel:
    """Imported when used: numba takes half a second, and PyTorch3D is seldom there."""
    if backend is Backend.NUMBA:
        from dubplate_backend.raster.numba_kernel import rasterise_numba

        return rasterise_numba
    if backend is Backend.PYTORCH3D:
        from dubplate_backend.raster.pytorch3d_adapter import rasterise_pytorch3d

        return rasterise_pytorch3d
    from dubplate_backend.raster.torch_kernel import rasterise_torch

    return rasterise_torch
