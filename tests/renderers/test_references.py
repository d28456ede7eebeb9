# SPDX-License-Identifier: Apache-2.0
"""References come from the filmed track alone: near in pose, far in mouth, and steady."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dubplate_backend.renderers.neural_texture.references import assign_references, mouth_opening, reference_bank


def test_references_are_near_in_pose_and_different_in_mouth(small_shot):
    track = small_shot.track
    usable = np.flatnonzero(track.confidence > 0)
    bank = reference_bank(track, usable, 6)
    assert len(set(bank)) == len(bank) == 6 and set(bank) <= set(usable)
    chosen = assign_references(track, bank)
    opening = mouth_opening(track)
    differs = np.abs(opening - opening[chosen])[usable]
    assert np.median(differs) > 0.3 * np.ptp(opening[usable])
    turned = np.abs(track.rotation[:, 1] - track.rotation[chosen, 1])[usable]
    assert turned.mean() < 0.5 * np.ptp(track.rotation[:, 1])


def test_the_mouth_is_measured_by_the_jaw_where_the_track_has_no_lip_points(small_shot):
    few = replace(
        small_shot.track,
        landmark_index=np.array([1, 33, 263], np.int32),
        landmarks_px=small_shot.track.landmarks_px[:, [1, 33, 263]],
        projected_px=small_shot.track.projected_px[:, [1, 33, 263]],
    )
    assert np.argmax(mouth_opening(few)) == np.argmax(few.jaw[:, 0])
