# SPDX-License-Identifier: Apache-2.0
"""One frame drawn for somebody who waits for it: the face crop first, then the plate around it.

It shares the renders' models, but not their batches: a preview may differ from the plate in its last bits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.overrides import TorchFunctionMode

from dubplate_backend.compositing.background import Segmenter, load_segmenter
from dubplate_backend.compositing.composite import CompositeSettings, compose, in_array
from dubplate_backend.plates.display import to_display_half
from dubplate_backend.plates.source import Plate, ShotPlates
from dubplate_backend.raster.crop_warp import crop_box
from dubplate_backend.renderers.base import RenderedFrame, Renderer
from dubplate_backend.rendering.memory import told_plainly, tried_again
from dubplate_backend.rendering.settings import RenderSettings
from dubplate_backend.server.answering import Caller
from dubplate_backend.server.assets import Assets
from dubplate_backend.server.models import Models
from dubplate_backend.server.render_work import take_of
from dubplate_shared.messages import Picture, PreviewDraw, PreviewWarm, Stage
from dubplate_shared.progress import Stop, check
from dubplate_shared.shot import Shot
from dubplate_shared.take import Take

AROUND = 0.1  # of the crop's box: plate pixels composited beside it, so that the join can be judged

Drawn = tuple[Picture, npt.NDArray[Any]]


@dataclass(frozen=True)
class _Scene:
    """What one preview is of.  index: of its frame in the shot."""

    shot: Shot
    take: Take
    index: int
    renderer: Renderer
    composite: CompositeSettings


class PreviewWork:
    """Draws previews; one thread at a time. Plates of the last shot and the background test's network are kept."""

    def __init__(self, assets: Assets, models: Models) -> None:
        self._assets = assets
        self._models = models
        self._plates: tuple[Shot, ShotPlates] | None = None
        self._segmenter: Segmenter | None = None

    def stages(self, request: PreviewDraw, caller: Caller, stop: Stop) -> Iterator[Drawn]:
        """The pictures asked for, in order, as they are looked at. A frame without a face has no crop.

        Raises Cancelled soon after `stop` says so, InvalidInput, NotAllowed, ConsentMissing, HeadModelMismatch,
        OutOfMemory, and what the renderer raises.
        """
        started_s = time.perf_counter()
        with told_plainly(self._models.device, f"a preview of frame {request.frame}"):
            scene = self._scene(request, caller)
            plates, matrix = self._plates_of(scene.shot), scene.shot.crop[scene.index]
            header = Picture(
                0, request.generation, request.frame, Stage.CROP, "", (), tuple(float(each) for each in matrix.flat)
            )

            def drawn(stage: str, pixels: np.ndarray, x: int = 0, y: int = 0) -> Drawn:
                return replace(header, stage=str(stage), x=x, y=y, seconds=time.perf_counter() - started_s), pixels

            rendered = tried_again(lambda: self._rendered(scene, plates, stop))
            if rendered is not None:
                face = to_display_half(plates.colour.decode(rendered.rgb), plates.colour)
                yield drawn(Stage.CROP, np.dstack((face, rendered.alpha.astype(np.float16))))
            if request.upto == Stage.CROP and not request.filmed:
                return
            check(stop)
            whole = plates.plate(request.frame)
            plate = around_face(whole, matrix)  # the rest of a large plate would take most of the time
            if request.filmed:
                yield drawn(Stage.FILMED, to_display_half(plate.rgb, plate.colour), *plate.windows.origin)
            if request.upto == Stage.CROP:
                return
            finished = plate.rgb
            if rendered is not None:
                finished = tried_again(lambda: self._composited(scene, plate, rendered, stop))
            check(stop)
            if request.upto == Stage.PLATE:
                plate, finished = whole, _laid_in(whole, plate, finished)
            yield drawn(request.upto, to_display_half(finished, plate.colour), *plate.windows.origin)

    def warm(self, request: PreviewWarm, caller: Caller, stop: Stop) -> bool:
        """Load what previews of a shot need, and draw one that nobody sees: much is made at first use. False where
        there is no room for it beside what is loaded.

        Raises as `stages`.
        """
        shot, actor = self._assets.shot(request.shot), self._assets.actor(request.actor, caller.user)
        with told_plainly(self._models.device, f"previews of {request.shot}"):
            if not self._models.warm(shot, actor):
                return False
        check(stop)
        unseen = PreviewDraw(1, request.shot, request.actor, request.frame, upto=Stage.COMPOSITE)
        for _ in self.stages(unseen, caller, stop):
            pass
        return True

    def _scene(self, request: PreviewDraw, caller: Caller) -> _Scene:
        shot = self._models.shot(self._assets.shot(request.shot))
        actor_path = self._assets.actor(request.actor, caller.user)
        settings = RenderSettings.of(request.settings)
        index = shot.index(request.frame)
        renderer = self._models.renderer(actor_path)
        renderer = renderer.with_hearing(settings.hearing(renderer.hearing))
        return _Scene(shot, take_of(request, shot), index, renderer, settings.composite)

    def _rendered(self, scene: _Scene, plates: ShotPlates, stop: Stop) -> RenderedFrame | None:
        """The drawn crop; None for a frame without a face."""

        def net(frame: int) -> np.ndarray:
            check(stop)
            return plates.net(frame)

        frame = scene.shot.info.first_frame + scene.index
        frames = scene.renderer.render(scene.shot, scene.take, (frame,), net, stop)
        with _Stoppable(stop), closing(frames):
            return next(frames, None)

    def _composited(self, scene: _Scene, plate: Plate, rendered: RenderedFrame, stop: Stop) -> np.ndarray:
        """The finished pixels of `plate`, a part of the whole one."""
        return compose(
            plate,
            rendered,
            scene.shot.crop[scene.index],
            head=self._models.head,
            track=scene.shot.track,
            take=scene.take,
            index=scene.index,
            segmenter=self._segmented(stop) if scene.composite.background_test else None,
            settings=scene.composite,
            seed=f"{scene.shot.info.name} {plate.frame}",
        ).rgb

    def close(self) -> None:
        """Let go of footage and network."""
        if self._plates is not None:
            self._plates[1].close()
            self._plates = None
        if self._segmenter is not None:
            self._segmenter.close()
            self._segmenter = None

    def _plates_of(self, shot: Shot) -> ShotPlates:
        if self._plates is None or self._plates[0] is not shot:
            if self._plates is not None:
                self._plates[1].close()
            self._plates = None
            self._plates = (shot, ShotPlates(shot))
        return self._plates[1]

    def _segmented(self, stop: Stop) -> Segmenter:
        if self._segmenter is None:
            self._segmenter = load_segmenter(None)
        return _StoppableSegmenter(self._segmenter, stop)


def around_face(plate: Plate, matrix: np.ndarray) -> Plate:
    """The part of a plate that holds the crop, with some of what lies around it.  matrix: (2, 3) of the crop."""
    height, width = plate.rgb.shape[:2]
    box = crop_box(in_array(matrix, plate), height, width)
    if box.empty:
        return plate
    aside, above = round(AROUND * box.width), round(AROUND * box.height)
    left, right = max(0, box.left - aside), min(width, box.right + aside)
    top, bottom = max(0, box.top - above), min(height, box.bottom + above)
    data_left, data_top = plate.windows.data[:2]
    windows = replace(
        plate.windows, data=(data_left + left, data_top + top, data_left + right - 1, data_top + bottom - 1)
    )
    region = np.s_[top:bottom, left:right]
    return replace(
        plate, rgb=plate.rgb[region], alpha=None if plate.alpha is None else plate.alpha[region], windows=windows
    )


def _laid_in(whole: Plate, part: Plate, rgb: np.ndarray) -> np.ndarray:
    """The whole plate's pixels with a part's finished ones in their place."""
    (left, top), (own_left, own_top) = part.windows.origin, whole.windows.origin
    finished = whole.rgb.copy()
    height, width = rgb.shape[:2]
    finished[top - own_top : top - own_top + height, left - own_left : left - own_left + width] = rgb
    return finished


class _Stoppable(TorchFunctionMode):
    """Within it every call of torch on this thread looks first whether to stop: a network's layers, one by one."""

    def __init__(self, stop: Stop) -> None:
        super().__init__()
        self._stop = stop

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        check(self._stop)
        return func(*args, **(kwargs or {}))


class _StoppableSegmenter:
    """A segmenter that looks whether to stop before it is asked."""

    def __init__(self, segmenter: Segmenter, stop: Stop) -> None:
        self.size, self.context = segmenter.size, segmenter.context
        self._segmenter = segmenter
        self._stop = stop

    def person(self, rgb: np.ndarray) -> np.ndarray:
        check(self._stop)
        return self._segmenter.person(rgb)

    def key(self) -> str:
        return self._segmenter.key()

    def close(self) -> None:
        """The segmenter itself goes on."""
