# SPDX-License-Identifier: Apache-2.0
"""The `dubplate` command: registers the subcommands and turns errors into exit codes."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import typer
from rich.console import Console

from dubplate_backend.cli import actor, cache, import_, jobs, keys, study
from dubplate_shared import __version__
from dubplate_shared.errors import DubplateError

# Command -> module of this package; each module has `command`, and imports heavy things only when it runs.
_COMMANDS = (
    "demo",
    "track",
    "repair",
    "speak",
    "adapt",
    "train",
    "render",
    "evaluate",
    "serve",
    "verify",
    "doctor",
    "export",
)
_EPILOG = (
    "Exit codes: 0 ok, 2 usage, 3 invalid input, 10 no backend, 11 mismatch, 12 backend lost, 13 out of memory, "
    "14 output not writable, 20 some frames failed, 21 nothing to do, 130 stopped, 143 terminated."
)


def _version(asked: bool) -> None:
    if asked:
        print(f"dubplate {__version__}")
        raise typer.Exit


def application() -> typer.Typer:
    """The command line with all its subcommands."""
    app = typer.Typer(
        name="dubplate",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        epilog=_EPILOG,
    )

    @app.callback()
    def main(
        version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
    ) -> None:
        """Visual dubbing that a film crew can direct."""

    for name in _COMMANDS:
        app.command(name)(import_module(f"dubplate_backend.cli.{name}").command)
    app.add_typer(import_.group(), name="import")
    app.add_typer(study.group(), name="study")
    app.add_typer(keys.group(), name="keys")
    app.add_typer(jobs.group(), name="jobs")
    app.add_typer(cache.group(), name="cache")
    app.add_typer(actor.group(), name="actor")
    return app


def run(arguments: list[str] | None = None) -> None:
    """Entry point: runs a subcommand and exits with the code of `ExitCode` that fits."""
    from dubplate_backend.cli.terminal import stop_on_signals

    # Threads that wait must sleep: spinning, two processes on the same cores (a server and a training run) stall each
    # other tenfold. Read once, when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        with stop_on_signals():
            application()(arguments)
    except DubplateError as error:
        _show(error)
        sys.exit(int(error.exit_code))


def _show(error: DubplateError) -> None:
    console = Console(stderr=True)
    console.print(f"[bold red]Error[/] \\[{error.code}]: ", end="")
    console.print(error.message, markup=False, highlight=False)
    if error.hint:
        console.print(f"  → {error.hint}", markup=False, highlight=False)
    if not sys.stderr.isatty():
        print(f"openjd_fail: {error.message}", flush=True)


if __name__ == "__main__":
    run()
