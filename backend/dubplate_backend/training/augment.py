# SPDX-License-Identifier: Apache-2.0
"""What a prior's training changes about a window, so that fewer people look like more.

The paper names no augmentation.  Ours: the exposure and the white of a window, the place of its crop by whole pixels
(nothing is resampled), and a shake of the head's geometry against the picture, as a tracker leaves it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dubplate_backend.renderers.neural_texture.inputs import slopes
from dubplate_backend.training.dataset import FACE, Frames
from dubplate_backend.training.settings import AdaptSettings

# The tracker's jitter on a still head is 0.30 mm (docs/benchmarks.md); a crop is about 250 mm wide.
TRACK_JITTER = 0.30 / 250.0


@dataclass(frozen=True)
class Augmentation:
    """Of one window.  gain: (3,) of the colours 0..1.  lift: added to them.  shift: whole px, right and down.
    jitter: (T, 2) px that the geometry lies beside the picture, right and down.
    """

    gain: np.ndarray
    lift: float
    shift: tuple[int, int]
    jitter: np.ndarray


def draw_augmentation(random: np.random.Generator, settings: AdaptSettings, window: int, size: int) -> Augmentation:
    """By chance, as strong as the settings say.  size: px of the crop."""
    furthest = round(settings.augment_shift * size)
    return Augmentation(
        gain=np.exp(settings.augment_colour * (random.normal() + 0.4 * random.normal(size=3))).astype(np.float32),
        lift=float(0.3 * settings.augment_colour * random.normal()),
        shift=(int(random.integers(-furthest, furthest + 1)), int(random.integers(-furthest, furthest + 1))),
        jitter=(settings.augment_track * TRACK_JITTER * size * random.normal(size=(window, 2))).astype(np.float32),
    )


def augmented(frames: Frames, reference: Tensor, change: Augmentation) -> tuple[Frames, Tensor]:
    """Frames of one window and their references, changed alike.  reference: [T, 3, S, S] -1..1."""
    uv = _shaken(frames, torch.from_numpy(change.jitter))
    moved = Frames(
        rgb=_coloured(_moved(frames.rgb, change.shift), change),
        filled=_coloured(_moved(frames.filled, change.shift), change),
        uv=_moved(uv.permute(0, 3, 1, 2), change.shift).permute(0, 2, 3, 1).contiguous(),
        flags=_moved(frames.flags[:, None], change.shift)[:, 0],
    )
    return moved, _coloured(_moved(reference, change.shift), change)


def _coloured(pictures: Tensor, change: Augmentation) -> Tensor:
    """[N, 3, S, S] -1..1."""
    gain = torch.from_numpy(change.gain).view(1, 3, 1, 1)
    return ((pictures + 1.0) * gain - 1.0 + 2.0 * change.lift).clamp_(-1.0, 1.0)


def _moved(planes: Tensor, shift: tuple[int, int]) -> Tensor:
    """[N, C, S, S] moved by whole px; the border repeats."""
    (x, y), size = shift, planes.shape[-1]
    rows = (torch.arange(size) - y).clamp_(0, size - 1)
    columns = (torch.arange(size) - x).clamp_(0, size - 1)
    return planes[:, :, rows[:, None], columns]


def _shaken(frames: Frames, jitter: Tensor) -> Tensor:
    """[T, S, S, 2]: texture coordinates read beside each pixel by their slope.  jitter: [T, 2] px.

    Sub-pixel and exact to first order; where the head folds or ends, a pixel keeps its own.
    """
    face, moved = frames.has(FACE), frames.uv
    for axis, amount in ((2, jitter[:, 0]), (1, jitter[:, 1])):
        slope, _, together = slopes(frames.uv, face, axis)
        step = slope * together[..., None] * amount.view(-1, 1, 1, 1)
        moved = moved - F.pad(step, (0, 0, 0, 1) if axis == 2 else (0, 0, 0, 0, 0, 1))
    return moved.clamp(0.0, 1.0)
