# SPDX-License-Identifier: Apache-2.0
"""Renders stand back for whoever waits in front of a screen, but never for longer than they work."""

from __future__ import annotations

import time
from collections.abc import Callable

from dubplate_shared.progress import Stop

LONGEST_WAY_S = 1.0  # a render rests so long, and then works for as long whatever is asked
WAY_STEP_S = 0.01


class Courtesy:
    """One thread at a time.  wanted: whether somebody in front of a screen wants the device."""

    def __init__(self, wanted: Callable[[], bool]) -> None:
        self._wanted = wanted
        self._goes_on_from_s = 0.0  # until then it has given way for long enough

    def give_way(self, stop: Stop) -> None:
        """Wait while the device is wanted, at most half of the time, and not once `stop` says so."""
        began_s = now_s = time.monotonic()
        while began_s >= self._goes_on_from_s and now_s - began_s < LONGEST_WAY_S and self._wanted() and not stop():
            time.sleep(WAY_STEP_S)
            now_s = time.monotonic()
        if now_s - began_s >= LONGEST_WAY_S:
            self._goes_on_from_s = now_s + LONGEST_WAY_S
