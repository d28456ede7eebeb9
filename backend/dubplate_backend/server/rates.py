# SPDX-License-Identifier: Apache-2.0
"""How often a client may ask: a bucket of tokens each, filled again with time."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

REQUESTS_A_SECOND = 1000.0  # dragging a slider asks 60 times; a blocking loop over the loopback some hundred
BURST = 2000.0
BULK_REQUESTS_A_SECOND = 250.0  # a preview and its credit, 60 times
BULK_BURST = 500.0
CLIENTS_KEPT = 1024  # beyond it the one that was silent longest begins anew


class Rates:
    """One thread at a time.  clock: monotonic seconds."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, rate: float = REQUESTS_A_SECOND, burst: float = BURST
    ) -> None:
        self._clock = clock
        self._rate, self._burst = rate, burst
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()  # route -> tokens, when

    def allows(self, route: bytes) -> bool:
        """Whether this client may ask once more now; counts it if so."""
        now_s = self._clock()
        tokens, then_s = self._buckets.get(route, (self._burst, now_s))
        tokens = min(self._burst, tokens + (now_s - then_s) * self._rate)
        allowed = tokens >= 1.0
        self._buckets[route] = (tokens - 1.0 if allowed else tokens, now_s)
        self._buckets.move_to_end(route)
        while len(self._buckets) > CLIENTS_KEPT:
            self._buckets.popitem(last=False)
        return allowed
