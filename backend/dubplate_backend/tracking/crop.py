# SPDX-License-Identifier: Apache-2.0
"""The crop: a square around the face region that no jaw, expression or audio moves.

It is the union of the projected region with the jaw fully closed and fully open on the tracked pose (DfE, section 3),
so that whatever is keyed later stays inside it, smoothed over time, since its shake would become the picture's shake.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from dubplate_backend.head.model import HeadModel
from dubplate_shared.rotations import matrix_from_axis_angle
from dubplate_shared.track import Track

JAW_OPEN_RAD = np.deg2rad(35.0)  # as far as an adult's jaw turns: 40 to 50 mm between the incisors
MARGIN = 0.12  # of the box's longer side, on each side
SMOOTHED_S = 0.2  # deviation of the Gaussian over time
REGIONS = ("face", "redraw")  # and not scalp and neck: the mouth shall get its pixels


def crop_matrices(head: HeadModel, track: Track) -> np.ndarray:
    """Plate px to the unit square, (T, 2, 3) float32, pixel centres at +0.5."""
    rotation = matrix_from_axis_angle(track.rotation.astype(np.float64))  # [T, 3, 3]
    low, high = np.empty((len(track), 2)), np.empty((len(track), 2))
    still = region_points(head, track.shape)  # [P, 3]
    for frame, (turn, shift, lens) in enumerate(zip(rotation, track.translation, track.intrinsics, strict=True)):
        neck = track.neck[frame]
        points = region_points(head, track.shape, neck) if neck.any() else still
        camera = points @ turn.T + shift
        pixels = camera[:, :2] / camera[:, 2:] * lens[:2] + lens[2:]
        low[frame], high[frame] = pixels.min(axis=0), pixels.max(axis=0)
    middle = smoothed((low + high) / 2, track.time)
    side = smoothed((high - low).max(axis=1, keepdims=True), track.time) * (1 + 2 * MARGIN)
    corner = middle - side / 2
    matrix = np.zeros((len(track), 2, 3))
    matrix[:, 0, 0] = matrix[:, 1, 1] = 1 / side[:, 0]
    matrix[:, :, 2] = -corner / side
    return matrix.astype(np.float32)


def region_points(head: HeadModel, shape: np.ndarray, neck: np.ndarray | None = None) -> np.ndarray:
    """The face region's vertices, (P, 3) metres, with the jaw closed and with it fully open, the face neutral.

    neck: (3,) axis-angle.
    """
    region = torch.stack([head.masks[name] for name in REGIONS]).any(0)
    jaw = torch.zeros(2, 3, dtype=head.template.dtype)
    jaw[1, 0] = JAW_OPEN_RAD
    expression = torch.zeros(1, head.expression_basis.shape[-1], dtype=head.template.dtype)
    turned = None if neck is None else torch.from_numpy(neck)[None].to(head.template.dtype)
    vertices = head.vertices(torch.from_numpy(shape).to(head.template.dtype), expression, jaw, turned)  # [2, V, 3]
    return vertices[:, region].flatten(0, 1).double().numpy()


def smoothed(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T, C) smoothed over time with a Gaussian, by true times, the ends being held."""
    if len(times) < 2:
        return values
    step = float(np.median(np.diff(times)))
    even = np.arange(times[0], times[-1] + step / 2, step)
    columns = []
    for column in values.T:
        smooth = gaussian_filter1d(np.interp(even, times, column), SMOOTHED_S / step, mode="nearest")
        columns.append(np.interp(times, even, smooth))
    return np.stack(columns, axis=1)
