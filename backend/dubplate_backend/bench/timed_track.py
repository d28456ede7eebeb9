# SPDX-License-Identifier: Apache-2.0
"""A tracker run and timed by its stages."""

import time
from dataclasses import dataclass

from dubplate_backend.head.model import HeadModel
from dubplate_backend.tracking.frames import Frames
from dubplate_backend.tracking.settings import TrackSettings
from dubplate_backend.tracking.track import track
from dubplate_shared.progress import Progress
from dubplate_shared.track import Track


@dataclass(frozen=True)
class TimedTrack:
    """seconds: of the whole.   stages: name -> seconds, in the order in which they came; what no stage reported is the
    rest."""

    track: Track
    seconds: float
    stages: dict[str, float]


def timed_track(footage: Frames, head: HeadModel, *, photometric: bool) -> TimedTrack:
    """photometric: the tracker as it ships, or with landmarks alone."""
    stages = _Stages()
    tracked = track(footage, head=head, settings=TrackSettings(photometric=photometric), progress=stages)
    return TimedTrack(tracked.track, stages.passed(), {**stages.seconds, "rest": stages.since_last()})


class _Stages:
    """A progress callback: the time up to a report is that report's stage's."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def __call__(self, progress: Progress) -> None:
        self.seconds[progress.stage] = self.seconds.get(progress.stage, 0.0) + self.since_last()
        self._last = time.perf_counter()

    def since_last(self) -> float:
        return time.perf_counter() - self._last

    def passed(self) -> float:
        return time.perf_counter() - self._start
