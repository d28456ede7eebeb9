# SPDX-License-Identifier: Apache-2.0
"""`dubplate serve`: the backend that Blender talks to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

GIGABYTE = 10**9


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
    access: Annotated[
        Path | None, typer.Option(help="JSON file of who, by key, may use which actor. Default: everybody all.")
    ] = None,
    require_consent: Annotated[
        bool, typer.Option("--require-consent", help="Draw only actors whose record says that consent is granted.")
    ] = False,
    model_memory: Annotated[
        float | None,
        typer.Option(min=0, help="Gigabytes for shots and actors. Default: a quarter of the device's memory."),
    ] = None,
    cache_limit: Annotated[float, typer.Option(min=0, help="Gigabytes of plates kept by key; 0 is none.")] = 50.0,
    resume: Annotated[
        bool, typer.Option(help="Go on with jobs that an earlier backend left; else they wait to be resumed.")
    ] = True,
) -> None:
    """Serve renders to Blender and other clients on this machine, or with keys on the network, until stopped.

    Examples:

        dubplate serve --root shots --output-root plates

        dubplate serve --root /show/shots --root /show/actors --output-root /show/plates --idle-exit 3600

        dubplate serve --root /show --output-root /plates --require-consent --access access.json --cache-limit 500

        dubplate serve --root /show --output-root /plates --bind 0.0.0.0 --port 40060 --keys ~/.config/dubplate/keys
    """
    from dubplate_backend.server.consent import ConsentRule
    from dubplate_backend.server.policy import Policy
    from dubplate_backend.server.run import serve

    policy = Policy(
        access=access,
        consent=ConsentRule.GRANTED if require_consent else ConsentRule.NOT_REFUSED,
        model_bytes=None if model_memory is None else int(model_memory * GIGABYTE),
        cache_bytes=int(cache_limit * GIGABYTE),
        go_on=resume,
    )

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
        policy=policy,
    )
    if code:
        raise typer.Exit(code)
