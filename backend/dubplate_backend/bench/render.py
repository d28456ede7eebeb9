# SPDX-License-Identifier: Apache-2.0
"""Rendering frames with the draft preset, from the shot to the finished crop, and the network alone."""

import torch

from dubplate_backend.bench.figure import Figure, least_seconds
from dubplate_backend.bench.limits import flops_of, matmul_flops_per_second
from dubplate_backend.bench.stage import Stage
from dubplate_backend.plates.source import ShotPlates
from dubplate_backend.renderers.neural_texture.generator import Generator
from dubplate_backend.renderers.neural_texture.renderer import NeuralTextureRenderer
from dubplate_backend.renderers.neural_texture.threads import fixed_threads
from dubplate_backend.renderers.presets import DRAFT
from dubplate_backend.texture.neural_texture import NeuralTexture
from dubplate_shared.progress import never

_FRAMES = 12


def render(stage: Stage) -> list[Figure]:
    """Milliseconds a frame with fresh weights: what they draw costs what learnt ones cost."""
    preset, shot = DRAFT, stage.shot
    random = torch.Generator().manual_seed(0)
    texels = NeuralTexture(preset.texture_channels, preset.texture_size, random).texels.detach()
    generator = Generator(preset).eval()
    renderer = NeuralTextureRenderer(preset, texels, generator, stage.head)
    take = shot.take("tracked")
    first = shot.info.first_frame
    count = min(_FRAMES, shot.info.frame_count)
    frames = range(first, first + count)

    with ShotPlates(shot) as plates:
        whole = least_seconds(
            lambda: list(renderer.render(shot, take, frames, plates.net, never)), rounds=2, seconds=0.0
        )
    windows = preset.batch_windows
    features = torch.randn(windows, preset.window, preset.frame_channels, preset.crop_size, preset.crop_size)
    base = torch.randn(windows, preset.window, 3, preset.crop_size, preset.crop_size)
    mel, heard = torch.randn(windows, 80, 16), torch.ones(windows, dtype=torch.bool)

    def draw() -> None:
        with torch.inference_mode():
            generator(features, base, mel, heard)

    with fixed_threads(preset.threads):
        flops = flops_of(draw) / windows
        network = least_seconds(draw) / windows
        share = flops / matmul_flops_per_second() / network
    name = f"render.{preset.name}"
    per_frame = whole / count
    return [
        Figure(f"{name}.frame", 1e3 * per_frame, "ms", network / per_frame, "of it in the network"),
        Figure(f"{name}.rate", 1.0 / per_frame, "frames/s"),
        Figure(f"{name}.network", 1e3 * network, "ms", share, "of the matmul limit"),
        Figure(f"{name}.work", 1e-9 * flops, "GFLOP"),
    ]
