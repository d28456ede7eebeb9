# SPDX-License-Identifier: Apache-2.0
"""The crop after a repair: the old one where it still fits, and outside of what was repaired in any case."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from dubplate_backend.head.model import HeadModel
from dubplate_backend.tracking.crop import SMOOTHED_S, crop_matrices
from dubplate_shared.track import Track

# A crop stays as it is while the face moves in it by less than this share of its side; its margin is 0.12.
KEEPS = 0.03
FADED_OVER = 3  # frames at either end of a stretch, where its crop runs into the old one
REACH = 4 * SMOOTHED_S  # seconds, beyond which a smoothed crop does not look
OF_THE_SHOT = ("shape", "distortion", "texture", "landmark_index")  # arrays of a track that are not frame by frame


def repaired_crop(
    head: HeadModel, before: Track, after: Track, crop: np.ndarray, span: slice
) -> tuple[np.ndarray, bool]:
    """The crop after a repair of frames `span`, (T, 2, 3), and whether it has changed: it does only where the face has
    moved in it by more than KEEPS, and then only in `span`, by as much as the face has moved."""
    times = before.time
    start = int(np.searchsorted(times, times[span.start] - REACH))
    stop = int(np.searchsorted(times, times[span.stop - 1] + REACH, side="right"))
    around, inside = slice(start, stop), slice(span.start - start, span.stop - start)
    old, new = (squares(crop_matrices(head, part(track, around)))[inside] for track in (before, after))
    box = squares(crop[span])  # [S, 3]
    moved = new - old
    if (np.abs(moved) / box[:, 2:]).max() < KEEPS:
        return crop, False
    place = np.arange(1, len(box) + 1)
    to_end = np.minimum(
        place if span.start > 0 else np.inf, len(box) + 1 - place if span.stop < len(before) else np.inf
    )
    box += np.clip(to_end / (FADED_OVER + 1), 0, 1)[:, None] * moved
    changed = crop.copy()
    changed[span, 0, 0] = changed[span, 1, 1] = 1 / box[:, 2]
    changed[span, :, 2] = -box[:, :2] / box[:, 2:]
    return changed, True


def part(track: Track, frames: slice) -> Track:
    """Some frames of a track."""
    arrays = {field.name: getattr(track, field.name) for field in fields(Track)}
    return Track(**{name: array if name in OF_THE_SHOT else array[frames] for name, array in arrays.items()})


def squares(crop: np.ndarray) -> np.ndarray:
    """Corner x, y and side of crops (T, 2, 3), plate px, (T, 3) float64."""
    side = 1 / crop[:, 0, 0].astype(np.float64)
    return np.concatenate([-crop[:, :, 2] * side[:, None], side[:, None]], axis=1)
