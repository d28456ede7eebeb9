# SPDX-License-Identifier: Apache-2.0
"""The tracked head lies on the face: the figures that every later station stands on."""

from __future__ import annotations

import numpy as np

from dubplate_shared.landmarks import LIPS, landmark_error, lip_gap
from dubplate_shared.shot import Shot


def test_every_frame_is_tracked_and_the_head_lies_on_the_landmarks(shot: Shot) -> None:
    track = shot.track
    assert (track.confidence > 0).all()
    assert len(track.landmark_index) >= 468
    detected, projected = track.landmarks_px[:, :468], track.projected_px[:, :468]
    assert landmark_error(projected, detected).mean() <= 0.02
    assert landmark_error(projected, detected, LIPS).mean() <= 0.02
    assert np.abs(lip_gap(projected) - lip_gap(detected)).mean() <= 0.01


def test_the_jaw_carries_the_opening_of_the_mouth(shot: Shot) -> None:
    jaw_deg = np.degrees(shot.track.jaw[:, 0])
    assert jaw_deg.min() > -1.0
    assert np.ptp(jaw_deg) > 3.0
    assert np.corrcoef(jaw_deg, lip_gap(shot.track.landmarks_px[:, :468]))[0, 1] > 0.5
