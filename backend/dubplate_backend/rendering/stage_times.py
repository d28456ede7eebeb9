# SPDX-License-Identifier: Apache-2.0
"""Where a render's time went."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock


class StageTimes:
    """Seconds by stage, added up over all threads, so that stages beside one another may exceed the wall's time."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._lock = Lock()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what is inside."""
        started_s = self._clock()
        try:
            yield
        finally:
            with self._lock:
                self._seconds[name] = self._seconds.get(name, 0.0) + self._clock() - started_s

    def seconds(self) -> dict[str, float]:
        """By stage, in the order in which they first ended."""
        with self._lock:
            return dict(self._seconds)
