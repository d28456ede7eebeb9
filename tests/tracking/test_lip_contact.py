# SPDX-License-Identifier: Apache-2.0
"""Where a person sees the man's lips touch, the tracked lips touch; where they are seen apart, they are apart."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dubplate_backend.bench.tracking_scores import contact_scores, lip_gap_mm
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.footage import Footage
from dubplate_backend.plates.segment import Segment
from dubplate_backend.tracking.settings import TrackSettings
from dubplate_backend.tracking.track import track
from footage import clip

LABELS = Path(__file__).parent / "labels" / "kitchen_man_lip_contact.csv"
START, STOP = 114, 134  # closed, open for a vowel, closed, open


def labels() -> dict[int, str]:
    with LABELS.open(newline="", encoding="utf-8") as file:
        return {int(row["frame"]): row["contact"] for row in csv.DictReader(file)}


def test_the_labels_are_sure_of_sixty_frames_all_over_the_clip_and_say_why_others_are_not() -> None:
    with LABELS.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kinds = Counter(row["contact"] for row in rows)
    assert set(kinds) == {"yes", "no", "unsure"}
    assert kinds["yes"] + kinds["no"] >= 60
    assert min(kinds["yes"], kinds["no"]) >= 20
    assert all(row["remark"] for row in rows if row["contact"] == "unsure")
    frames = np.array([int(row["frame"]) for row in rows])
    assert len(np.unique(frames)) == len(frames)
    assert (np.histogram(frames, bins=5, range=(0, 502))[0] >= 10).all()


@pytest.fixture(scope="module")
def gap_mm(head: HeadModel) -> np.ndarray:
    footage = Footage.open(clip("kitchen_man_25fps.mp4"))
    tracked = track(Segment(footage, START, STOP), head=head, settings=TrackSettings()).track
    return lip_gap_mm(head, tracked)


def test_closed_mouths_close_and_open_ones_stay_open(gap_mm: np.ndarray) -> None:
    sure = {frame: kind for frame, kind in labels().items() if START <= frame < STOP and kind != "unsure"}
    frames = np.array(sorted(sure)) - START
    touching = np.array([sure[frame + START] == "yes" for frame in frames])
    assert touching.sum() >= 4
    assert (~touching).sum() >= 2
    score = contact_scores(gap_mm, frames, touching)
    print(score, np.round(gap_mm[frames], 2))
    assert score.recall >= 0.95
    assert score.precision >= 0.9
