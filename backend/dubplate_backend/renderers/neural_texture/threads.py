# SPDX-License-Identifier: Apache-2.0
"""A fixed number of CPU threads for as long as a pass takes: another number gives other bits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController


@contextmanager
def fixed_threads(count: int) -> Iterator[None]:
    """Run torch with `count` threads, then with as many as before; numpy's OpenBLAS with one, from then on."""
    _one_blas_thread()
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@cache
def _one_blas_thread() -> None:
    """The last bits of OpenBLAS's sums depend on how many threads it has, and those that have nothing to do spin: while
    plates are composited they took a quarter of a core for nothing.
    """
    for library in ThreadpoolController().select(internal_api="openblas").lib_controllers:
        library.set_num_threads(1)
