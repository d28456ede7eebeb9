# SPDX-License-Identifier: Apache-2.0
"""What pins say of the landmarks around them: how far off the detection is, near in space and near in time.

A detector errs alike in neighbouring points and neighbouring frames, so a point placed by hand corrects both. In space
the correction fades over millimetres of skin (a Gaussian process with the pins as exact observations); in time it goes
in straight lines from pinned frame to pinned frame, and to nothing beyond the ends of what is solved again.
"""

from __future__ import annotations

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel

# How far a point's error reaches on the skin, and its share: a detector slips by a whole mouth more than by a point, so
# that corners and middles, 25 mm apart, carry what lies between them.
SCALES = ((0.018, 0.8), (0.006, 0.2))
# Lips are measured open, so that one lip's pin does not move the other, which it touches.
OPEN_JAW_RAD = np.deg2rad(25.0)
JITTER = 1e-6  # on the kernel's diagonal


def spread_over_face(head: HeadModel, landmarks: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """How all 468 landmarks move where some are moved.

    landmarks: (N,) int, without repeats.   offsets: (N, 2) px.   Returns (468, 2), exactly `offsets` at `landmarks`.
    """
    jaw = torch.zeros(1, 3, dtype=head.template.dtype)
    jaw[0, 0] = OPEN_JAW_RAD
    shape = torch.zeros(head.shape_basis.shape[-1], dtype=head.template.dtype)
    expression = torch.zeros(1, head.expression_basis.shape[-1], dtype=head.template.dtype)
    points = head.landmarks(head.vertices(shape, expression, jaw))[0].double().numpy()  # [468, 3]
    squared = np.square(points[:, None] - points[landmarks]).sum(-1)  # [468, N]
    kernel = sum((share * np.exp(-squared / (2 * reach**2)) for reach, share in SCALES), np.zeros_like(squared))
    field = kernel @ np.linalg.solve(kernel[landmarks] + JITTER * np.eye(len(landmarks)), offsets)
    field[landmarks] = offsets
    return field


def spread_over_time(times: np.ndarray, pinned: dict[int, np.ndarray], start: int, stop: int) -> np.ndarray:
    """Corrections of all frames of a stretch from those of its pinned frames.

    times: (T,) seconds.   pinned: index -> (468, 2) px.   start, stop: the frames between which there is any; beyond,
    corrections are 0.   Returns (T, 468, 2).
    """
    count = len(times)
    field = np.zeros((count, 468, 2))
    if not pinned:
        return field
    # What is just outside needs no correction; where the shot ends, the last pin goes on.
    known = dict(pinned)
    if start > 0:
        known[start - 1] = np.zeros((468, 2))
    if stop < count:
        known[stop] = np.zeros((468, 2))
    places = np.array(sorted(known))
    values = np.stack([known[place] for place in places])  # [K, 468, 2]
    for index in range(start, stop):
        after = int(np.searchsorted(places, index))
        if after == len(places):
            field[index] = values[-1]
        elif places[after] == index or after == 0:
            field[index] = values[after]
        else:
            before, then = times[places[after - 1]], times[places[after]]
            share = (times[index] - before) / max(then - before, 1e-9)
            field[index] = (1 - share) * values[after - 1] + share * values[after]
    return field
