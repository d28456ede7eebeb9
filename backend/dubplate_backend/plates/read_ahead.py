# SPDX-License-Identifier: Apache-2.0
"""The next pictures are decoded while the present one is looked at."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from queue import Full, Queue
from threading import Event, Thread

import numpy as np

PICTURES_AHEAD = 3  # in memory beside the one in use; more do not help, as one side is always the slower
POLL_S = 0.1  # how soon the reader notices that nobody wants its pictures any more


def read_ahead(pictures: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same pictures in the same order, read by a thread of their own. Its errors are raised here."""
    queue: Queue[tuple[np.ndarray | None, BaseException | None]] = Queue(PICTURES_AHEAD)
    unwanted = Event()

    def give(item: tuple[np.ndarray | None, BaseException | None]) -> None:
        while not unwanted.is_set():
            try:
                return queue.put(item, timeout=POLL_S)
            except Full:
                continue

    def read() -> None:
        iterator = iter(pictures)
        try:
            for picture in iterator:
                give((picture, None))
                if unwanted.is_set():
                    return
            give((None, None))
        except BaseException as error:  # handed over whole, and raised where the pictures are used
            give((None, error))
        finally:
            if isinstance(iterator, Generator):
                iterator.close()  # here, where it ran, and not whenever it is collected

    thread = Thread(target=read, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            picture, error = queue.get()
            if error is not None:
                raise error
            if picture is None:
                return
            yield picture
    finally:
        unwanted.set()
        thread.join()
