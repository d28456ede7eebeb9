# SPDX-License-Identifier: Apache-2.0
"""Kernels that release the interpreter's lock, shared out over plain threads.

Not numba's own pool: that one must not be entered from two threads at once, nor after a fork.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import torch

Item = TypeVar("Item")


def in_threads(work: Callable[[Item], None], items: Sequence[Item]) -> None:
    """Do `work` on every item, in as many threads as torch uses.  Raises what `work` raises."""
    workers = min(torch.get_num_threads(), len(items))
    if workers <= 1:
        for item in items:
            work(item)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, items))


def ranges(length: int, least: int) -> list[tuple[int, int]]:
    """0 .. length cut evenly into a range for each of torch's threads, none shorter than `least` unless alone."""
    count = max(1, min(torch.get_num_threads(), length // max(least, 1)))
    edges = [length * index // count for index in range(count + 1)]
    return list(pairwise(edges))
