# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks are run on: the stand-in, and a short shot of it; each made when first asked for."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import torch
from torch import Tensor

from dubplate_backend.head.load import load_standin
from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.camera import to_camera, vertices_to_screen
from dubplate_backend.renderers.neural_texture.generator import Generator
from dubplate_backend.renderers.neural_texture.prior import Prior, shipped_prior
from dubplate_backend.renderers.neural_texture.weights import save_weights
from dubplate_backend.renderers.presets import DRAFT, Preset
from dubplate_backend.synthetic.shot import make_synthetic_shot
from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import HeadIdentity, Shot

Part = TypeVar("Part")

SHOT_SECONDS = 1.2
SHOT_SIZE = 256
_FILL = 2.3
"""Focal length over picture size at which the head at 0.6 m covers about 60 % of the picture."""


class Stage:
    """Used as a context manager: leaving it removes its files.

    quick: with less material where a benchmark has a short form.   only: the one part that a benchmark is to measure.
    alone: without the peer, where that takes long.
    """

    def __init__(self, *, quick: bool = False, only: str | None = None, alone: bool = False) -> None:
        self.quick, self.only, self.alone = quick, only, alone
        self.folder = Path(tempfile.mkdtemp(prefix="dubplate-bench-"))

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    @cached_property
    def head(self) -> HeadModel:
        return load_standin()

    @cached_property
    def shot(self) -> Shot:
        return make_synthetic_shot(
            self.folder / "bench.dubshot", seconds=SHOT_SECONDS, size=SHOT_SIZE, seed=1, head=self.head
        )

    @cached_property
    def prior(self) -> Prior:
        """The one that ships for draft. Raises InvalidInput where none does."""
        shipped = shipped_prior(DRAFT)
        if shipped is None:
            raise InvalidInput("No prior ships for draft.", hint="Train one with: dubplate train --synthetic 64")
        return shipped

    def parts(self, benchmark: str, parts: Mapping[str, Part]) -> Iterator[tuple[str, Part]]:
        """Those of a benchmark's parts that are to be measured. Raises InvalidInput for an unknown one."""
        if self.only not in (None, *parts):
            raise InvalidInput(f"{benchmark} has no part {self.only!r}.", hint=f"Choose one of: {', '.join(parts)}.")
        return ((name, part) for name, part in parts.items() if self.only in (None, name))

    def untaught(self, preset: Preset) -> Path:
        """An actor of that size that has learnt nothing: its pixels mean nothing, its work is a taught one's."""
        folder = self.folder / f"untaught-{preset.name}.dubactor"
        if folder.is_dir():
            return folder
        folder.mkdir()
        random = torch.Generator().manual_seed(1)
        texels = torch.randn(preset.texture_channels, preset.texture_size, preset.texture_size, generator=random)
        save_weights(folder, texels, Generator(preset))
        identity = HeadIdentity(self.head.kind, self.head.sha256)
        ActorInfo("untaught", "neural_texture", preset.name, identity).save(folder)
        return folder

    def codes(self, batch: int, seed: int = 0) -> dict[str, Tensor]:
        """Arguments of `HeadModel.vertices` for `batch` different performances."""
        random = torch.Generator().manual_seed(seed)

        def draw(*shape: int, deviation: float) -> Tensor:
            return torch.randn(shape, generator=random) * deviation

        return {
            "shape": draw(300, deviation=0.5),
            "expression": draw(batch, 100, deviation=0.5),
            "jaw": draw(batch, 3, deviation=0.05),
            "neck": draw(batch, 3, deviation=0.05),
            "eyes": draw(batch, 6, deviation=0.05),
        }

    def screen(self, batch: int, size: int) -> Tensor:
        """The head filling a picture of `size` px, in `batch` poses: [B, V, 3]."""
        vertices = self.head.vertices(**self.codes(batch))
        rotation = torch.tensor([[torch.pi, 0.0, 0.0]]) + torch.linspace(-0.2, 0.2, batch)[:, None]
        camera = to_camera(vertices, rotation, torch.tensor([[0.0, -0.02, 0.6]]).expand(batch, 3))
        intrinsics = torch.tensor([[_FILL * size, _FILL * size, size / 2, size / 2]])
        return vertices_to_screen(camera, intrinsics.expand(batch, 4), None, None)
