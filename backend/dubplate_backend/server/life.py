# SPDX-License-Identifier: Apache-2.0
"""Whether work that does not go forward is at it at all: a slow step uses the processor, a stuck one does not."""

from __future__ import annotations

import time
from collections.abc import Callable

LIFE_SHARE = 0.1  # of one core: a process that only answers pings and waits uses a hundredth
LEAST_WINDOW_S = 0.25  # over which the share is taken


class Life:
    """Looked at with every ping; one thread at a time.  clock, used: seconds, monotonic and of the processor."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, used: Callable[[], float] = time.process_time
    ) -> None:
        self._clock, self._used = clock, used
        self._seen_s = self._lived_s = clock()
        self._used_s = used()

    def still_s(self, progress_age_s: float | None) -> float | None:
        """Seconds for which there was neither progress nor use of the processor; None where nothing is to be done.

        progress_age_s: since the work last went forward, None where there is none.
        """
        now_s = self._clock()
        window_s = now_s - self._seen_s
        if window_s >= LEAST_WINDOW_S:
            used_s = self._used()
            if used_s - self._used_s > LIFE_SHARE * window_s:
                self._lived_s = now_s
            self._seen_s, self._used_s = now_s, used_s
        return None if progress_age_s is None else min(progress_age_s, now_s - self._lived_s)
