# SPDX-License-Identifier: Apache-2.0
"""What an actor is worth on frames it never saw: PSNR and SSIM inside the redraw mask alone, before compositing.

True pixels surround the mask, so scores over the whole crop flatter. Two baselines of the same run stand beside them:
the mean training crop, and the training frame whose tracked lips are nearest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from dubplate_backend.training.dataset import LIPS, MASK, MOUTH, ShotCrops
from dubplate_backend.training.sampler import Batch, ordered_batches
from dubplate_backend.training.ssim import ssim_map
from dubplate_shared.landmarks import COUNT_WITH_IRISES, inter_ocular
from dubplate_shared.landmarks import LIPS as LIP_POINTS
from dubplate_shared.track import Track

MEAN_SAMPLES = 256  # training frames that make the mean crop
MOUTH_BOX_MARGIN = 9  # px, odd: around lips and interior for the tighter figure

Draw = Callable[[Batch], Tensor]  # a batch of windows -> [B, T, 3, S, S] -1..1


@dataclass(frozen=True)
class Score:
    """psnr: dB.  ssim: mean of the SSIM map inside the mask.  mouth_psnr: dB around lips and interior alone."""

    psnr: float
    ssim: float
    mouth_psnr: float


@dataclass(frozen=True)
class HeldOut:
    """Scores on the held-out frames of all shots."""

    frames: int
    actor: Score
    mean_crop: Score
    nearest_lips: Score

    def to_json(self) -> dict[str, object]:
        return {"held_out_frames": self.frames, "inside": "redraw mask, before compositing"} | {
            name: asdict(getattr(self, name)) for name in ("actor", "mean_crop", "nearest_lips")
        }


class Tally:
    """Sums over frames, so that a score is of all masked pixels together."""

    def __init__(self) -> None:
        self.sums = np.zeros(5)

    def add(self, drawn: Tensor, target: Tensor, mask: Tensor, mouth: Tensor) -> None:
        """drawn, target: [N, 3, S, S] 0..1.  mask, mouth: [N, S, S] bool; `mouth` counts within `mask`.

        Outside the mask both show the target, so that SSIM's windows at its edge see no other difference.
        """
        mouth = mouth & mask
        drawn = torch.where(mask[:, None], drawn, target)
        error = (drawn - target).square().mean(dim=1)
        similar = ssim_map(drawn, target, data_range=1.0)
        self.sums += [
            float(error[mask].sum()), float(similar[mask].sum()), int(mask.sum()),
            float(error[mouth].sum()), int(mouth.sum()),
        ]  # fmt: skip

    def score(self) -> Score:
        error, similar, count, mouth_error, mouth_count = self.sums
        return Score(_psnr(error, count), similar / max(count, 1), _psnr(mouth_error, mouth_count))


def _psnr(error: float, count: float) -> float:
    return -10.0 * math.log10(max(error / max(count, 1), 1e-10))


def evaluate(shots: list[ShotCrops], draw: Draw, *, window: int, batch: int) -> HeldOut:
    """Score the actor and both baselines on the held-out frames, each drawn as the centre of its window."""
    actor, mean_crop, nearest = Tally(), Tally(), Tally()
    for shot in shots:
        mean = mean_training_crop(shot)
        lips = nearest_lips(shot.shot.track, shot.usable, shot.train)
        for start, windows in enumerate(ordered_batches(shot, shot.held_out, window, batch)):
            indices = shot.held_out[start * batch : (start + 1) * batch]
            centres = torch.arange(len(indices)) * window + window // 2
            target = _unit(windows.frames.rgb[centres])
            mask = windows.frames.has(MASK)[centres]
            mouth = mouth_area(windows.frames.has(LIPS) | windows.frames.has(MOUTH))[centres]
            drawn = _unit(draw(windows)[:, window // 2])
            actor.add(drawn, target, mask, mouth)
            mean_crop.add(_unit(mean).expand_as(target), target, mask, mouth)
            nearest.add(_unit(shot.pictures(lips[indices])), target, mask, mouth)
    return HeldOut(sum(len(shot.held_out) for shot in shots), actor.score(), mean_crop.score(), nearest.score())


def mean_training_crop(shot: ShotCrops) -> Tensor:
    """[1, 3, S, S] -1..1."""
    step = max(1, len(shot.train) // MEAN_SAMPLES)
    return shot.pictures(shot.train[::step]).mean(dim=0, keepdim=True)


def nearest_lips(track: Track, usable: npt.NDArray[np.bool_], train: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """[T]: for each frame the training frame whose lips, as tracked, have the nearest shape.

    usable: [T] frames with a face.  train: indices of the training frames.

    Shapes are the fitted lip landmarks relative to their own centre, over the inter-ocular distance; the jaw and
    expression where the track holds too few landmarks.
    """
    shape = lip_shape(track, usable)
    distance = np.linalg.norm(shape[:, None] - shape[None, train], axis=-1)  # [T, N]
    return train[distance.argmin(axis=1)]


def lip_shape(track: Track, usable: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """[T, K] flattened lip shape of the track."""

    points = np.full((len(track), COUNT_WITH_IRISES, 2), np.nan, np.float32)
    points[:, track.landmark_index] = track.projected_px
    lips = points[:, list(LIP_POINTS)]
    shape = (lips - lips.mean(axis=1, keepdims=True)) / inter_ocular(points)[:, None, None]
    if not np.isfinite(shape[usable]).all():
        return np.concatenate((track.jaw * 10.0, track.expression), axis=1)
    return np.nan_to_num(shape.reshape(len(track), -1))


def mouth_area(mouth: Tensor) -> Tensor:
    """[N, S, S] bool grown by a few pixels."""
    grown = F.max_pool2d(mouth.float()[:, None], MOUTH_BOX_MARGIN, stride=1, padding=MOUTH_BOX_MARGIN // 2)
    return grown[:, 0] > 0


def _unit(picture: Tensor) -> Tensor:
    """-1..1 to 0..1, clipped and in 8-bit steps as plates of such footage are."""
    return ((picture + 1.0) * 127.5).clamp(0, 255).round() / 255.0
