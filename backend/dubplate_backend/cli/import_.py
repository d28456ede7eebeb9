# SPDX-License-Identifier: Apache-2.0
"""`dubplate import`: other tools' files. One module a kind, `import_NAME.py`, each with `command`."""

from __future__ import annotations

from importlib import import_module

import typer

_KINDS = ("track", "take")


def group() -> typer.Typer:
    """`import` with its subcommands."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Bring in what other tools made.")
    for kind in _KINDS:
        app.command(kind)(import_module(f"dubplate_backend.cli.import_{kind}").command)
    return app
