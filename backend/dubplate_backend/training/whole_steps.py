# SPDX-License-Identifier: Apache-2.0
"""Signals that wait until a step is over: a checkpoint of half a step would go on to other weights."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_HELD = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def whole_steps() -> Iterator[None]:
    """Ctrl-C and SIGTERM reach their handlers after the block. In threads other than the main one it does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[tuple[int, FrameType | None]] = []
    before = {number: signal.signal(number, lambda *arrived: waiting.append(arrived)) for number in _HELD}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number, _ in waiting[:1]:
        signal.raise_signal(number)
