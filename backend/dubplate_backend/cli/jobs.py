# SPDX-License-Identifier: Apache-2.0
"""`dubplate jobs`: what a running backend works at, live, and a hand on it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Group

    from dubplate_backend.server.asking import Asking
    from dubplate_shared.messages import JobInfo, Message

LOOK_INTERVAL_S = 0.5

ConnectionOption = Annotated[
    Path | None,
    typer.Option("--connection", help="The backend's connection file. Default: in the user's cache folder."),
]
KeyOption = Annotated[Path | None, typer.Option("--key", help="Your NAME.key, for a backend on a network.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
IdsArgument = Annotated[list[str], typer.Argument(help="Ids of jobs.")]


def group() -> typer.Typer:
    """`jobs` with its subcommands."""
    app = typer.Typer(rich_markup_mode="markdown", invoke_without_command=True)
    app.callback()(watch)
    for command in (show, cancel, pause, resume, retry, priority):
        app.command(command.__name__)(command)
    return app


def watch(
    context: typer.Context,
    connection: ConnectionOption = None,
    key: KeyOption = None,
    once: Annotated[bool, typer.Option("--once", help="Show them once instead of until Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a backend's jobs, live on a terminal, until Ctrl-C.

    Examples:

        dubplate jobs

        dubplate jobs --once --json

        dubplate jobs cancel 3f2a90c41b7e

        dubplate jobs priority 3f2a90c41b7e 10
    """
    if context.invoked_subcommand is not None:
        return
    import json
    import sys
    import time

    from rich.console import Console
    from rich.live import Live

    from dubplate_shared.messages import JobInfos, JobList

    with _asking(connection, key) as asking:

        def jobs() -> Sequence[JobInfo]:
            return asking.ask(JobList(), JobInfos).jobs

        if as_json:
            print(json.dumps([_facts(job) for job in jobs()], indent=2))
            return
        if once or not sys.stdout.isatty():
            Console().print(_picture(jobs()))
            return
        with Live(_picture(jobs()), refresh_per_second=1 / LOOK_INTERVAL_S) as live:
            while True:
                time.sleep(LOOK_INTERVAL_S)
                live.update(_picture(jobs()))


def show(
    job: Annotated[str, typer.Argument(help="Its id.")], connection: ConnectionOption = None, key: KeyOption = None
) -> None:
    """Print all that is known of a job, as JSON.

    Example:

        dubplate jobs show 3f2a90c41b7e
    """
    import json

    from dubplate_shared.messages import JobInfo, JobShow

    with _asking(connection, key) as asking:
        print(json.dumps(_facts(asking.ask(JobShow(job), JobInfo)), indent=2))


def cancel(jobs: IdsArgument, connection: ConnectionOption = None, key: KeyOption = None) -> None:
    """Stop jobs; plates that stand are whole, and stay.

    Example:

        dubplate jobs cancel 3f2a90c41b7e
    """
    from dubplate_shared.messages import JobCancel

    _tell([JobCancel(job) for job in jobs], connection, key)


def pause(jobs: IdsArgument, connection: ConnectionOption = None, key: KeyOption = None) -> None:
    """Let jobs rest until they are resumed.

    Example:

        dubplate jobs pause 3f2a90c41b7e
    """
    from dubplate_shared.messages import JobPause

    _tell([JobPause(job) for job in jobs], connection, key)


def resume(jobs: IdsArgument, connection: ConnectionOption = None, key: KeyOption = None) -> None:
    """Let paused jobs go on: those paused by hand, and those that a full disk has paused.

    Example:

        dubplate jobs resume 3f2a90c41b7e
    """
    from dubplate_shared.messages import JobResume

    _tell([JobResume(job) for job in jobs], connection, key)


def retry(jobs: IdsArgument, connection: ConnectionOption = None, key: KeyOption = None) -> None:
    """Queue jobs again that failed or were cancelled; plates that stand are not drawn again.

    Example:

        dubplate jobs retry 3f2a90c41b7e
    """
    from dubplate_shared.messages import JobRetry

    _tell([JobRetry(job) for job in jobs], connection, key)


def priority(
    job: Annotated[str, typer.Argument(help="Its id.")],
    value: Annotated[int, typer.Argument(min=-100, max=100, help="Who has more goes first; 0 is usual.")],
    connection: ConnectionOption = None,
    key: KeyOption = None,
) -> None:
    """Let a job go before others, or after them.

    Example:

        dubplate jobs priority 3f2a90c41b7e 10
    """
    from dubplate_shared.messages import JobPrioritise

    _tell([JobPrioritise(job, value)], connection, key)


def _tell(messages: Sequence[Message], connection: Path | None, key: Path | None) -> None:
    from dubplate_shared.messages import JobInfo

    with _asking(connection, key) as asking:
        for message in messages:
            info = asking.ask(message, JobInfo)
            print(f"{info.job}: {info.state}")


def _asking(connection: Path | None, key: Path | None) -> AbstractContextManager[Asking]:
    from dubplate_backend.server.asking import Asking
    from dubplate_backend.server.run import default_connection_file

    return Asking(connection or default_connection_file(), key)


def _facts(job: JobInfo) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(job)


def _picture(jobs: Sequence[JobInfo]) -> Group:
    """A table of the jobs, and beneath it what is in the way of some."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None)
    for heading in ("job", "state", "priority", "done"):
        table.add_column(heading, no_wrap=True)
    for heading in ("stage", "shot", "frames", "output"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for job in jobs:
        done = f"{job.done}/{job.total}"
        table.add_row(job.job, job.state, str(job.priority), done, _stages(job), job.shot, job.frames, job.output)
    troubles = [Text(f"{job.job}: {job.error.detail} → {job.error.hint}") for job in jobs if job.error]
    return Group(table, *troubles)


def _stages(job: JobInfo) -> str:
    """What a job is at; of one that has ended, which stages took how long."""
    from dubplate_shared.messages import JobState

    if not (job.stages and JobState(job.state).final):
        return job.stage
    longest = sorted(job.stages.items(), key=lambda stage: -stage[1])
    return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in longest)
