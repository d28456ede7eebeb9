# SPDX-License-Identifier: Apache-2.0
"""From crops, texture coordinates and texture to what the generator eats (DfE section 3.3, systems 1.1.6).

Pictures are -1..1 here. Inside the redraw mask a frame shows texels where the head is and a smooth continuation of its
surroundings where it is not; outside it shows what was filmed.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from dubplate_backend.renderers.neural_texture.geometry import Bool

OUTLINE_RAMP = 0.055  # of the crop: over how much of it the head fades out towards its outline
BORDER_STEP = (
    4.0  # of the texture, times the crop's size in px: neighbours further apart are different places of the head
)
SMALLEST_FILL = 4  # px: the coarsest level of the fill
FRAME_APART_S = 0.04  # the paper's 25 frames a second: what T frames span, and what they hear, is the same at any rate
SAME_TIME_S = 1e-4  # times closer than this are one: presentation times are rounded to their clock's ticks


def to_signed(picture: Tensor) -> Tensor:
    """uint8 0..255 to float32 -1..1."""
    return picture.to(torch.float32) * (2.0 / 255.0) - 1.0


def base_picture(rgb: Tensor, filled: Tensor, texels: Tensor, face: Tensor, mask: Tensor) -> Tensor:
    """The textured head in its surroundings: what the generator draws on.

    The head fades out towards its outline: a tracked outline lies some pixels beside the true one, and a hard edge at
    the wrong place is more for the generator to undo than a soft one (docs/decisions/0148).
    rgb, filled: [N, 3, S, S] -1..1.  texels: [N, C, S, S].  face, mask: [N, S, S] bool.  Returns [N, 3, S, S].
    """
    inside = torch.lerp(filled, texels[:, :3], outline_ramp(face))
    return torch.where(mask[:, None], inside, rgb)


def outline_ramp(face: Tensor) -> Tensor:
    """How much of the head is shown: 0 off it, rising to 1 over OUTLINE_RAMP.  face: [N, S, S] bool.
    Returns [N, 1, S, S].  The crop's own edge is no outline.
    """
    wide = round(OUTLINE_RAMP * face.shape[-1]) | 1  # px, odd
    share = face[:, None].float()
    for _ in range(2):
        share = F.avg_pool2d(F.pad(share, (wide // 2,) * 4, mode="replicate"), wide, stride=1)
    return (2.0 * share - 1.0).clamp(min=0.0) * face[:, None]


def slopes(uv: Tensor, face: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """From each pixel to the next along `axis` (1 down, 2 across), one fewer than there are pixels.

    uv: [N, S, S, 2].  face: [N, S, S] bool.  Returns how uv changes [.., 2], whether the head covers both, and whether
    they show places side by side on it.
    """
    last = face.shape[axis] - 1
    slope = uv.diff(dim=axis)
    both = face.narrow(axis, 0, last) & face.narrow(axis, 1, last)
    return slope, both, both & (slope.abs().amax(dim=-1) < BORDER_STEP / face.shape[-1])


def blended_borders(texels: Tensor, uv: Tensor, face: Tensor) -> Tensor:
    """Texels with their stairs taken out where neighbouring pixels show different places of the head: lips before
    teeth, the chin before the neck.  There each pixel is the [1, 2, 1] mean of those around it.

    texels: [N, C, S, S], 0 off the head.  uv: [N, S, S, 2].  face: [N, S, S] bool.  Returns [N, C, S, S].
    """
    border = torch.zeros_like(face)
    for axis in (1, 2):
        _, both, together = slopes(uv, face, axis)
        apart, last = both & ~together, both.shape[axis]
        border.narrow(axis, 0, last).logical_or_(apart)
        border.narrow(axis, 1, last).logical_or_(apart)
    frame, row, column = border.nonzero(as_tuple=True)  # [P] each
    around = torch.arange(-1, 2, device=uv.device)
    rows = (row[:, None, None] + around[:, None]).clamp(0, face.shape[1] - 1)  # [P, 3, 1]
    columns = (column[:, None, None] + around).clamp(0, face.shape[2] - 1)  # [P, 1, 3]
    binomial = torch.tensor([1.0, 2.0, 1.0], device=uv.device)
    shares = torch.outer(binomial, binomial) * face[frame[:, None, None], rows, columns]  # [P, 3, 3]
    shares = (shares / shares.sum(dim=(1, 2), keepdim=True)).flatten(1)
    pixels = texels.permute(0, 2, 3, 1).flatten(0, 2)  # [N * S * S, C], a view of what sampling gives
    places = ((frame[:, None, None] * face.shape[1] + rows) * face.shape[2] + columns).flatten(1)  # [P, 9]
    mean = F.embedding_bag(places, pixels, per_sample_weights=shares, mode="sum")
    blended = pixels.index_copy(0, places[:, 4], mean)
    return blended.unflatten(0, face.shape).permute(0, 3, 1, 2)


def frame_features(base: Tensor, texels: Tensor, mask: Tensor, reference: Tensor) -> Tensor:
    """Stack one frame's channels: base RGB, the other texels inside the mask, the mask, the reference's RGB.

    base, reference: [N, 3, S, S].  texels: [N, C, S, S].  mask: [N, S, S] bool.  Returns [N, C + 4, S, S].
    """
    inside = mask[:, None].to(base.dtype)
    return torch.cat((base, texels[:, 3:] * inside, inside, reference), dim=1)


def fill_mask(rgb: npt.NDArray[np.uint8], mask: Bool) -> npt.NDArray[np.uint8]:
    """`rgb` with the mask filled from its surroundings by a pull-push pyramid.  rgb: [S, S, 3].  mask: [S, S].

    Colours are averaged down with the mask's pixels left out, then each hole takes the next coarser level.
    """
    weight = (~mask).astype(np.float32)
    levels = [(rgb.astype(np.float32) * weight[..., None], weight)]
    while levels[-1][1].shape[0] > SMALLEST_FILL:
        levels.append(tuple(cv2.pyrDown(plane) for plane in levels[-1]))
    colour, weight = levels[-1]
    filled = _normalised(colour, weight, colour.sum(axis=(0, 1)) / max(float(weight.sum()), 1e-6))
    for colour, weight in reversed(levels[:-1]):
        coarse = cv2.pyrUp(filled, dstsize=weight.shape[::-1])
        known = np.clip(weight, 0.0, 1.0)[..., None]
        filled = known * _normalised(colour, weight, 0.0) + (1.0 - known) * coarse
    return np.where(mask[..., None], np.clip(np.rint(filled), 0, 255), rgb).astype(np.uint8)


def _normalised(
    colour: npt.NDArray[np.float32], weight: npt.NDArray[np.float32], otherwise: npt.NDArray[np.float32] | float
) -> npt.NDArray[np.float32]:
    divided = colour / np.maximum(weight, 1e-6)[..., None]
    return np.where(weight[..., None] > 1e-6, divided, otherwise).astype(np.float32)


def window_indices(
    index: int, usable: npt.NDArray[np.bool_], times: npt.NDArray[np.float64], window: int
) -> tuple[int, ...]:
    """The `window` frames around `index` that lie nearest to FRAME_APART_S apart, clamped to the shot.

    At 25 frames a second they are neighbours; at 50 every second one; at 24 neighbours again. One without a face gives
    way to the nearest usable frame on the way to the centre.  usable: (T,) bool.  times: (T,) seconds, rising.
    """
    half = window // 2
    members = []
    for offset in range(-half, half + 1):
        step = (offset > 0) - (offset < 0)
        member = _nearest(times, times[index] + offset * FRAME_APART_S, toward=index)
        while member != index and not usable[member]:
            member -= step
        members.append(member)
    return tuple(members)


def _nearest(times: npt.NDArray[np.float64], time_s: float, *, toward: int) -> int:
    """The frame shown nearest to `time_s`; of two as near, the one nearer to `toward`."""
    after = int(np.searchsorted(times, time_s))
    beside = [at for at in (after - 1, after) if 0 <= at < len(times)]
    return min(beside, key=lambda at: (round(abs(times[at] - time_s) / SAME_TIME_S), abs(at - toward)))
