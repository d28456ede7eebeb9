# SPDX-License-Identifier: Apache-2.0
"""What is done when the device's memory does not suffice for a batch.

The batch keeps its shape, since another shape gives other bits: caches are freed and the same frames drawn again, then
the first of them in company of nobody (the batch is padded), and then that frame fails alone.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

from dubplate_shared.errors import OutOfMemory

# Parts of the messages of errors that are no torch.OutOfMemoryError: torch's CPU allocator, CUDA's libraries.
_WORDS = ("can't allocate memory", "not enough memory", "CUDA error: out of memory", "STATUS_ALLOC_FAILED")
FRAME_FAILED = "the device's memory did not suffice, also with caches freed"

Value = TypeVar("Value")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this says that memory was wanted and not there."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _WORDS)


def free_caches() -> None:
    """Give back what nobody uses: Python's cycles, and torch's cached blocks on the GPU."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def tried_again(work: Callable[[], Value], free: Callable[[], object] = free_caches) -> Value:
    """What `work` gives; where memory does not suffice it is done once more, with what `free` gives back."""
    try:
        return work()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    free()
    return work()


@contextmanager
def told_plainly(device: str, what: str) -> Iterator[None]:
    """Want of memory as OutOfMemory.  what: did not fit."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"The memory of {device} did not suffice for {what}.",
            hint="Close other programs that use it, or use an actor of a smaller preset.",
        ) from error


class MemoryPatience:
    """How often the same frames are tried. most_failed: frames in a row after which it is no frame's fault."""

    def __init__(self, most_failed: int) -> None:
        self._most_failed = most_failed
        self._failed_in_a_row = 0
        self._last: tuple[int, ...] = ()  # what was left at the last failure
        self.alone = False  # draw the first frame without company

    def failed(self, left: Sequence[int], why: BaseException) -> int | None:
        """Memory did not suffice with these frames left to draw. The frame to give up, or None to try again.

        Raises OutOfMemory where one frame after the other fails.
        """
        progressed = tuple(left) != self._last
        self._last = tuple(left)
        if progressed and not self.alone:
            self._failed_in_a_row = 0
            return None
        if not self.alone:
            self.alone = True
            return None
        self.alone = False
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= self._most_failed:
            raise OutOfMemory(
                "The device's memory does not suffice for one frame after another.",
                hint="Close other programs that use it, or use an actor of a smaller preset; then retry the job.",
            ) from why
        self._last = tuple(left[1:])  # the next failure is the same trouble going on: no fresh patience
        return left[0]

    def went_well(self) -> None:
        """The frame drawn alone was drawn: go on with all."""
        self.alone = False
        self._failed_in_a_row = 0
