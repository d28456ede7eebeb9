# SPDX-License-Identifier: Apache-2.0
"""One measured figure, and how it is measured."""

import time
from collections.abc import Callable
from dataclasses import dataclass

MIN_ROUNDS = 3
MIN_SECONDS = 0.5
"""A figure is the least of all rounds within this time: what the machine can do, with the others' noise left out."""


@dataclass(frozen=True)
class Figure:
    """A measured value; `ratio` says how it stands to `against`, measured in the same run."""

    name: str  # dotted: benchmark.what.size
    value: float
    unit: str
    ratio: float | None = None
    against: str = ""  # completes "RATIO ...", such as "times the speed of pure torch"

    def line(self) -> str:
        """For a person."""
        beside = "" if self.ratio is None else f"{self.ratio:8.2f} {self.against}"
        return f"{self.name:42s} {self.value:12.3f} {self.unit:12s} {beside}".rstrip()


def least_seconds(work: Callable[[], object], *, rounds: int = MIN_ROUNDS, seconds: float = MIN_SECONDS) -> float:
    """The shortest of at least `rounds` runs of `work` that together take at least `seconds`, after one to warm up."""
    work()
    best, spent, count = float("inf"), 0.0, 0
    while count < rounds or spent < seconds:
        start = time.perf_counter()
        work()
        took = time.perf_counter() - start
        best, spent, count = min(best, took), spent + took, count + 1
    return best
