# SPDX-License-Identifier: Apache-2.0
"""Draws a take over a shot with an actor's texture and generator.

A frame's pixels come from the window centred on it, drawn in a batch of fixed size with a fixed number of threads:
they are the same bits however the frame is asked for.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dubplate_backend.head.model import HeadModel
from dubplate_backend.renderers.base import Plates, RenderedFrame
from dubplate_backend.renderers.hearing import Hearing
from dubplate_backend.renderers.neural_texture.crops import crop_picture
from dubplate_backend.renderers.neural_texture.drawing import WindowDrawer, drawing_device
from dubplate_backend.renderers.neural_texture.generator import Generator
from dubplate_backend.renderers.neural_texture.geometry import HeadGeometry, HeadView, grow, matte, median_expression
from dubplate_backend.renderers.neural_texture.inputs import (
    base_picture,
    blended_borders,
    fill_mask,
    frame_features,
    to_signed,
    window_indices,
)
from dubplate_backend.renderers.neural_texture.references import assign_references, reference_bank
from dubplate_backend.renderers.neural_texture.threads import fixed_threads
from dubplate_backend.renderers.neural_texture.weights import load_weights
from dubplate_backend.renderers.presets import Preset, preset
from dubplate_backend.speech.mel import BANDS, WINDOW_COLUMNS, mel, mel_window
from dubplate_backend.speech.sound import audio
from dubplate_backend.texture.mipmaps import MipLayout
from dubplate_backend.texture.sampling import mip_levels, sample_levels
from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import file_stamp, sha256_arrays
from dubplate_shared.progress import Stop, check
from dubplate_shared.shot import Shot
from dubplate_shared.take import Take

NAME = "neural_texture"
VERSION = 3  # raised when the same weights would draw other bits
PREPARING_THREADS = 1  # one frame's geometry is too small to share among threads
FEATHER = 0.06  # of the crop: how far the matte ramps inside its support
DRAWN_MARGIN = 0.03  # of the crop: soft skin beside the filmed or drawn mouth region that is redrawn with it


@dataclass(frozen=True)
class PreparedFrame:
    """One frame's share of a window's input, computed once however many windows hold it."""

    features: Tensor  # [C, S, S]
    base: Tensor  # [3, S, S] -1..1
    rgb: npt.NDArray[np.uint8]  # [S, S, 3] as filmed
    mask: npt.NDArray[np.bool_]  # [S, S]
    alpha: npt.NDArray[np.float32]  # [S, S]
    view: HeadView


@dataclass(frozen=True)
class PreparedBatch:
    """Windows of up to `batch_windows` frames, ready to be drawn."""

    first_frame: int  # of the shot
    centres: list[int]  # positions in the track, as in `windows` and `frames`
    windows: list[tuple[int, ...]]
    frames: dict[int, PreparedFrame]  # of all windows
    mel: Tensor  # [B, moments, 80, 16], of a whole batch
    heard: Tensor  # [B]


class NeuralTextureRenderer:
    """Implements `renderers.base.Renderer`."""

    def __init__(
        self,
        preset: Preset,
        texels: Tensor,
        generator: Generator,
        head: HeadModel,
        *,
        hearing: Hearing | None = None,
        device: torch.device | None = None,
    ) -> None:
        """texels: [C, R, R].  generator: of the same preset, in eval mode.  device: of the network, else the CPU.

        Raises DubplateError where a GPU cannot keep a frame's bits.
        """
        self.preset = preset
        self.head = head
        self.hearing = hearing or Hearing()
        self._texels = texels
        self._layout = MipLayout.of(head, preset.texture_size)
        self._levels = mip_levels(texels, self._layout)  # [N, C]
        self._generator = generator
        self._drawer = WindowDrawer(generator, preset, self.hearing, device or torch.device("cpu"))
        self._geometry = HeadGeometry(head, preset.crop_size)
        self._unseen: tuple[int, ...] = ()  # frames that are no references
        self._plan: tuple[Shot, _Plan] | None = None  # of the last shot asked for
        self._voice: tuple[object, npt.NDArray[np.float32]] | None = None  # of the last file asked for, as it was

    @classmethod
    def load(cls, folder: Path, info: ActorInfo, head: HeadModel) -> NeuralTextureRenderer:
        """Read an actor of this renderer. Raises HeadModelMismatch, InvalidInput."""
        head.require(info.head.sha256, f"Actor {info.name}")
        size = preset(info.preset)
        texels, generator = load_weights(folder, size)
        hearing = Hearing.of_actor(info.settings)
        return cls(size, texels, generator, head, hearing=hearing, device=drawing_device())

    @property
    def memory_bytes(self) -> int:
        """Of weights and texture."""
        tensors = [self._texels, self._levels, *self._generator.state_dict().values()]
        return sum(tensor.nbytes for tensor in tensors)

    def with_hearing(self, hearing: Hearing) -> NeuralTextureRenderer:
        """This renderer, hearing the voice as told."""
        if hearing == self.hearing:
            return self
        other = copy.copy(self)
        other.hearing = hearing
        other._drawer = WindowDrawer(self._generator, self.preset, hearing, self._drawer.device)
        return other

    def without_references(self, frames: Sequence[int]) -> NeuralTextureRenderer:
        """This renderer, which takes no reference from these frames of a shot."""
        other = copy.copy(self)
        other._unseen, other._plan = tuple(sorted(frames)), None
        return other

    def renderer_key(self) -> str:
        """Hash of weights, texture, head, preset, versions: all that fixes bits besides shot, take and plates."""
        facts = {
            "renderer": NAME,
            "version": VERSION,
            "preset": asdict(self.preset),
            "hearing": asdict(self.hearing),
            "drawing": self._drawer.facts(),
            "head": self.head.sha256,
            "weights": self._weights_sha256,
            "torch": torch.__version__,
            "matte": [FEATHER, DRAWN_MARGIN],
        }
        if self._unseen:
            facts["unseen"] = self._unseen
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @cached_property
    def _weights_sha256(self) -> str:
        """Of weights and texture, which never change; tens of megabytes, so taken once."""
        arrays = {name: tensor.cpu().numpy() for name, tensor in self._generator.state_dict().items()}
        return sha256_arrays(arrays | {"texels": self._texels.numpy()})

    def window(self, shot: Shot, frame: int) -> tuple[int, ...]:
        """The frames whose take `frame` depends on."""
        members = self._planned(shot).window(shot.index(frame))
        return tuple(sorted({shot.info.first_frame + index for index in members}))

    def frames_read(self, shot: Shot, frame: int) -> tuple[int, ...]:
        """Frames whose track, take or plate `frame` depends on: its window and that window's references."""
        plan = self._planned(shot)
        members = plan.window(shot.index(frame))
        read = {*members, *(int(plan.references[member]) for member in members)}
        return tuple(sorted(shot.info.first_frame + index for index in read))

    def render(
        self, shot: Shot, take: Take, frames: Sequence[int], plates: Plates, stop: Stop
    ) -> Iterator[RenderedFrame]:
        """Yield the frames asked for in order; those without a face are left out.

        plates: frame number -> [H, W, 3] uint8 or floats 0..1.  Sound comes from the take's origin ("audio"), or for
        the tracked take from the shot; without any, the code learned for no sound stands in.
        Raises HeadModelMismatch, InvalidInput, Cancelled.
        """
        batches = self.batches(shot, take, frames, plates, stop)
        with ThreadPoolExecutor(1, thread_name_prefix="prepare") as aside:
            coming = aside.submit(next, batches, None)
            while (batch := coming.result()) is not None:
                coming = aside.submit(next, batches, None)  # prepared while the network draws this one
                check(stop)
                yield from self.drawn(batch)

    def batches(
        self, shot: Shot, take: Take, frames: Sequence[int], plates: Plates, stop: Stop
    ) -> Iterator[PreparedBatch]:
        """What the network draws for these frames, in order; arguments and errors are those of `render`."""
        self.head.require(shot.info.head.sha256, f"Shot {shot.info.name}")
        shot.checked(take)
        plan = self._planned(shot)
        wanted = [index for index in shot.indices(frames) if plan.usable[index]]
        spectrogram = self._spectrogram(shot, take)
        crops: dict[int, npt.NDArray[np.uint8]] = {}  # reference crops, at most the bank's count
        prepared: dict[int, PreparedFrame] = {}
        count, first_frame = self.preset.batch_windows, shot.info.first_frame
        for start in range(0, len(wanted), count):
            check(stop)
            centres = wanted[start : start + count]
            windows = [plan.window(index) for index in centres]
            needed = {member for window in windows for member in window}
            for reference in sorted({int(plan.references[member]) for member in needed} - crops.keys()):
                crops[reference] = self._filmed(shot, reference, plates)
            with fixed_threads(PREPARING_THREADS), torch.inference_mode():
                prepared = {
                    index: prepared.get(index) or self._prepare(shot, take, index, plan, crops, plates)
                    for index in sorted(needed)
                }
            yield PreparedBatch(first_frame, centres, windows, prepared, *self._sound(shot, centres, spectrogram))

    def drawn(self, batch: PreparedBatch) -> list[RenderedFrame]:
        """The centre frames of a batch's windows."""
        pictures = zip(batch.centres, self._draw(batch), strict=False)
        return [self._finish(batch.first_frame + at, batch.frames[at], picture) for at, picture in pictures]

    def _planned(self, shot: Shot) -> _Plan:
        planned = self._plan  # read once: a preview of another shot may replace it meanwhile
        if planned is None or planned[0] is not shot:
            planned = self._plan = (shot, _Plan.of(shot, self.preset, self._unseen))
        return planned[1]

    def _spectrogram(self, shot: Shot, take: Take) -> npt.NDArray[np.float32] | None:
        """Mel of the voice that belongs to the take, or None."""
        path = shot.voice_path(take)
        if path is None:
            return None
        state = (path, file_stamp(path))
        voice = self._voice  # read once, as the plan is
        if voice is None or voice[0] != state:
            voice = self._voice = (state, mel(*audio(path)))
        return voice[1]

    def _prepare(
        self, shot: Shot, take: Take, index: int, plan: _Plan, crops: dict[int, npt.NDArray[np.uint8]], plates: Plates
    ) -> PreparedFrame:
        """Rasterise the filmed and the take's head, fill the mask, sample the texture: one frame alone."""
        track, size = shot.track, self.preset.crop_size
        rgb = self._filmed(shot, index, plates)
        mask = self._geometry.redraw_mask(track, shot.crop, index, expression=plan.rest)
        was = self._geometry.view(track, shot.crop, index, expression=track.expression[index], jaw=track.jaw[index])
        view = self._geometry.view(
            track,
            shot.crop,
            index,
            expression=take.expression[index],
            jaw=take.jaw[index],
            eyes=None if take.eyes is None else take.eyes[index],
        )
        face, inside = torch.from_numpy(view.face)[None], torch.from_numpy(mask)[None]
        uv = torch.from_numpy(view.uv)[None]
        texels = blended_borders(sample_levels(self._levels, uv, face, self._layout), uv, face)
        base = base_picture(_planes(rgb), _planes(fill_mask(rgb, mask)), texels, face, inside)
        features = frame_features(base, texels, inside, _planes(crops[int(plan.references[index])]))
        drawn = grow(was.regions["redraw"] | view.regions["redraw"], round(DRAWN_MARGIN * size))
        return PreparedFrame(features[0], base[0], rgb, mask, matte(mask, drawn, FEATHER * size), view)

    def _filmed(self, shot: Shot, index: int, plates: Plates) -> npt.NDArray[np.uint8]:
        return crop_picture(plates(shot.info.first_frame + index), shot.crop[index], self.preset.crop_size)

    def _sound(
        self, shot: Shot, centres: list[int], spectrogram: npt.NDArray[np.float32] | None
    ) -> tuple[Tensor, Tensor]:
        """mel [B, moments, 80, 16] and heard [B] of a whole batch, the last window repeated."""
        count, moments = self.preset.batch_windows, self.hearing.moments
        if spectrogram is None:
            return torch.zeros(count, len(moments), BANDS, WINDOW_COLUMNS), torch.zeros(count, dtype=torch.bool)
        middle = [float(shot.track.time[index]) + 0.5 / shot.info.rate.fps for index in _padded(centres, count)]
        windows = [[mel_window(spectrogram, time_s + moment) for moment in moments] for time_s in middle]
        return torch.from_numpy(np.array(windows)), torch.ones(count, dtype=torch.bool)

    def _draw(self, batch: PreparedBatch) -> npt.NDArray[np.float32]:
        """The centre frames [B, S, S, 3], 0..1, of a batch that is always whole."""
        windows = _padded(batch.windows, self.preset.batch_windows)
        members = [batch.frames[member] for window in windows for member in window]
        shape = (len(windows), self.preset.window)
        with torch.inference_mode():
            features = torch.stack([member.features for member in members]).unflatten(0, shape)
            base = torch.stack([member.base for member in members]).unflatten(0, shape)
        drawn = self._drawer(features, base, batch.mel, batch.heard)  # [B, 3, S, S]
        return ((drawn + 1.0) / 2.0).clamp(0.0, 1.0).permute(0, 2, 3, 1).contiguous().numpy()

    def _finish(self, frame: int, prepared: PreparedFrame, picture: npt.NDArray[np.float32]) -> RenderedFrame:
        """Outside the mask the filmed crop stands."""
        filmed = prepared.rgb.astype(np.float32) / np.float32(255.0)
        regions = {name: prepared.view.regions[name] for name in ("lips", "mouth", "teeth")}
        return RenderedFrame(
            frame=frame,
            rgb=np.where(prepared.mask[..., None], picture, filmed),
            alpha=prepared.alpha,
            mask=prepared.mask,
            uv=prepared.view.uv,
            face=prepared.view.face,
            regions=regions,
        )


@dataclass(frozen=True)
class _Plan:
    """What of a shot each frame needs, from the filmed track alone."""

    usable: npt.NDArray[np.bool_]  # [T]
    times: npt.NDArray[np.float64]  # [T] seconds
    references: npt.NDArray[np.intp]  # [T]
    rest: npt.NDArray[np.float32]  # (100,) the expression of the redraw mask
    size: int

    @classmethod
    def of(cls, shot: Shot, preset: Preset, unseen: Sequence[int] = ()) -> _Plan:
        """unseen: frame numbers that are no references.   Raises InvalidInput where no frame is left."""
        usable = shot.track.confidence > 0
        if not usable.any():
            raise InvalidInput(f"Shot {shot.info.name} has no frame with a face.", hint="Track the shot again.")
        candidates = np.setdiff1d(np.flatnonzero(usable), np.array(unseen, np.intp) - shot.info.first_frame)
        if not len(candidates):
            raise InvalidInput(
                f"Shot {shot.info.name} has no frame left to take references from.", hint="Judge fewer of its frames."
            )
        bank = reference_bank(shot.track, candidates, preset.references)
        return cls(
            usable, shot.track.time, assign_references(shot.track, bank), median_expression(shot.track), preset.window
        )

    def window(self, index: int) -> tuple[int, ...]:
        return window_indices(index, self.usable, self.times, self.size)


def _padded(items: list[Any], count: int) -> list[Any]:
    """`items` with the last repeated up to `count`."""
    return items + [items[-1]] * (count - len(items))


def _planes(picture: npt.NDArray[np.uint8]) -> Tensor:
    """[S, S, 3] uint8 to [1, 3, S, S] in -1..1."""
    return to_signed(torch.from_numpy(picture).permute(2, 0, 1)[None].contiguous())
