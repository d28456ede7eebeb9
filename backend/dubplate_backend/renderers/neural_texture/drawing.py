# SPDX-License-Identifier: Apache-2.0
"""The network's forward pass in batches of one fixed shape, on the CPU or a GPU.

A window must get the same bits in any slot of a batch and in any company. On the CPU a fixed batch and a fixed number
of threads see to that. On CUDA the faster ways of running are each tried for it on the device, and the first that holds
is taken. The way is part of the renderer's key. Nothing here has been run on CUDA yet (docs/benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor

from dubplate_backend.renderers.hearing import Hearing
from dubplate_backend.renderers.neural_texture.generator import Generator
from dubplate_backend.renderers.neural_texture.threads import fixed_threads
from dubplate_backend.renderers.presets import Preset
from dubplate_backend.speech.mel import BANDS, WINDOW_COLUMNS
from dubplate_shared.errors import DubplateError

Draw = Callable[..., Tensor]  # features, base, mel, heard -> the windows' centre frames [B, 3, S, S]
WARM_UP = 3  # passes before a CUDA graph is recorded, as torch's documentation asks


@dataclass(frozen=True)
class Way:
    """dtype: of the products; weights and sums stay float32.  graph: recorded once and replayed."""

    dtype: torch.dtype
    graph: bool


CPU_WAY = Way(torch.float32, graph=False)
CUDA_WAYS = (Way(torch.bfloat16, graph=True), Way(torch.float32, graph=True), Way(torch.float32, graph=False))


def drawing_device() -> torch.device:
    """Where networks draw on this machine unless told."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class WindowDrawer:
    """Draws the centre frames of a batch of windows."""

    def __init__(self, generator: Generator, preset: Preset, hearing: Hearing, device: torch.device) -> None:
        """generator: in eval mode; it is moved to `device`.

        Raises DubplateError where no way of running gives the same bits in every slot.
        """
        self.preset, self.hearing, self.device = preset, hearing, device
        self._generator = generator.to(device)
        self._turn = Lock()  # a recorded graph has one set of buffers, and renders and previews share it
        self.way, self._run = self._chosen()

    def facts(self) -> dict[str, str]:
        """What of the device fixes bits, for the renderer's key."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        return {"device": name, "dtype": str(self.way.dtype), "graph": str(self.way.graph)}

    def __call__(self, features: Tensor, base: Tensor, mel: Tensor, heard: Tensor) -> Tensor:
        """Draw a whole batch.

        features: [B, T, C, S, S].  base: [B, T, 3, S, S] -1..1.  mel: [B, moments, 80, 16].  heard: [B] bool.
        B is the preset's batch_windows.  Returns [B, 3, S, S] on the CPU, not clipped.
        """
        alone = self._turn if self.device.type == "cuda" else nullcontext()
        with alone, fixed_threads(self.preset.threads), torch.inference_mode():
            return self._run(*(part.to(self.device) for part in (features, base, mel, heard))).float().cpu()

    def _forward(self, features: Tensor, base: Tensor, mel: Tensor, heard: Tensor) -> Tensor:
        moments = mel.shape[1]
        encoder = self._generator.audio
        codes = encoder(mel.flatten(0, 1), heard.repeat_interleave(moments)).unflatten(0, (-1, moments))  # [B, M, D]
        sound = self.hearing.heard(codes, encoder.no_sound)
        return self._generator.draw(features, base, sound)[:, self.preset.window // 2]

    def _chosen(self) -> tuple[Way, Draw]:
        if self.device.type == "cpu":
            return CPU_WAY, self._forward
        for way in CUDA_WAYS:
            run = self._prepared(way)
            if same_in_every_slot(run, example(self.preset, self.hearing, self.device)):
                return way, run
        raise DubplateError(
            f"{torch.cuda.get_device_name(self.device)} draws the same window differently in another place of a batch.",
            hint="Render on the CPU: set CUDA_VISIBLE_DEVICES to nothing.",
        )

    def _prepared(self, way: Way) -> Draw:
        """The forward pass on CUDA in one of the ways."""

        def forward(*inputs: Tensor) -> Tensor:
            low = way.dtype != torch.float32
            with (
                torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False),
                torch.autocast("cuda", way.dtype, enabled=low, cache_enabled=False),
            ):
                return self._forward(*inputs)

        return _recorded(forward, example(self.preset, self.hearing, self.device)) if way.graph else forward


def example(preset: Preset, hearing: Hearing, device: torch.device) -> tuple[Tensor, ...]:
    """Inputs of a whole batch, all windows different."""
    random = torch.Generator().manual_seed(0)
    windows, frames, size = preset.batch_windows, preset.window, preset.crop_size
    shapes = (
        (windows, frames, preset.frame_channels, size, size),
        (windows, frames, 3, size, size),
        (windows, len(hearing.moments), BANDS, WINDOW_COLUMNS),
    )
    parts = [torch.randn(shape, generator=random).to(device) for shape in shapes]
    return *parts, torch.ones(windows, dtype=torch.bool, device=device)


def same_in_every_slot(run: Draw, inputs: tuple[Tensor, ...]) -> bool:
    """Whether every window of a batch keeps its bits when the windows change places, and when they are all alike."""
    with torch.inference_mode():
        drawn = run(*inputs).clone()
        windows = len(drawn)
        for shift in range(1, windows):
            if not torch.equal(run(*(part.roll(shift, 0) for part in inputs)), drawn.roll(shift, 0)):
                return False
        alone = run(*(part[:1].expand_as(part).contiguous() for part in inputs))
        return all(torch.equal(each, drawn[0]) for each in alone)


def _recorded(forward: Draw, inputs: tuple[Tensor, ...]) -> Draw:
    """A CUDA graph of the pass, replayed on buffers of its own."""
    held = tuple(part.clone() for part in inputs)
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside), torch.inference_mode():
        for _ in range(WARM_UP):
            forward(*held)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph), torch.inference_mode():
        drawn = forward(*held)

    def replay(*parts: Tensor) -> Tensor:
        for buffer, part in zip(held, parts, strict=True):
            buffer.copy_(part)
        graph.replay()
        return drawn

    return replay
