# SPDX-License-Identifier: Apache-2.0
"""Which filmed frames stand beside the masked ones: near in pose, far in mouth (MuseTalk's policy, systems 1.1.5).

Chosen from the filmed track alone, so neither a take nor the frames asked for can change them. A small bank serves a
whole shot, since each of its frames must be decoded; a frame keeps its neighbour's choice unless another is clearly
better, so that the reference does not flicker.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dubplate_shared.landmarks import COUNT_WITH_IRISES, lip_gap
from dubplate_shared.rotations import matrix_from_axis_angle
from dubplate_shared.track import Track

POSE_SCALE = 0.1  # radians of head turn that weigh as much as MOUTH_SCALE of lip gap
MOUTH_SCALE = 0.05  # lip gap over the inter-ocular distance; the development clip's median is 0.07
FAR_ENOUGH = 1.0  # a mouth that differs by this many MOUTH_SCALEs is different; more is no better
KEEP = 0.25  # a new reference must score better by this much


def mouth_opening(track: Track) -> npt.NDArray[np.float64]:
    """(T,) lip gap of the fitted head over the inter-ocular distance; the jaw's angle where landmarks are few."""
    points = np.full((len(track), COUNT_WITH_IRISES, 2), np.nan)
    points[:, track.landmark_index] = track.projected_px
    gap = lip_gap(points)
    return np.where(np.isfinite(gap), gap, track.jaw[:, 0] * 0.5).astype(np.float64)


def pose_distance(track: Track, others: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """(T, N) radians between the head's directions at each frame and at each of `others`."""
    turn = matrix_from_axis_angle(track.rotation.astype(np.float64))  # [T, 3, 3]
    trace = np.einsum("tij,nij->tn", turn, turn[others])
    return np.arccos(np.clip((trace - 1.0) / 2.0, -1.0, 1.0))


def reference_bank(track: Track, candidates: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.intp]:
    """At most `count` of `candidates`, spread over pose and mouth by farthest points, sorted.

    The first is the most ordinary frame: nearest to all others.
    """
    opening = mouth_opening(track)[candidates] / MOUTH_SCALE
    between = pose_distance(track, candidates)[candidates] / POSE_SCALE  # [N, N]
    between = np.hypot(between, opening[:, None] - opening[None, :])
    chosen = [int(np.argmin(between.sum(axis=1)))]
    nearest = between[chosen[0]].copy()
    while len(chosen) < min(count, len(candidates)) and nearest.max() > 0:
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, between[chosen[-1]])
    return np.sort(candidates[chosen])


def reference_scores(track: Track, bank: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """(T, N), lower is better: pose distance, less what the mouth differs by (up to a limit)."""
    opening = mouth_opening(track) / MOUTH_SCALE
    differs = np.minimum(np.abs(opening[:, None] - opening[None, bank]), FAR_ENOUGH)
    return pose_distance(track, bank) / POSE_SCALE - differs


def assign_references(track: Track, bank: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """(T,) index of each frame's reference, from one pass over the whole filmed track."""
    scores = reference_scores(track, bank)
    chosen = np.empty(len(track), np.intp)
    current = int(np.argmin(scores[0]))
    for frame, row in enumerate(scores):
        best = int(np.argmin(row))
        if row[best] < row[current] - KEEP:
            current = best
        chosen[frame] = bank[current]
    return chosen
