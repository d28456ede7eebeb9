# SPDX-License-Identifier: Apache-2.0
"""The next pictures are decoded, or prepared, while the present one is looked at."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")

PICTURES_AHEAD = 3  # in memory beside the one in use; more do not help, as one side is always the slower
POLL_S = 0.1  # how soon the reader notices that nobody wants its pictures any more


def read_ahead(items: Iterable[Item], ahead: int = PICTURES_AHEAD) -> Iterator[Item]:
    """The same items in the same order, made by a thread of their own. Its errors are raised here.

    ahead: how many wait at most, beside the one in use and the one in the making.
    """
    queue: Queue[tuple[tuple[Item, ...], BaseException | None]] = Queue(ahead)
    unwanted = Event()

    def give(item: tuple[Item, ...], error: BaseException | None = None) -> None:
        while not unwanted.is_set():
            try:
                return queue.put((item, error), timeout=POLL_S)
            except Full:
                continue

    def read() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                give((item,))
                if unwanted.is_set():
                    return
            give(())
        except BaseException as error:  # handed over whole, and raised where the items are used
            give((), error)
        finally:
            if isinstance(iterator, Generator):
                iterator.close()  # here, where it ran, and not whenever it is collected

    thread = Thread(target=read, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = queue.get()
            if error is not None:
                raise error
            if not item:
                return
            yield item[0]
    finally:
        unwanted.set()
        thread.join()
