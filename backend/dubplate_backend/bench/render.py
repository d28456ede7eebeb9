# SPDX-License-Identifier: Apache-2.0
"""Rendering with every preset on 1080p plates: the network beside a plain StyleGAN2 of its size, each stage alone, and
the whole. Weights are fresh: what they draw costs what learnt ones cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from dubplate_backend.bench.figure import Figure, least_seconds
from dubplate_backend.bench.limits import flops_of, matmul_flops_per_second
from dubplate_backend.bench.stage import SHOT_SIZE, Stage
from dubplate_backend.bench.stylegan2 import PlainGenerator
from dubplate_backend.bench.wide_shot import wide_shot
from dubplate_backend.compositing.background import load_segmenter
from dubplate_backend.compositing.composite import CompositeSettings, compose, layers
from dubplate_backend.plates.exr import write_exr
from dubplate_backend.plates.source import ShotPlates
from dubplate_backend.renderers.hearing import Hearing
from dubplate_backend.renderers.neural_texture.drawing import example
from dubplate_backend.renderers.neural_texture.generator import Generator
from dubplate_backend.renderers.neural_texture.renderer import NeuralTextureRenderer
from dubplate_backend.renderers.neural_texture.threads import fixed_threads
from dubplate_backend.renderers.presets import PRESETS, Preset, preset
from dubplate_backend.rendering import render_shot
from dubplate_backend.synthetic.shot import make_synthetic_shot
from dubplate_shared.actor import ActorInfo
from dubplate_shared.progress import never
from dubplate_shared.shot import Shot

FRAMES = {"draft": 40, "standard": 12, "hero": 6}  # rendered in one go
QUICK_FRAMES = {"draft": 12}  # --quick: of the other presets the network alone
LONG_S = 2.0  # of the shot that holds them
_MIDDLE = 8  # the shot's frame from which on is rendered

Made = TypeVar("Made")


def render(stage: Stage) -> Iterator[Figure]:
    """Milliseconds a frame and frames a second, of every preset or of the one asked for. Raises InvalidInput."""
    presets = PRESETS if stage.only is None else (preset(stage.only),)
    filmed = stage.shot if stage.quick else _long_shot(stage)
    shot = wide_shot(filmed, stage.folder / "wide.dubshot")
    for size in presets:
        yield from _network(size, rounds=1 if stage.quick else 2)
        count = (QUICK_FRAMES if stage.quick else FRAMES).get(size.name)
        if count is not None:
            yield from _whole(stage, shot, size, count)


def _long_shot(stage: Stage) -> Shot:
    return make_synthetic_shot(stage.folder / "long.dubshot", seconds=LONG_S, size=SHOT_SIZE, seed=1, head=stage.head)


def _network(preset: Preset, *, rounds: int) -> list[Figure]:
    """One frame is a window of the batch; the peer draws as many pictures as there are windows."""
    windows = preset.batch_windows
    network = WindowTimer(preset)
    plain, w = PlainGenerator(preset).eval(), torch.randn(windows, preset.style_dim)

    def peer() -> None:
        with torch.inference_mode():
            plain(w)

    with fixed_threads(preset.threads):
        flops = flops_of(network) / windows
        own, other = (least_seconds(work, rounds=rounds, seconds=0.0) / windows for work in (network, peer))
        share = flops / matmul_flops_per_second() / own
    name = f"render.{preset.name}"
    return [
        Figure(f"{name}.network", 1e3 * own, "ms", own / other, "times a plain StyleGAN2 of the same size"),
        Figure(f"{name}.stylegan2", 1e3 * other, "ms"),
        Figure(f"{name}.work", 1e-9 * flops, "GFLOP", share, "of the matmul limit"),
    ]


class WindowTimer:
    """Draws one batch of arbitrary windows at a call."""

    def __init__(self, preset: Preset) -> None:
        self._generator = Generator(preset).eval()
        features, base, mel, heard = example(preset, Hearing(), torch.device("cpu"))
        self._inputs = features, base, mel[:, 0], heard

    def __call__(self) -> None:
        with torch.inference_mode():
            self._generator(*self._inputs)


@dataclass
class Stages:
    """Seconds that each stage took in all, one frame or batch at a time in one thread."""

    seconds: dict[str, float]

    def timed(self, name: str, work: Callable[[], Made]) -> Made:
        start = time.perf_counter()
        made = work()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        return made


def _whole(stage: Stage, shot: Shot, preset: Preset, count: int) -> list[Figure]:
    actor = stage.untaught(preset)
    renderer = NeuralTextureRenderer.load(actor, ActorInfo.load(actor), stage.head)
    first = shot.info.first_frame + _MIDDLE
    frames = range(first, first + count)
    folder = stage.folder / preset.name
    seconds = _stages(stage, shot, renderer, frames, folder)
    slowest = max(seconds, key=seconds.__getitem__)
    report = render_shot(
        shot=shot, take=shot.take("tracked"), actor_path=actor, head=stage.head, frames=frames, out=folder / "out",
        settings={"preview": False}, renderer=renderer,
    )  # fmt: skip
    # When each plate was written, by the disk: the render tells of those of a batch only once the next one is drawn.
    stood = sorted(plate.stat().st_mtime for plate in report.folder.glob("*.exr"))
    begun = preset.batch_windows  # the first batch fills the stages: checks, references, MediaPipe's start
    whole = (stood[-1] - stood[begun - 1]) / (count - begun)
    name, total = f"render.{preset.name}", sum(seconds.values())
    return [
        *(
            Figure(f"{name}.{part}", 1e3 * took / count, "ms", took / total, "of all stages")
            for part, took in seconds.items()
        ),
        Figure(f"{name}.frame", 1e3 * whole, "ms", total / count / whole, "times as fast as one stage after another"),
        Figure(
            f"{name}.rate", 1.0 / whole, "frames/s", seconds[slowest] / count / whole, f"of {slowest} alone (goal 0.8)"
        ),
    ]


def _stages(stage: Stage, shot: Shot, renderer: NeuralTextureRenderer, frames: range, folder: Path) -> dict[str, float]:
    """Seconds of each stage over `frames`, everything warm."""
    take, segmenter, stages = shot.take("tracked"), load_segmenter(), Stages({})
    list(renderer.render(shot, take, frames[:1], ShotPlates(shot).net, never))
    with ShotPlates(shot, shot.info.frame_count) as plates:
        for frame in renderer.frames_read(shot, frames[0]):
            plates.plate(frame)  # the way to the first frame is no part of what a frame costs
        for frame in frames:
            stages.timed("decode", lambda at=frame: plates.plate(at))
        for frame in shot.frames:
            plates.plate(frame)
        prepared = stages.timed("prepare", lambda: list(renderer.batches(shot, take, frames, plates.net, never)))
        drawn = [frame for batch in prepared for frame in stages.timed("draw", lambda at=batch: renderer.drawn(at))]
        for rendered in drawn:
            plate, index = plates.plate(rendered.frame), shot.index(rendered.frame)
            with fixed_threads(1):
                composite = stages.timed(
                    "composite",
                    lambda plate=plate, rendered=rendered, index=index: compose(
                        plate, rendered, shot.crop[index], head=stage.head, track=shot.track, take=take, index=index,
                        segmenter=segmenter, settings=CompositeSettings(), seed="bench",
                    ),
                )  # fmt: skip
            parts = layers(composite, plate)
            stages.timed("write", lambda p=parts, w=plate.windows: write_exr(folder / "stage.exr", p, w, {}))
    segmenter.close()
    return stages.seconds
