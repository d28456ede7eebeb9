# SPDX-License-Identifier: Apache-2.0
"""Training data: every usable frame of the shots as a crop with its head's geometry, made once and memory-mapped.

An iteration then neither decodes nor rasterises, and memory does not grow with the footage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dubplate_backend.renderers.base import Plates
from dubplate_backend.renderers.neural_texture.crops import crop_picture
from dubplate_backend.renderers.neural_texture.geometry import HeadGeometry, HeadView, median_expression
from dubplate_backend.renderers.neural_texture.inputs import fill_mask, to_signed, window_indices
from dubplate_backend.renderers.neural_texture.references import (
    assign_references,
    mouth_opening,
    reference_bank,
    reference_scores,
)
from dubplate_backend.renderers.presets import Preset
from dubplate_backend.speech.mel import BANDS, WINDOW_COLUMNS, mel, mel_window
from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import sha256_arrays
from dubplate_shared.frames import format_frames
from dubplate_shared.progress import Progress, ProgressCallback, Stop, check, silent
from dubplate_shared.shot import Shot

Array = npt.NDArray[Any]
Sound = tuple[Array, int]  # mono samples, rate

# Bits of a pixel's flags.
FACE, MASK, LOWER_FACE, LIPS, MOUTH = 1, 2, 4, 8, 16
UV_STEPS = 65535  # texture coordinates are kept in 16 bits: 1/256 of a texel
LEAST_FRAMES = 10  # fewer usable frames cannot be split into training and held-out ones


@dataclass(frozen=True)
class Frames:
    """Some frames of a shot as the losses see them.  N frames."""

    rgb: Tensor  # [N, 3, S, S] -1..1
    filled: Tensor  # [N, 3, S, S] the mask filled from its surroundings
    uv: Tensor  # [N, S, S, 2]
    flags: Tensor  # [N, S, S] uint8

    def has(self, bit: int) -> Tensor:
        """[N, S, S] bool."""
        return (self.flags & bit) > 0


@dataclass(frozen=True)
class ShotCrops:
    """One shot's frames on disk. Arrays are memory-mapped; indices are those of the track."""

    shot: Shot
    rgb: Array  # [T, S, S, 3] uint8
    filled: Array  # [T, S, S, 3] uint8
    uv: Array  # [T, S, S, 2] uint16
    flags: Array  # [T, S, S] uint8
    mel: Array | None  # [T, 80, 16] float32, None where the shot is silent
    usable: npt.NDArray[np.bool_]  # [T] a face was tracked
    train: npt.NDArray[np.intp]
    held_out: npt.NDArray[np.intp]
    bank: npt.NDArray[np.intp]  # reference frames, from `train`
    assigned: npt.NDArray[np.intp]  # [T] each frame's reference
    choices: npt.NDArray[np.intp]  # [T, K] each frame's K best references, for training

    def frames(self, indices: npt.NDArray[np.intp]) -> Frames:
        """Load frames by index."""
        return Frames(
            rgb=_pictures(self.rgb[indices]),
            filled=_pictures(self.filled[indices]),
            uv=torch.from_numpy(self.uv[indices].astype(np.float32) / UV_STEPS),
            flags=torch.from_numpy(np.ascontiguousarray(self.flags[indices])),
        )

    def pictures(self, indices: npt.NDArray[np.intp]) -> Tensor:
        """[N, 3, S, S] -1..1: the filmed crops alone."""
        return _pictures(self.rgb[indices])

    def window(self, index: int, size: int) -> npt.NDArray[np.intp]:
        """The frames around `index`. In training they stay within the training frames."""
        usable = self.usable
        if index in self.train:
            usable = np.zeros_like(usable)
            usable[self.train] = True
        return np.array(window_indices(index, usable, self.shot.track.time, size), np.intp)

    def mouth_opening(self) -> npt.NDArray[np.float64]:
        """(T,) filmed lip gap."""
        return mouth_opening(self.shot.track)


def build_crops(
    shot: Shot,
    folder: Path,
    *,
    geometry: HeadGeometry,
    preset: Preset,
    plates: Plates,
    sound: Sound | None,
    held_out: float,
    learn_from: Sequence[int] | None = None,
    reference_choices: int,
    progress: ProgressCallback = silent,
    stop: Stop,
) -> ShotCrops:
    """Make, or find again in `folder`, the crops of a shot.

    plates: frame number -> uint8 [H, W, 3].  held_out: last share of the usable frames.  learn_from: numbers of the
    frames that may be trained on; all unless told.
    Raises InvalidInput where fewer than LEAST_FRAMES frames have a face or may be trained on, Cancelled.
    """
    usable = shot.track.confidence > 0
    tracked = np.flatnonzero(usable)
    if len(tracked) < LEAST_FRAMES:
        raise InvalidInput(
            f"Shot {shot.info.name} has {len(tracked)} frames with a face; at least {LEAST_FRAMES} are needed.",
            hint="Adapt on a longer shot.",
        )
    cut = len(tracked) - max(1, round(held_out * len(tracked)))
    train, held = tracked[:cut], tracked[cut:]
    if learn_from is not None:
        train = np.intersect1d(train, np.array(learn_from, np.intp) - shot.info.first_frame)
        if len(train) < LEAST_FRAMES:
            raise InvalidInput(
                f"Of the frames asked for, {len(train)} of shot {shot.info.name} can be learned from; at least "
                f"{LEAST_FRAMES} are needed.",
                hint=f"Of the shot's frames, {format_frames(tracked[:cut] + shot.info.first_frame)} can be.",
            )
    arrays = _arrays_on_disk(shot, folder / crops_key(shot, preset), geometry, preset, plates, progress, stop)
    bank = reference_bank(shot.track, train, preset.references)
    best = np.argsort(reference_scores(shot.track, bank), axis=1, kind="stable")[:, :reference_choices]
    return ShotCrops(
        shot=shot,
        **arrays,
        mel=_mel_windows(shot, sound),
        usable=usable,
        train=train,
        held_out=held,
        bank=bank,
        assigned=assign_references(shot.track, bank),
        choices=bank[best],
    )


def crops_key(shot: Shot, preset: Preset) -> str:
    """Folder name of a shot's crops: a hash of the track, the crop, the head and the size."""
    track = shot.track
    arrays = {name: getattr(track, name) for name in ("shape", "expression", "jaw", "neck", "eyes", "eyelids")}
    arrays |= {name: getattr(track, name) for name in ("rotation", "translation", "intrinsics", "confidence")}
    arrays["crop"] = shot.crop
    arrays["size"] = np.array(preset.crop_size)
    plate = shot.info.plate
    source = f"{plate.path}|{plate.start}|{shot.info.head.sha256}".encode()
    arrays["source"] = np.frombuffer(source, np.uint8)
    return f"{shot.info.name}-{sha256_arrays(arrays)[:16]}"


def region_flags(view: HeadView, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """[S, S]: FACE, MASK, LOWER_FACE, LIPS and MOUTH bits of a frame."""
    bits = (
        (FACE, view.face),
        (MASK, mask),
        (LOWER_FACE, view.regions["redraw"]),
        (LIPS, view.regions["lips"]),
        (MOUTH, view.regions["mouth"]),
    )
    flags = np.zeros(mask.shape, np.uint8)
    for bit, where in bits:
        flags |= np.uint8(bit) * where.astype(np.uint8)
    return flags


def _arrays_on_disk(
    shot: Shot,
    folder: Path,
    geometry: HeadGeometry,
    preset: Preset,
    plates: Plates,
    progress: ProgressCallback,
    stop: Stop,
) -> dict[str, Array]:
    """Write the arrays frame by frame; a file `complete` marks that all are there."""
    size, count = preset.crop_size, len(shot.track)
    shapes = {
        "rgb": ((count, size, size, 3), np.uint8),
        "filled": ((count, size, size, 3), np.uint8),
        "uv": ((count, size, size, 2), np.uint16),
        "flags": ((count, size, size), np.uint8),
    }
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        writable = {
            name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape)
            for name, (shape, dtype) in shapes.items()
        }
        rest = median_expression(shot.track)
        for index in range(count):
            check(stop)
            if shot.track.confidence[index] > 0:
                for name, value in _frame_arrays(shot, index, rest, geometry, plates).items():
                    writable[name][index] = value
            progress(Progress(index + 1, count, f"cropping {shot.info.name}"))
        for array in writable.values():
            array.flush()
        (folder / "complete").touch()
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in shapes}


def _frame_arrays(shot: Shot, index: int, rest: Array, geometry: HeadGeometry, plates: Plates) -> dict[str, Array]:
    track = shot.track
    rgb = crop_picture(plates(shot.info.first_frame + index), shot.crop[index], geometry.size)
    mask = geometry.redraw_mask(track, shot.crop, index, expression=rest)
    view = geometry.view(track, shot.crop, index, expression=track.expression[index], jaw=track.jaw[index])
    return {
        "rgb": rgb,
        "filled": fill_mask(rgb, mask),
        "uv": np.rint(np.clip(view.uv, 0.0, 1.0) * UV_STEPS).astype(np.uint16),
        "flags": region_flags(view, mask),
    }


def _mel_windows(shot: Shot, sound: Sound | None) -> Array | None:
    """[T, 80, 16] centred on the middle of each frame's time on screen."""
    if sound is None:
        return None
    spectrogram = mel(*sound)
    middle = shot.track.time + 0.5 / shot.info.rate.fps
    windows = np.empty((len(middle), BANDS, WINDOW_COLUMNS), np.float32)
    for index, time_s in enumerate(middle):
        windows[index] = mel_window(spectrogram, float(time_s))
    return windows


def _pictures(crops: Array) -> Tensor:
    return to_signed(torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2))
