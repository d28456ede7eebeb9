# SPDX-License-Identifier: Apache-2.0
"""Frames are composited and written by a few threads while the next ones are drawn; what comes out keeps its order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

import numpy as np

from dubplate_backend.compositing.background import Segmenter
from dubplate_shared.errors import Cancelled

Item = TypeVar("Item")
Result = TypeVar("Result")

BYTES_A_PIXEL = 150  # of one frame's layers, their copies when a file is read back, and a composite's own needs
MOST_BYTES = 2 << 30  # that all threads may take together
BATCHES_WAITING = 1  # drawn frames that may wait: while they are finished the network draws the next batch


def finishing_threads(height: int, width: int) -> int:
    """How many frames of this size are finished at once: as many as there are cores, where memory allows."""
    return max(1, min(os.cpu_count() or 1, MOST_BYTES // (height * width * BYTES_A_PIXEL)))


def in_order(work: Callable[[Item], Result], items: Iterable[Item], *, threads: int, waiting: int) -> Iterator[Result]:
    """Results of `work` in the order of `items`, done by `threads` threads with at most `waiting` more items taken.

    Raises what `work` raises, and what `items` raises after the results of the items before it; a stop leaves out those
    that nobody has begun.
    """
    begun: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="finish") as pool:
        try:
            source = iter(items)
            failure: BaseException | None = None
            while True:
                try:
                    item = next(source)
                except StopIteration:
                    break
                except Exception as error:  # what was drawn before it is still finished
                    failure = error
                    if isinstance(error, Cancelled):
                        for future in begun:
                            future.cancel()
                    break
                begun.append(pool.submit(work, item))
                while begun and (begun[0].done() or len(begun) >= threads + waiting):
                    yield begun.popleft().result()
            while begun:
                future = begun.popleft()
                if not future.cancelled():
                    yield future.result()
            if failure is not None:
                raise failure
        finally:
            for future in begun:
                future.cancel()


class SharedSegmenter:
    """A segmenter that several threads ask: one at a time, since MediaPipe's graph takes no two at once."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.size, self.context = segmenter.size, segmenter.context
        self._segmenter = segmenter
        self._lock = Lock()

    def person(self, rgb: np.ndarray) -> np.ndarray:
        with self._lock:
            return self._segmenter.person(rgb)

    def key(self) -> str:
        return self._segmenter.key()

    def close(self) -> None:
        self._segmenter.close()
