# SPDX-License-Identifier: Apache-2.0
"""What Blender's timer does, for tests: it never fires without a window."""

from __future__ import annotations

import time
from collections.abc import Callable

TIMEOUT_S = 120.0


def tick_until(done: Callable[[], bool]) -> None:
    """Do what Blender's timer does, which never fires without a window."""
    from blender_addon import monitor

    deadline_s = time.monotonic() + TIMEOUT_S
    while not done():
        assert time.monotonic() < deadline_s
        interval_s = monitor._tick()
        assert not monitor.status().error, monitor.status().error
        time.sleep(min(interval_s or 0.0, 0.02))
