# SPDX-License-Identifier: Apache-2.0
"""Draws, composites and writes the frames of a plan, one at a time.

Memory does not grow with the range.  A stop leaves the finished plates whole, and the next render goes on from there.
What another render has drawn of the same inputs is taken from the store instead.
"""

from __future__ import annotations

import gc
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
from dubplate_backend.plates.exr import remove_abandoned, write_exr
from dubplate_backend.plates.manifest import INPUT_HASH, NAME, FrameRecord, FrameStatus, Manifest
from dubplate_backend.plates.source import Plate, ShotPlates
from dubplate_backend.renderers.base import RenderedFrame, Renderer
from dubplate_backend.renderers.load import load_renderer
from dubplate_backend.renderers.neural_texture.threads import fixed_threads
from dubplate_backend.renderers.neural_texture.weights import TEXTURE_FILE
from dubplate_backend.renderers.presets import Preset
from dubplate_backend.rendering.finishing import BATCHES_WAITING, SharedSegmenter, finishing_threads, in_order
from dubplate_backend.rendering.memory import FRAME_FAILED, MemoryPatience, free_caches, is_out_of_memory
from dubplate_backend.rendering.mouth_resolution import MouthResolution
from dubplate_backend.rendering.pictures import Pictures
from dubplate_backend.rendering.plan import RenderPlan, check_disk, check_inputs, make_plan
from dubplate_backend.rendering.report import RenderReport
from dubplate_backend.rendering.reuse import Reuse
from dubplate_backend.rendering.settings import RenderSettings
from dubplate_backend.rendering.stage_times import StageTimes
from dubplate_shared import __version__
from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import Cancelled, FramesFailed, InvalidInput, OutputNotWritable
from dubplate_shared.files import sha256_file
from dubplate_shared.frames import format_frames
from dubplate_shared.plate_names import plate_path, version_folder
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check, never, silent
from dubplate_shared.shot import Shot
from dubplate_shared.take import Take

FINISHING_TORCH_THREADS = 1  # one frame each: several are finished at once

PlatesWritten = Callable[[Mapping[int, FrameRecord], bool], None]  # by frame, in the version's folder; drawn before?


def plates_in_flight(preset: Preset) -> int:
    """Plates that a renderer may ask for between a frame's own, at the end of one batch's windows, and the compositing
    of that frame: two batches more, with as many references.  What is let go of too early is decoded again, which for
    video may go on from a keyframe far back."""
    return 4 * preset.batch_windows + preset.window - 1


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
    rest: Stop = never,
    settings: RenderSettings | Mapping[str, Any] | None = None,
    written: PlatesWritten | None = None,
    renderer: Renderer | None = None,
    reuse: Reuse | None = None,
) -> RenderReport:
    """Render frames of a take to OUT/v001/NAME_dub_v001.####.exr, with manifest.json and preview.mp4 beside them.

    frames: numbers within the shot.  stop: end before the next frame.  rest: end before the next batch, with all that
    was drawn finished, so that nothing is drawn twice when it goes on.  written: told of plates as they stand on disk,
    and whether an earlier render had drawn them.
    renderer: the actor's, where it is loaded already.  reuse: what earlier renders have left.
    Raises InvalidInput (frames outside the shot, plates missing), HeadModelMismatch, OutputNotWritable, OutOfMemory,
    Cancelled, and FramesFailed where some frames could not be drawn or composited; all others are valid then.
    """
    started = time.monotonic()
    times, reuse = StageTimes(), reuse or Reuse()
    settings = RenderSettings.of(settings)
    check_inputs(shot, take, actor_path, head, frames)
    renderer = renderer or load_renderer(actor_path, head)
    renderer = renderer.with_hearing(settings.hearing(renderer.hearing))
    segmenter = SharedSegmenter(load_segmenter(settings.segmentation))
    with ShotPlates(shot, plates_in_flight(renderer.preset), reuse.hashes) as plates, closing(segmenter):
        progress(Progress(0, len(frames), "checking"))
        with times.stage("checking"):
            plan = make_plan(shot, take, renderer, plates, segmenter.key(), frames, Path(out), version, settings, reuse)
        check_disk(version_folder(out, version), len(plan.to_draw) + len(plan.to_pass), shot)
        run = _Run(
            shot, take, Path(actor_path), ActorInfo.load(actor_path), head, renderer, plates, segmenter, plan,
            Path(out), version, settings, progress, stop, rest, written or (lambda plates, kept: None), reuse, times,
        )  # fmt: skip
        try:
            run.plates_of_plan()
        finally:
            run.save_manifest()
        preview, sheet = run.pictures()
    report = RenderReport(
        drawn=tuple(frame for frame in plan.to_draw if frame in run.records and frame not in run.reused),
        reused=tuple(sorted(run.reused)),
        skipped=tuple(plan.standing),
        passed_through=tuple(frame for frame in plan.to_pass if frame in run.records and frame not in run.reused),
        failed=run.failed,
        seconds=time.monotonic() - started,
        folder=run.folder,
        manifest=run.folder / NAME,
        preview=preview,
        sheet=sheet,
        mouth=MouthResolution.of(shot, head, renderer.preset),
        stages=times.seconds(),
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
    actor_path: Path
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
    rest: Stop
    written: PlatesWritten
    reuse: Reuse
    times: StageTimes
    records: dict[int, FrameRecord] = field(default_factory=dict)
    reused: set[int] = field(default_factory=set)
    failed: dict[int, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return version_folder(self.out, self.version)

    def plates_of_plan(self) -> None:
        """Draw and write what the plan asks for. Raises Cancelled, OutputNotWritable, what the renderer raises."""
        remove_abandoned(self.folder)
        if self.plan.standing:
            self.written(self.plan.standing, True)
        self._take_stored()
        self._finish_all((frame, None) for frame in self._left(self.plan.to_pass))
        patience = MemoryPatience(self.renderer.preset.batch_windows)
        while left := self._left(self.plan.to_draw):
            wanted = left[:1] if patience.alone else left
            check(self.rest)
            try:
                self._finish_all((drawn.frame, drawn) for drawn in self._drawn(wanted))
                patience.went_well()
            except _PlateLost as lost:
                self._give_up_frames_of(lost)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                free_caches()
                given_up = patience.failed(self._left(self.plan.to_draw), error)
                if given_up is not None:
                    self.failed[given_up] = FRAME_FAILED

    def _left(self, frames: Sequence[int]) -> tuple[int, ...]:
        return tuple(frame for frame in frames if frame not in self.records and frame not in self.failed)

    def _take_stored(self) -> None:
        """Copy the plates that the store has; those that prove damaged are drawn like the others."""
        for frame in sorted(self.plan.stored):
            check(self._stop_or_rest)
            assert self.reuse.store is not None
            with self.times.stage("reusing"):
                record = self.reuse.store.take(self.plan.keys[frame], self._path(frame))
            if record is not None:
                self.reused.add(frame)
                self._stands(frame, record, kept=True)

    def _drawn(self, frames: Sequence[int]) -> Iterator[RenderedFrame]:
        """As the renderer yields them, up to a rest; the time is what is waited for it."""
        drawn = self.renderer.render(self.shot, self.take, frames, self._net, self._stop_or_rest)
        while True:
            try:
                with self.times.stage("drawing"):
                    frame = next(drawn, None)
            except Cancelled:
                check(self.stop)
                return
            if frame is None:
                return
            yield frame

    def _stop_or_rest(self) -> bool:
        return self.stop() or self.rest()

    def _finish_all(self, frames: Iterator[tuple[int, RenderedFrame | None]]) -> None:
        """Composite and write frames as they come, in a few threads; a frame that cannot be composited fails alone."""
        threads = finishing_threads(self.shot.info.height, self.shot.info.width)
        waiting = BATCHES_WAITING * self.renderer.preset.batch_windows
        with closing(in_order(self._finish, self._with_plates(frames), threads=threads, waiting=waiting)) as finished:
            for frame, outcome in finished:
                if isinstance(outcome, FrameRecord):
                    self._keep(frame, outcome)
                    self._stands(frame, outcome)
                else:
                    self.failed[frame] = outcome
                    self._tell()

    def _stands(self, frame: int, record: FrameRecord, *, kept: bool = False) -> None:
        self.records[frame] = record
        self.written({frame: record}, kept)
        self._tell()

    def _tell(self) -> None:
        done = len(self.plan.standing) + len(self.records) + len(self.failed)
        self.progress(Progress(done, len(self.plan.frames), "rendering"))

    def _keep(self, frame: int, record: FrameRecord) -> None:
        """For whoever asks for the same frame later."""
        if self.reuse.store is not None:
            with self.times.stage("keeping"):
                texture = self.reuse.hashes.sha256(self.actor_path / TEXTURE_FILE)
                path, key = self._path(frame), self.plan.keys[frame]
                self.reuse.store.add(key, path, record, shot=self.shot.info.name, actor=texture)

    def _with_plates(self, frames: Iterator[tuple[int, RenderedFrame | None]]) -> Iterator[_Unfinished]:
        """Each frame with its plate, taken while it is still in memory, or with why there is none."""
        for frame, rendered in frames:
            check(self.stop)
            try:
                with self.times.stage("reading"):
                    plate = self.plates.plate(frame)
                yield _Unfinished(frame, rendered, plate, "")
            except InvalidInput as error:
                yield _Unfinished(frame, rendered, None, error.message)

    def _net(self, frame: int) -> np.ndarray:
        """A plate for the renderer. Raises _PlateLost where it cannot be read."""
        try:
            return self.plates.net(frame)
        except InvalidInput as error:
            raise _PlateLost(frame, error.message) from error

    def _give_up_frames_of(self, lost: _PlateLost) -> None:
        """The frames still to be drawn that need the lost plate have failed."""
        left = self._left(self.plan.to_draw)
        needing = {frame for frame in left if lost.frame in self.renderer.frames_read(self.shot, frame)}
        if not needing:
            raise InvalidInput(lost.message, hint="Mend that plate and run the same command again.")
        self.failed.update(dict.fromkeys(sorted(needing), lost.message))

    def _finish(self, given: _Unfinished) -> tuple[int, FrameRecord | str]:
        """Composite and write one frame, in any thread: its record, or why there is none."""
        try:
            return given.frame, self._written_plate(given)
        except InvalidInput as error:
            return given.frame, error.message
        except MemoryError:
            gc.collect()
        try:
            return given.frame, self._written_plate(given)
        except MemoryError:
            return given.frame, FRAME_FAILED

    def _written_plate(self, given: _Unfinished) -> FrameRecord:
        plate, frame = given.plate, given.frame
        if plate is None:
            raise InvalidInput(given.lost)
        with self.times.stage("compositing"), fixed_threads(FINISHING_TORCH_THREADS):
            composite = self._composite(plate, given.rendered)
        status = FrameStatus.PASSTHROUGH if given.rendered is None else FrameStatus.DRAWN
        path = self._path(frame)
        with self.times.stage("writing"):
            write_exr(path, layers(composite, plate), plate.windows, self._attributes(plate, status))
            return FrameRecord(path.name, sha256_file(path), self.plan.keys[frame], status, self.take.name)

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
            "actor_texture": self.reuse.hashes.sha256(self.actor_path / TEXTURE_FILE),
            "consent": str(self.actor.consent.get("status", "not recorded")),
            "renderer": {"name": self.actor.renderer, "preset": self.actor.preset, "key": self.plan.renderer_key},
            "head": {"kind": self.head.kind, "sha256": self.head.sha256},
            "settings": asdict(self.settings.composite),
            "tool": {"name": "Dubplate", "version": __version__},
        }
        if not self.records and not self.plan.standing:
            return
        with suppress(OutputNotWritable):  # a full disk has already stopped the render, and the plates know themselves
            before = Manifest.load(self.folder)
            known = before.merged(facts, {**self.plan.standing, **self.records}).completed(self.folder)
            if known != before:
                known.save(self.folder)

    def pictures(self) -> tuple[Path | None, Path | None]:
        """preview.mp4 and sheet.png of the frames asked for, as far as they are wanted."""
        frames = [frame for frame in self.plan.frames if frame not in self.failed]
        pictures = Pictures(
            self.shot, self.take, self.plates, self.plan.keys, self.out, self.version, self.progress, self.stop
        )
        with self.times.stage("pictures"):
            preview = pictures.preview(frames) if self.settings.preview and frames else None
            sheet = pictures.sheet(frames) if self.settings.sheet and frames else None
        return preview, sheet

    def _path(self, frame: int) -> Path:
        return plate_path(self.out, self.shot.info.name, self.version, frame)
