# SPDX-License-Identifier: Apache-2.0
"""`dubplate keys`: who may reach a backend over a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dubplate_backend.server.key_folder import KeyFolder

_FOLDER = typer.Option(help="Where keys lie. Default: the user's configuration, or $DUBPLATE_KEYS.")
Folder = Annotated[Path | None, _FOLDER]


def group() -> typer.Typer:
    """The subcommands."""
    app = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode="markdown",
        help="Make, allow and revoke the keys with which a backend is reached over a network.\n\n"
        "On the backend's machine: `dubplate keys make backend`, then `dubplate keys allow anna.pub`, then "
        "`dubplate serve --bind 0.0.0.0 --keys FOLDER`. On Anna's: `dubplate keys make anna`; she sends anna.pub, "
        "keeps anna.key, and gets the connection file.",
    )
    app.command("make")(make)
    app.command("allow")(allow)
    app.command("revoke")(revoke)
    app.command("list")(show)
    return app


def make(
    name: Annotated[str, typer.Argument(help="Whose: backend for the backend's own, else a person's or machine's.")],
    folder: Folder = None,
) -> None:
    """Make a pair of keys: NAME.key stays here, NAME.pub is given to the other side.

    Example:

        dubplate keys make anna
    """
    keys = _keys(folder)
    public = keys.make(name)
    print(f"Secret, for this machine alone: {public.with_suffix('.key')}")
    print(f"Public, to give away: {public}")


def allow(
    public: Annotated[Path, typer.Argument(help="NAME.pub, as its owner has sent it.")], folder: Folder = None
) -> None:
    """Let the owner of a public key in, also while the backend runs.

    Example:

        dubplate keys allow anna.pub
    """
    print(f"Allowed: {_keys(folder).allow(public).name}")


def revoke(name: Annotated[str, typer.Argument(help="As in `dubplate keys list`.")], folder: Folder = None) -> None:
    """Let somebody in no more. Connections that stand go on until the backend is started anew.

    Example:

        dubplate keys revoke anna
    """
    _keys(folder).revoke(name)
    print(f"Revoked: {name}")


def show(folder: Folder = None) -> None:
    """List the pairs made here, and who is allowed.

    Example:

        dubplate keys list
    """
    keys = _keys(folder)
    print(f"Folder: {keys.path}")
    print(f"Pairs: {', '.join(keys.own()) or 'none'}")
    print(f"Allowed: {', '.join(key.name for key in keys.allowed()) or 'nobody'}")


def _keys(folder: Path | None) -> KeyFolder:
    from dubplate_backend.server.key_folder import KeyFolder, default_key_folder

    return KeyFolder(folder or default_key_folder())
