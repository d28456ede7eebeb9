# SPDX-License-Identifier: Apache-2.0
"""Colours steady the head: frames warped to one another through it agree better than with landmarks alone."""

from __future__ import annotations

from pathlib import Path

from dubplate_backend.bench.lip_warp import sample_lips, warp_difference
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.footage import Footage
from dubplate_backend.tracking.settings import TrackSettings
from dubplate_backend.tracking.track import track
from dubplate_shared.shot import Shot

LAGS = (1, 5)


def test_lips_warped_through_the_head_agree_better_than_by_landmarks_alone(
    speaker: Path, speaker_shot: Shot, head: HeadModel
) -> None:
    footage = Footage.open(speaker)
    alone = track(footage, head=head, settings=TrackSettings(photometric=False)).track
    by_colours, by_landmarks = (
        warp_difference(head, sample_lips(head, found, footage.iter()), LAGS) for found in (speaker_shot.track, alone)
    )
    assert by_colours < 0.95 * by_landmarks
