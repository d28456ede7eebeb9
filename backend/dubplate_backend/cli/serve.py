# SPDX-License-Identifier: Apache-2.0
"""`dubplate serve`: the backend that Blender talks to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    root: Annotated[list[Path], typer.Option(help="Folder of shots and actors for clients to name. May be repeated.")],
    output_root: Annotated[Path, typer.Option(help="Folder beneath which plates are written.")],
    connection: Annotated[
        Path | None, typer.Option(help="Where to write how to connect. Default: in the user's cache folder.")
    ] = None,
    head: Annotated[str | None, typer.Option(help="Head model: a FLAME file, or none for the stand-in.")] = None,
    bind: Annotated[str, typer.Option(help="Address to listen on; any but the loopback's needs --keys.")] = "127.0.0.1",
    keys: Annotated[
        Path | None, typer.Option(help="Folder of keys: encrypt, and let in who is allowed there (dubplate keys).")
    ] = None,
    port: Annotated[int | None, typer.Option(help="First of four ports in a row. Default: free ones.")] = None,
    idle_exit: Annotated[float | None, typer.Option(help="End after so many idle seconds.")] = None,
    parent_pid: Annotated[int | None, typer.Option(help="End when the process of this id does.")] = None,
) -> None:
    """Serve renders to Blender and other clients on this machine, or with keys on the network, until stopped.

    Examples:

        dubplate serve --root shots --output-root plates

        dubplate serve --root /show/shots --root /show/actors --output-root /show/plates --idle-exit 3600

        dubplate serve --root /show --output-root /plates --bind 0.0.0.0 --port 40060 --keys ~/.config/dubplate/keys
    """
    from dubplate_backend.server.run import serve

    code = serve(
        roots=tuple(root),
        output_root=output_root,
        connection_file=connection,
        head=head,
        address=bind,
        keys=keys,
        first_port=port,
        idle_exit_s=idle_exit,
        parent_pid=parent_pid,
    )
    if code:
        raise typer.Exit(code)
