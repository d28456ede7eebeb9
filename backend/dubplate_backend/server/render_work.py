# SPDX-License-Identifier: Apache-2.0
"""A request to render, checked against what is on disk, and the rendering of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dubplate_backend.jobs.job import Finished, WrittenPlate
from dubplate_backend.jobs.job import Written as Told
from dubplate_backend.plates.manifest import FrameRecord, FrameStatus
from dubplate_backend.plates.store import PlateStore
from dubplate_backend.rendering import RenderSettings, render_shot
from dubplate_backend.rendering.memory import told_plainly
from dubplate_backend.rendering.reuse import Reuse
from dubplate_backend.server.assets import Assets
from dubplate_backend.server.models import Models
from dubplate_shared.errors import InvalidInput
from dubplate_shared.frames import parse_frames
from dubplate_shared.job_messages import JobSubmit
from dubplate_shared.performance import Performance
from dubplate_shared.plate_names import version_folder
from dubplate_shared.progress import ProgressCallback, Stop
from dubplate_shared.shot import Shot
from dubplate_shared.take import TRACKED, Take

MOST_FRAMES = 100_000  # over an hour of one shot: a request for more would only fill the memory


@dataclass(frozen=True)
class RenderWork:
    """Everything render_shot wants. frames: numbers, checked against the shot.  store: plates by key."""

    shot: Shot
    take: Take
    actor_path: Path
    models: Models
    store: PlateStore | None
    frames: tuple[int, ...]
    out: Path
    output_root: Path
    version: int
    settings: RenderSettings

    def run(
        self, *, known: Mapping[int, WrittenPlate], progress: ProgressCallback, written: Told, stop: Stop, rest: Stop
    ) -> Finished:
        """Render, telling of plates as they stand on disk.  known: those that an earlier run told of.

        Raises Cancelled where `stop` or `rest` say so, OutOfMemory, ConsentMissing, else what render_shot raises.
        """
        folder = self._beneath_root(version_folder(self.out, self.version))

        def tell(records: Mapping[int, FrameRecord], kept: bool) -> None:
            written(tuple(_told(frame, record, folder, kept) for frame, record in records.items()))

        told = {frame: _record(plate, self.take.name) for frame, plate in known.items() if _lies_in(plate, folder)}
        with told_plainly(self.models.device, self.shot.info.name):
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
                rest=rest,
                settings=self.settings,
                written=tell,
                reuse=Reuse(self.models.hashes, self.store, told),
            )
        return Finished(self._beneath_root(report.manifest), report.stages)

    def _beneath_root(self, path: Path) -> str:
        return path.relative_to(self.output_root).as_posix()


def prepare(
    request: JobSubmit, user: str = "", *, assets: Assets, models: Models, store: PlateStore | None = None
) -> RenderWork:
    """Check a request as far as can be told before rendering.  user: who asks.

    Raises InvalidInput, NotAllowed, ConsentMissing, HeadModelMismatch.
    """
    shot = models.shot(assets.shot(request.shot))
    actor_path = assets.actor(request.actor, user)
    models.actor(actor_path)
    frames = parse_frames(request.frames, most=MOST_FRAMES)
    shot.indices(frames)
    return RenderWork(
        shot=shot,
        take=take_of(request, shot),
        actor_path=actor_path,
        models=models,
        store=store,
        frames=frames,
        out=assets.output(request.output),
        output_root=assets.output_root.resolve(),
        version=request.version,
        settings=RenderSettings.of(request.settings),
    )


def take_of(request: Performance, shot: Shot) -> Take:
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


def _told(frame: int, record: FrameRecord, folder: str, kept: bool) -> WrittenPlate:
    path = f"{folder}/{record.file}"
    return WrittenPlate(frame, path, record.sha256, record.input_hash, str(record.status), kept)


def _record(plate: WrittenPlate, take: str) -> FrameRecord:
    name = plate.path.rpartition("/")[2]
    return FrameRecord(name, plate.sha256, plate.input_hash, FrameStatus(plate.status), take)


def _lies_in(plate: WrittenPlate, folder: str) -> bool:
    return plate.path.rpartition("/")[0] == folder
