# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is: the highest priority first, then the client that had the least time, then the oldest job."""

from __future__ import annotations

from collections.abc import Iterable

from dubplate_backend.jobs.job import Job


class Turns:
    """Shares the worker's time among clients. One thread at a time.

    A client that comes back, or comes first, starts level with whoever was served last: time that it did not ask for
    is not saved up.
    """

    def __init__(self) -> None:
        self._had_s: dict[str, float] = {}  # by client that waits or works
        self._level_s = 0.0

    def next(self, waiting: Iterable[Job]) -> Job | None:
        """The job to work at now, or None where nothing waits."""
        jobs = list(waiting)
        if not jobs:
            return None
        self._had_s = {job.client: self._had_s.get(job.client, self._level_s) for job in jobs}
        chosen = min(jobs, key=lambda job: (-job.priority, self._had_s[job.client], job.number))
        self._level_s = max(self._level_s, self._had_s[chosen.client])
        return chosen

    def spend(self, client: str, seconds: float) -> None:
        """The worker has given that client so much time."""
        self._had_s[client] = self._had_s.get(client, self._level_s) + seconds
