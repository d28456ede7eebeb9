# SPDX-License-Identifier: Apache-2.0
"""Self-reenactment: held-out frames drawn from their own tracked parameters and set against what was filmed.

Per shot, beside each other: the mean training crop and the training frame with the nearest lips, which a drawn face has
to beat; each actor's crop under its matte alone; and the same with all of post-processing (DfE 3.7, table 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from dubplate_backend.compositing.background import Segmenter, load_segmenter
from dubplate_backend.compositing.composite import CompositeSettings, compose, in_array
from dubplate_backend.compositing.matte import soft_matte
from dubplate_backend.evaluation.held_out import Baselines, HeldOutFrames, held_out_frames, make_baselines
from dubplate_backend.evaluation.scores import Scores
from dubplate_backend.evaluation.study import StudyClip, write_study
from dubplate_backend.evaluation.study_movies import FILMED, StudyMovies
from dubplate_backend.evaluation.watch import Filmed, Networks, Pictures, Watch, watched_crop
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.source import Plate, ShotPlates
from dubplate_backend.raster.crop_warp import to_plate
from dubplate_backend.renderers.base import RenderedFrame, Renderer
from dubplate_backend.renderers.load import load_renderer
from dubplate_backend.renderers.neural_texture.crops import crop_picture
from dubplate_backend.renderers.neural_texture.threads import fixed_threads
from dubplate_backend.tracking.faces import FaceFinder
from dubplate_backend.training.metrics import Tally, mouth_area
from dubplate_shared.actor import ActorInfo
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check, never, silent
from dubplate_shared.shot import Shot
from dubplate_shared.take import TRACKED

MEAN, NEAREST = "mean training crop", "nearest training lips"
BARE = ", no post-processing"
SAMPLES = 6  # frames of a shot that are kept as pictures


@dataclass(frozen=True)
class Contender:
    """An actor under the name that tables give it."""

    name: str
    folder: Path
    info: ActorInfo

    @classmethod
    def of(cls, folder: Path, name: str | None = None) -> Contender:
        """Raises InvalidInput where the folder is no actor."""
        return cls(name or folder.stem, folder, ActorInfo.load(folder))


@dataclass(frozen=True)
class SideBySide:
    """One held-out frame: name of a method -> uint8 [S, S, 3] around the crop; FILMED is among them."""

    shot: str
    frame: int
    pictures: dict[str, np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """rows: per shot and method.   samples: for looking.   facts: what a reader has to know, JSON-able."""

    rows: tuple[Scores, ...]
    samples: tuple[SideBySide, ...]
    facts: dict[str, Any] = field(default_factory=dict)


def plan_evaluation(
    shots: Sequence[Shot], actors: Sequence[Contender], head: HeadModel, frames: Sequence[int] | None
) -> dict[str, HeldOutFrames]:
    """By shot, the frames that would be scored. Raises InvalidInput, HeadModelMismatch."""
    for shot in shots:
        head.require(shot.info.head.sha256, f"Shot {shot.info.name}")
    for actor in actors:
        head.require(actor.info.head.sha256, f"Actor {actor.name}")
    return {shot.info.name: held_out_frames(shot, [actor.info for actor in actors], frames) for shot in shots}


def evaluate_shots(
    shots: Sequence[Shot],
    actors: Sequence[Contender],
    *,
    head: HeadModel,
    frames: Sequence[int] | None = None,
    networks: Networks | None = None,
    segmentation: Path | None = None,
    study: Path | None = None,
    progress: ProgressCallback = silent,
    stop: Stop = never,
) -> Evaluation:
    """Score actors on the held-out frames of shots.

    frames: numbers to score instead of the usual last share.  study: folder that gets a blind choice between the actors
    and what was filmed.  Raises InvalidInput, HeadModelMismatch, FootageError,
    Cancelled.
    """
    planned = plan_evaluation(shots, actors, head, frames)
    networks = networks or Networks()
    rows: list[Scores] = []
    samples: list[SideBySide] = []
    clips: list[StudyClip] = []
    with closing(load_segmenter(segmentation)) as segmenter, TemporaryDirectory(prefix="dubplate-study-") as movies:
        for shot in shots:
            held = planned[shot.info.name]
            filming = StudyMovies(shot, held) if study is not None else None
            with ShotPlates(shot) as plates:
                judge = _Judge(shot, held, plates, head, segmenter, networks, filming, progress, stop)
                rows += judge.rows(actors)
                samples += judge.samples()
                if filming is not None:
                    progress(Progress(len(clips), len(shots), "study"))
                    clips.append(filming.clip(Path(movies), plates, stop))
        segmenter_key = segmenter.key()
        if study is not None:
            write_study(study, clips)
    progress(Progress(1, 1, "done"))
    facts = {
        "frames": {
            name: {"scored": len(held.scored), "left to learn from": len(held.train), "learned by": held.learned_by}
            for name, held in planned.items()
        },
        "segmentation": segmenter_key,
        "inception": None if networks.inception is None else networks.inception.sha256,
        "inception_is_the_published": networks.inception is not None and networks.inception.published,
        "i3d": None if networks.video is None else networks.video.sha256,
        "actors": {actor.name: dict(actor.info.metrics) for actor in actors},
    }
    return Evaluation(tuple(rows), tuple(samples), facts)


class _Judge:
    """One shot under evaluation."""

    def __init__(
        self,
        shot: Shot,
        frames: HeldOutFrames,
        plates: ShotPlates,
        head: HeadModel,
        segmenter: Segmenter,
        networks: Networks,
        movies: StudyMovies | None,
        progress: ProgressCallback,
        stop: Stop,
    ) -> None:
        self.shot, self.frames, self.plates, self.head = shot, frames, plates, head
        self.segmenter, self.networks, self.movies = segmenter, networks, movies
        self.progress, self.stop = progress, stop
        self.take = shot.take(TRACKED)
        chosen = np.linspace(0, len(frames.scored) - 1, min(SAMPLES, len(frames.scored))).astype(int)
        self._kept: dict[int, dict[str, np.ndarray]] = {frames.scored[place]: {} for place in np.unique(chosen)}

    def rows(self, actors: Sequence[Contender]) -> list[Scores]:
        """The baselines first, in the first actor's crop, then each actor without and with post-processing."""
        found: list[Scores] = []
        for actor in actors:
            renderer = load_renderer(actor.folder, self.head).without_references(self._numbers())
            size = renderer.preset.crop_size
            baselines = None
            if not found:
                baselines = make_baselines(self.shot, self.frames, self.plates.net, size, self.progress, self.stop)
            found += self._scores(actor.name, renderer, size, baselines)
        return found

    def samples(self) -> list[SideBySide]:
        first = self.shot.info.first_frame
        return [SideBySide(self.shot.info.name, first + index, kept) for index, kept in sorted(self._kept.items())]

    def _scores(self, name: str, renderer: Renderer, size: int, baselines: Baselines | None) -> list[Scores]:
        crops = {name: Tally(), **({MEAN: Tally(), NEAREST: Tally()} if baselines else {})}
        finished = {method: Watch(self.networks) for method in ([MEAN, NEAREST] if baselines else [])}
        finished |= {name + BARE: Watch(self.networks), name: Watch(self.networks)}
        reference = Pictures(self.networks)
        with FaceFinder() as finder, fixed_threads(renderer.preset.threads):
            for done, rendered in enumerate(self._drawn(renderer)):
                check(self.stop)
                index = self.shot.index(rendered.frame)
                plate = self.plates.plate(rendered.frame)
                drawn = {name: _in_eight_bits(rendered.rgb)}
                if baselines:
                    drawn |= {MEAN: baselines.mean, NEAREST: baselines.nearest[index]}
                target = crop_picture(plate.net(), self.shot.crop[index], size)
                for method, picture in drawn.items():
                    _tally(crops[method], picture, target, rendered)
                filmed = self._filmed(plate, rendered, index, finder)
                filmed_crop = watched_crop(filmed.net, filmed)
                reference.add(index, filmed_crop)
                self._keep(index, FILMED, filmed_crop)
                if self.movies is not None and baselines:  # once for all actors
                    self.movies.add(FILMED, index, plate.rgb, plate)
                for method, shown in self._finished(plate, filmed, rendered, index, drawn, name):
                    points = None if filmed.place is None else finder.at(_in_eight_bits(shown), filmed.place)
                    finished[method].add(shown, points, filmed, filmed_crop)
                    self._keep(index, method, watched_crop(shown, filmed))
                self.progress(Progress(done + 1, len(self.frames.scored), f"{self.shot.info.name}: {name}"))
        rows = []
        for method, watch in finished.items():
            inside = crops[method.removesuffix(BARE)].score()
            figures = {"psnr": inside.psnr, "ssim": inside.ssim, "mouth_psnr": inside.mouth_psnr}
            figures |= watch.figures(reference)
            rows.append(Scores(self.shot.info.name, method, len(self.frames.scored), size, **figures))
        return rows

    def _drawn(self, renderer: Renderer) -> Iterator[RenderedFrame]:
        return renderer.render(self.shot, self.take, self._numbers(), self.plates.net, self.stop)

    def _numbers(self) -> list[int]:
        return [self.shot.info.first_frame + index for index in self.frames.scored]

    def _filmed(self, plate: Plate, rendered: RenderedFrame, index: int, finder: FaceFinder) -> Filmed:
        net = plate.colour.visible(plate.rgb)
        matrix = in_array(self.shot.crop[index], plate)
        box, matte = soft_matte(rendered.alpha > 0, matrix, *net.shape[:2])
        mouth = rendered.regions["lips"] | rendered.regions["mouth"]
        _, lips = to_plate(mouth.astype(np.float32), matrix, *net.shape[:2])
        picture = _in_eight_bits(net)
        found = finder.follow(picture)
        place = None if found is None else found[0][:, :2]
        points = None if place is None else finder.at(picture, place)
        return Filmed(index, net, box, matrix, place, points, (matte >= 1) & (lips < 0.01), matte)

    def _finished(
        self,
        plate: Plate,
        filmed: Filmed,
        rendered: RenderedFrame,
        index: int,
        drawn: dict[str, np.ndarray],
        name: str,
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Every way's finished frame, [H, W, 3] 0..1."""
        for method in (MEAN, NEAREST):
            if method in drawn:
                _, laid = to_plate(drawn[method].astype(np.float32) / 255, filmed.matrix, *filmed.net.shape[:2])
                shown = filmed.net.copy()
                shown[filmed.box.slices] += filmed.matte[..., None] * (laid - shown[filmed.box.slices])
                yield method, np.clip(shown, 0.0, 1.0)
        for method, settings in ((name + BARE, CompositeSettings.none()), (name, CompositeSettings())):
            made = compose(
                plate,
                rendered,
                self.shot.crop[index],
                head=self.head,
                track=self.shot.track,
                take=self.take,
                index=index,
                segmenter=self.segmenter,
                settings=settings,
                seed=f"{self.shot.info.name} {plate.frame}",
            )
            if self.movies is not None and method == name:
                self.movies.add(name, index, made.rgb, plate)
            yield method, plate.colour.visible(made.rgb)

    def _keep(self, index: int, method: str, crop: np.ndarray) -> None:
        if index in self._kept:
            self._kept[index].setdefault(method, _in_eight_bits(crop))


def _tally(tally: Tally, picture: np.ndarray, target: np.ndarray, rendered: RenderedFrame) -> None:
    shown, wanted = (torch.from_numpy(p.astype(np.float32) / 255).permute(2, 0, 1)[None] for p in (picture, target))
    mouth = torch.from_numpy(rendered.regions["lips"] | rendered.regions["mouth"])[None]
    tally.add(shown, wanted, torch.from_numpy(rendered.mask)[None], mouth_area(mouth))


def _in_eight_bits(picture: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(picture, 0.0, 1.0) * 255).astype(np.uint8)
