# SPDX-License-Identifier: Apache-2.0
"""What people and farms see: progress bars on a terminal, `openjd_progress:` lines elsewhere, and stop signals."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from dubplate_shared.errors import Cancelled, ExitCode
from dubplate_shared.progress import Progress, ProgressCallback

_LINE_INTERVAL_S = 1.0  # farms store every line; one a second is what their logs are read at


class Terminated(Cancelled):
    """SIGTERM: a farm takes the task back."""

    exit_code = ExitCode.TERMINATED
    code = "terminated"


@contextmanager
def progress_bar(description: str) -> Iterator[ProgressCallback]:
    """A callback that draws a bar on a terminal and writes Open Job Description lines where none is attached."""
    if sys.stderr.isatty():
        with _rich_bar(description) as callback:
            yield callback
    else:
        yield _line_writer(description)


@contextmanager
def _rich_bar(description: str) -> Iterator[ProgressCallback]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(description, total=None)

        def show(progress: Progress) -> None:
            text = f"{description}: {progress.stage}" if progress.stage else description
            bars.update(task, completed=progress.done, total=progress.total, description=text)

        yield show


def _line_writer(description: str) -> ProgressCallback:
    last_time = -_LINE_INTERVAL_S
    last_stage: str | None = None

    def write(progress: Progress) -> None:
        nonlocal last_time, last_stage
        now = time.monotonic()
        finished = progress.done >= progress.total
        if now - last_time < _LINE_INTERVAL_S and progress.stage == last_stage and not finished:
            return
        if progress.stage != last_stage:
            print(f"openjd_status: {description}{': ' if progress.stage else ''}{progress.stage}", flush=True)
        print(f"openjd_progress: {100.0 * progress.done / max(progress.total, 1):.1f}", flush=True)
        last_time, last_stage = now, progress.stage

    return write


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into exceptions: nothing half-written stays, and the exit code says which it was."""

    def stop(number: int, _frame: FrameType | None) -> None:
        kind = Terminated if number == signal.SIGTERM else Cancelled
        raise kind("Stopped.", hint="Finished files are complete; run the same command again to go on.")

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
