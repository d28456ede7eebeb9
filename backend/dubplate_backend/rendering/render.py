# SPDX-License-Identifier: Apache-2.0
"""Draws, composites and writes the frames of a plan, one at a time.

Memory does not grow with the range.  A stop leaves the finished plates whole, and the next render goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dubplate_backend.compositing.background import Segmenter, load_segmenter
from dubplate_backend.compositing.composite import Composite, compose, layers, pass_through
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.exr import read_first_part, write_exr
from dubplate_backend.plates.manifest import INPUT_HASH, NAME, FrameRecord, FrameStatus, Manifest
from dubplate_backend.plates.preview import as_seen, contact_sheet, write_preview
from dubplate_backend.plates.source import Plate, ShotPlates
from dubplate_backend.renderers.base import RenderedFrame, Renderer
from dubplate_backend.renderers.load import load_renderer
from dubplate_backend.renderers.neural_texture.threads import fixed_threads
from dubplate_backend.renderers.presets import Preset
from dubplate_backend.rendering.finishing import BATCHES_WAITING, SharedSegmenter, finishing_threads, in_order
from dubplate_backend.rendering.keys import sound_of
from dubplate_backend.rendering.mouth_resolution import MouthResolution
from dubplate_backend.rendering.plan import RenderPlan, check_disk, check_inputs, make_plan
from dubplate_backend.rendering.report import RenderReport
from dubplate_backend.rendering.settings import RenderSettings
from dubplate_shared import __version__
from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import FramesFailed, InvalidInput, OutputNotWritable
from dubplate_shared.files import sha256_file
from dubplate_shared.frames import format_frames
from dubplate_shared.plate_names import plate_path, version_folder
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check, never, silent
from dubplate_shared.shot import Shot
from dubplate_shared.take import Take

SHEET_ROWS = 6
FINISHING_TORCH_THREADS = 1  # one frame each: several are finished at once

PlateWritten = Callable[[int, Path], None]


def plates_in_flight(preset: Preset) -> int:
    """Plates between the first of a batch that is being finished and the last of the next one's windows."""
    return 2 * preset.batch_windows + preset.window - 1


class _PlateLost(Exception):
    """A plate that the renderer asked for cannot be read."""

    def __init__(self, frame: int, message: str) -> None:
        super().__init__(message)
        self.frame, self.message = frame, message


def render_shot(
    *,
    shot: Shot,
    take: Take,
    actor_path: Path | str,
    head: HeadModel,
    frames: Sequence[int],
    out: Path | str,
    version: int = 1,
    progress: ProgressCallback = silent,
    stop: Stop = never,
    settings: RenderSettings | Mapping[str, Any] | None = None,
    written: PlateWritten | None = None,
    renderer: Renderer | None = None,
) -> RenderReport:
    """Render frames of a take to OUT/v001/NAME_dub_v001.####.exr, with manifest.json and preview.mp4 beside them.

    frames: numbers within the shot.  written: told of each plate as it stands on disk.  renderer: the actor's, where
    it is loaded already.
    Raises InvalidInput (frames outside the shot, plates missing), HeadModelMismatch, OutputNotWritable, Cancelled, and
    FramesFailed where some frames could not be composited; all others are valid then.
    """
    started = time.monotonic()
    settings = RenderSettings.of(settings)
    check_inputs(shot, take, actor_path, head, frames)
    renderer = renderer or load_renderer(actor_path, head)
    renderer = renderer.with_hearing(settings.hearing(renderer.hearing))
    segmenter = SharedSegmenter(load_segmenter(settings.segmentation))
    with ShotPlates(shot, plates_in_flight(renderer.preset)) as plates, closing(segmenter):
        progress(Progress(0, len(frames), "checking"))
        plan = make_plan(shot, take, renderer, plates, segmenter.key(), frames, Path(out), version, settings)
        check_disk(version_folder(out, version), len(plan.to_draw) + len(plan.to_pass), shot)
        run = _Run(
            shot, take, ActorInfo.load(actor_path), head, renderer, plates, segmenter, plan, Path(out), version,
            settings, progress, stop, written or (lambda frame, path: None),
        )  # fmt: skip
        try:
            run.plates_of_plan()
        finally:
            run.save_manifest()
        preview, sheet = run.pictures()
    report = RenderReport(
        drawn=tuple(frame for frame in plan.to_draw if frame in run.records),
        skipped=tuple(plan.standing),
        passed_through=tuple(frame for frame in plan.to_pass if frame in run.records),
        failed=run.failed,
        seconds=time.monotonic() - started,
        folder=run.folder,
        manifest=run.folder / NAME,
        preview=preview,
        sheet=sheet,
        mouth=MouthResolution.of(shot, head, renderer.preset),
    )
    if run.failed:
        first = next(iter(run.failed.items()))
        raise FramesFailed(
            f"Frames {format_frames(tuple(run.failed))} of {shot.info.name} failed; frame {first[0]}: {first[1]}",
            hint="The other frames are complete. Mend what is named and run the same command again.",
        )
    return report


@dataclass(frozen=True)
class _Unfinished:
    """A frame to composite and write.  rendered: None where it passes through.  plate: None where it is `lost`."""

    frame: int
    rendered: RenderedFrame | None
    plate: Plate | None
    lost: str


@dataclass
class _Run:
    """One render under way."""

    shot: Shot
    take: Take
    actor: ActorInfo
    head: HeadModel
    renderer: Renderer
    plates: ShotPlates
    segmenter: Segmenter
    plan: RenderPlan
    out: Path
    version: int
    settings: RenderSettings
    progress: ProgressCallback
    stop: Stop
    written: PlateWritten
    records: dict[int, FrameRecord] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return version_folder(self.out, self.version)

    def plates_of_plan(self) -> None:
        """Draw and write what the plan asks for. Raises Cancelled, OutputNotWritable, what the renderer raises."""
        for frame in self.plan.standing:
            self.written(frame, self._path(frame))
        self._finish_all((frame, None) for frame in self.plan.to_pass)
        waiting = self.plan.to_draw
        while waiting:
            drawn = self.renderer.render(self.shot, self.take, waiting, self._net, self.stop)
            try:
                self._finish_all((rendered.frame, rendered) for rendered in drawn)
            except _PlateLost as lost:
                waiting = self._without(waiting, lost)
            else:
                return

    def _finish_all(self, frames: Iterator[tuple[int, RenderedFrame | None]]) -> None:
        """Composite and write frames as they come, in a few threads; a frame that cannot be composited fails alone."""
        threads = finishing_threads(self.shot.info.height, self.shot.info.width)
        waiting = BATCHES_WAITING * self.renderer.preset.batch_windows
        with closing(in_order(self._finish, self._with_plates(frames), threads=threads, waiting=waiting)) as finished:
            for frame, outcome in finished:
                if isinstance(outcome, FrameRecord):
                    self.records[frame] = outcome
                    self.written(frame, self._path(frame))
                else:
                    self.failed[frame] = outcome
                done = len(self.plan.standing) + len(self.records) + len(self.failed)
                self.progress(Progress(done, len(self.plan.frames), "rendering"))

    def _with_plates(self, frames: Iterator[tuple[int, RenderedFrame | None]]) -> Iterator[_Unfinished]:
        """Each frame with its plate, taken while it is still in memory, or with why there is none."""
        for frame, rendered in frames:
            check(self.stop)
            try:
                yield _Unfinished(frame, rendered, self.plates.plate(frame), "")
            except InvalidInput as error:
                yield _Unfinished(frame, rendered, None, error.message)

    def _net(self, frame: int) -> np.ndarray:
        """A plate for the renderer. Raises _PlateLost where it cannot be read."""
        try:
            return self.plates.net(frame)
        except InvalidInput as error:
            raise _PlateLost(frame, error.message) from error

    def _without(self, waiting: Sequence[int], lost: _PlateLost) -> tuple[int, ...]:
        """The frames still to be drawn that do not need the lost plate; those that do have failed."""
        left = [frame for frame in waiting if frame not in self.records and frame not in self.failed]
        needing = {frame for frame in left if lost.frame in self.renderer.frames_read(self.shot, frame)}
        if not needing:
            raise InvalidInput(lost.message, hint="Mend that plate and run the same command again.")
        self.failed.update(dict.fromkeys(sorted(needing), lost.message))
        return tuple(frame for frame in left if frame not in needing)

    def _finish(self, given: _Unfinished) -> tuple[int, FrameRecord | str]:
        """Composite and write one frame, in any thread: its record, or why there is none."""
        plate, frame = given.plate, given.frame
        if plate is None:
            return frame, given.lost
        try:
            with fixed_threads(FINISHING_TORCH_THREADS):
                composite = self._composite(plate, given.rendered)
        except InvalidInput as error:
            return frame, error.message
        status = FrameStatus.PASSTHROUGH if given.rendered is None else FrameStatus.DRAWN
        path = self._path(frame)
        write_exr(path, layers(composite, plate), plate.windows, self._attributes(plate, status))
        return frame, FrameRecord(path.name, sha256_file(path), self.plan.keys[frame], status, self.take.name)

    def _composite(self, plate: Plate, rendered: RenderedFrame | None) -> Composite:
        index = self.shot.index(plate.frame)
        matrix = self.shot.crop[index]
        if rendered is None:
            return pass_through(plate, matrix)
        return compose(
            plate,
            rendered,
            matrix,
            head=self.head,
            track=self.shot.track,
            take=self.take,
            index=index,
            segmenter=self.segmenter,
            settings=self.settings.composite,
            seed=f"{self.shot.info.name} {plate.frame}",
        )

    def _attributes(self, plate: Plate, status: FrameStatus) -> dict[str, Any]:
        matrix = np.vstack((self.shot.crop[self.shot.index(plate.frame)], (0, 0, 1))).astype(np.float32)
        return {
            **plate.attributes,
            "dubplate:tool": "Dubplate",
            "dubplate:version": __version__,
            INPUT_HASH: self.plan.keys[plate.frame],
            "dubplate:modelSha256": self.plan.renderer_key,
            "dubplate:cropMatrix": matrix,
            "dubplate:frameStatus": str(status),
            "dubplate:take": self.take.name,
        }

    def save_manifest(self) -> None:
        """Add what was finished to the manifest, even when the render was stopped: the next one then knows it."""
        facts = {
            "shot": self.shot.info.name,
            "version": self.version,
            "take": self.take.name,
            "actor": self.actor.name,
            "consent": str(self.actor.consent.get("status", "not recorded")),
            "renderer": {"name": self.actor.renderer, "preset": self.actor.preset, "key": self.plan.renderer_key},
            "head": {"kind": self.head.kind, "sha256": self.head.sha256},
            "settings": asdict(self.settings.composite),
            "tool": {"name": "Dubplate", "version": __version__},
        }
        if not self.records and not self.plan.standing:
            return
        with suppress(OutputNotWritable):  # a full disk has already stopped the render, and the plates know themselves
            known = Manifest.load(self.folder).merged(facts, {**self.plan.standing, **self.records})
            known.completed(self.folder).save(self.folder)

    def pictures(self) -> tuple[Path | None, Path | None]:
        """preview.mp4 and sheet.png of the frames asked for, as far as they are wanted."""
        finished = [frame for frame in self.plan.frames if frame not in self.failed]
        preview = sheet = None
        if self.settings.preview and finished:
            preview = self.folder / "preview.mp4"
            whole = finished == list(range(finished[0], finished[-1] + 1))
            sound = sound_of(self.shot, self.take) or self.shot.audio_path() if whole else None
            start_s = self.shot.index(finished[0]) / self.shot.info.rate.fps
            write_preview(preview, self._seen(finished), self.shot.info.rate, sound, start_s)
        if self.settings.sheet and finished:
            sheet = self.folder / "sheet.png"
            step = max(1, -(-len(finished) // SHEET_ROWS))
            contact_sheet(sheet, [(self.plates.plate(frame), self._path(frame)) for frame in finished[::step]])
        return preview, sheet

    def _seen(self, frames: Sequence[int]) -> Iterator[np.ndarray]:
        for done, frame in enumerate(frames):
            check(self.stop)
            self.progress(Progress(done, len(frames), "preview"))
            yield as_seen(read_first_part(self._path(frame)), self.plates.colour)
        self.progress(Progress(len(frames), len(frames), "preview"))

    def _path(self, frame: int) -> Path:
        return plate_path(self.out, self.shot.info.name, self.version, frame)
