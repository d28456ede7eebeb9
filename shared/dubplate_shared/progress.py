# SPDX-License-Identifier: Apache-2.0
"""How long work reports and is stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dubplate_shared.errors import Cancelled


@dataclass(frozen=True)
class Progress:
    """`done` of `total` steps of `stage`."""

    done: int
    total: int
    stage: str = ""


ProgressCallback = Callable[[Progress], None]
Stop = Callable[[], bool]


def silent(_: Progress) -> None:
    """A progress callback for callers that do not watch."""


def never() -> bool:
    """A stop signal that never comes."""
    return False


def check(stop: Stop) -> None:
    """Raise Cancelled if `stop` says so."""
    if stop():
        raise Cancelled("Stopped as asked.", hint="Finished files are complete; run the same command again to go on.")
