# SPDX-License-Identifier: Apache-2.0
"""The rasteriser and what is read through it, beside its pure-torch reference and PyTorch3D where installed."""

import torch
from torch.nn.functional import grid_sample

from dubplate_backend.bench.figure import Figure, least_seconds
from dubplate_backend.bench.stage import Stage
from dubplate_backend.raster.fragments import fragments_from_ids
from dubplate_backend.raster.rasterise import Backend, available_backends, rasterise, visible_faces
from dubplate_backend.texture.mipmaps import MipLayout
from dubplate_backend.texture.neural_texture import SIZE, NeuralTexture
from dubplate_backend.texture.sampling import interpolate_uv, sample_texture

SIZES = ((1, 256), (5, 256), (1, 512))
"""(pictures, px)"""


def rasteriser(stage: Stage) -> list[Figure]:
    """Milliseconds to find the faces, by each backend; to the fragments and their gradients; to sample the texture."""
    figures = []
    for batch, size in SIZES:
        label = f"{batch}x{size}"
        screen = stage.screen(batch, size)
        times = {
            backend: 1e3
            * least_seconds(lambda b=backend, s=screen, n=size: visible_faces(s, stage.head.faces, n, n, b))
            for backend in available_backends()
        }
        figures += _by_backend(label, times)
        ids = visible_faces(screen, stage.head.faces, size, size)
        moving = screen.clone().requires_grad_()
        share = float((ids >= 0).float().mean())

        def with_backward(moving: torch.Tensor = moving, ids: torch.Tensor = ids) -> None:
            fragments = fragments_from_ids(moving, stage.head.faces, ids)
            (fragments.bary_coords.sum() + fragments.zbuf.sum()).backward()

        backward = 1e3 * least_seconds(with_backward)
        forward = 1e3 * least_seconds(lambda s=screen, i=ids: fragments_from_ids(s, stage.head.faces, i))
        figures += [
            Figure(f"rasteriser.coverage.{label}", 100 * share, "%"),
            Figure(
                f"rasteriser.fragments.{label}",
                forward,
                "ms",
                forward / times[Backend.NUMBA],
                "times finding the faces",
            ),
            Figure(f"rasteriser.fragments_backward.{label}", backward, "ms", backward / forward, "times its forward"),
        ]
    return figures + _texture(stage)


def _by_backend(label: str, times: dict[Backend, float]) -> list[Figure]:
    """Each backend's time; numba's beside the others'."""
    figures = []
    for backend, milliseconds in times.items():
        if backend is Backend.NUMBA:
            peers = [peer for peer in (Backend.PYTORCH3D, Backend.TORCH) if peer in times]
            for peer in peers:
                ratio = times[peer] / milliseconds
                figures.append(
                    Figure(f"rasteriser.numba.{label}", milliseconds, "ms", ratio, f"times the speed of {peer}")
                )
        else:
            figures.append(Figure(f"rasteriser.{backend}.{label}", milliseconds, "ms"))
    return figures


def _texture(stage: Stage, batch: int = 5, size: int = 256) -> list[Figure]:
    """The neural texture on the head, mip levels and all, beside torch's bilinear sampler over all pixels of a texture
    stored by planes.
    """
    fragments = rasterise(stage.screen(batch, size), stage.head.faces, size, size)
    uv = interpolate_uv(fragments, stage.head.uv, stage.head.faces_uv)
    texture = NeuralTexture(generator=torch.Generator().manual_seed(0))
    layout = MipLayout.of(stage.head, SIZE)
    planes = texture.texels.detach().contiguous()[None].requires_grad_()
    grid = uv * torch.tensor([2.0, -2.0]) + torch.tensor([-1.0, 1.0])

    def ours(backward: bool) -> None:
        texture.texels.grad = None
        sampled = sample_texture(texture.texels, uv, fragments.covered, layout)
        if backward:
            sampled.square().sum().backward()

    def plain(backward: bool) -> None:
        planes.grad = None
        sampled = grid_sample(planes.expand(batch, -1, -1, -1), grid, align_corners=False)
        if backward:
            (sampled * fragments.covered[:, None]).square().sum().backward()

    figures = []
    for name, backward in (("forward", False), ("backward", True)):
        own = 1e3 * least_seconds(lambda b=backward: ours(b))
        peer = 1e3 * least_seconds(lambda b=backward: plain(b))
        against = "times the speed of grid_sample by planes"
        figures.append(Figure(f"texture.sample_{name}.{batch}x{size}", own, "ms", peer / own, against))
    return figures
