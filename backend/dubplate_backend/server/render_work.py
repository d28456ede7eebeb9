# SPDX-License-Identifier: Apache-2.0
"""A request to render, checked against what is on disk, and the rendering of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from dubplate_backend.rendering import RenderSettings, render_shot
from dubplate_backend.server.assets import Assets
from dubplate_backend.server.models import Models
from dubplate_shared.errors import InvalidInput, OutOfMemory
from dubplate_shared.files import sha256_file
from dubplate_shared.frames import parse_frames
from dubplate_shared.messages import JobSubmit
from dubplate_shared.progress import ProgressCallback, Stop
from dubplate_shared.shot import Shot
from dubplate_shared.take import TRACKED, Take

MOST_FRAMES = 100_000  # over an hour of one shot: a request for more would only fill the memory

Written = Callable[[int, str, str], None]  # frame, path beneath the output root, sha256 of the file


@dataclass(frozen=True)
class RenderWork:
    """Everything render_shot wants. frames: numbers, checked against the shot."""

    shot: Shot
    take: Take
    actor_path: Path
    models: Models
    frames: tuple[int, ...]
    out: Path
    output_root: Path
    version: int
    settings: RenderSettings

    def run(self, *, progress: ProgressCallback, written: Written, stop: Stop) -> str:
        """Render, telling each plate as it stands on disk. Returns the manifest's path beneath the output root.

        Raises Cancelled where `stop` says so, OutOfMemory, else what render_shot raises.
        """
        try:
            report = render_shot(
                shot=self.shot,
                take=self.take,
                actor_path=self.actor_path,
                head=self.models.head,
                renderer=self.models.renderer(self.actor_path),
                frames=self.frames,
                out=self.out,
                version=self.version,
                progress=progress,
                stop=stop,
                settings=self.settings,
                written=lambda frame, path: written(frame, self._beneath_root(path), sha256_file(path)),
            )
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise OutOfMemory(
                f"The memory of {self.models.device} did not suffice for {self.shot.info.name}.",
                hint="Close other programs that use it, or use an actor of a smaller preset.",
            ) from error
        return self._beneath_root(report.manifest)

    def _beneath_root(self, path: Path) -> str:
        return path.relative_to(self.output_root).as_posix()


def prepare(request: JobSubmit, *, assets: Assets, models: Models) -> RenderWork:
    """Check a request as far as can be told before rendering. Raises InvalidInput, HeadModelMismatch."""
    shot = models.shot(assets.shot(request.shot))
    actor_path = assets.actor(request.actor)
    models.actor(actor_path)
    frames = parse_frames(request.frames, most=MOST_FRAMES)
    shot.indices(frames)
    return RenderWork(
        shot=shot,
        take=take_of(request, shot),
        actor_path=actor_path,
        models=models,
        frames=frames,
        out=assets.output(request.output),
        output_root=assets.output_root.resolve(),
        version=request.version,
        settings=RenderSettings.of(request.settings),
    )


def take_of(request: JobSubmit, shot: Shot) -> Take:
    """The take to render: the shot's own of that name, or the curves sent, laid over `base_take`.

    Raises InvalidInput where the curves do not cover `take_frames`.
    """
    if request.expression is None or request.jaw is None:
        return shot.take(request.take)
    same_name = request.take if request.take in shot.take_names() else TRACKED
    base = shot.take(request.base_take or same_name)
    named = parse_frames(request.take_frames, most=MOST_FRAMES) if request.take_frames else shot.frames
    rows = shot.indices(named)
    if len(rows) != len(request.expression):
        raise InvalidInput(
            f"{len(request.expression)} rows of curves came for {len(rows)} frames.",
            hint="Send one row for each frame of take_frames; without take_frames, for each frame of the shot.",
        )
    eyes = base.eyes
    if request.eyes is not None:
        eyes = _laid_over(shot.track.eyes if eyes is None else eyes, rows, request.eyes)
    origin = {**base.origin, "kind": "client", "base": base.name}
    if base.name == TRACKED and shot.info.audio:  # what was filmed sounds as it did
        origin["audio"] = shot.info.audio[0]
    return replace(
        base,
        name=request.take,
        expression=_laid_over(base.expression, rows, request.expression),
        jaw=_laid_over(base.jaw, rows, request.jaw),
        eyes=eyes,
        origin=origin,
    )


def _laid_over(base: np.ndarray, rows: list[int], curves: np.ndarray) -> np.ndarray:
    whole = np.array(base, np.float32)
    whole[rows] = curves
    return whole
