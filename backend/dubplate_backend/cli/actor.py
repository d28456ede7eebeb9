# SPDX-License-Identifier: Apache-2.0
"""`dubplate actor`: what is kept of a person, and its deletion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Roots = Annotated[list[Path], typer.Option("--root", help="Folder of shots and actors. May be repeated.")]
ActorFolder = Annotated[Path, typer.Argument(help="The actor's folder, NAME.dubactor.")]
OutputRoot = Annotated[
    Path | None, typer.Option("--output-root", help="Folder beneath which a backend writes plates, with its caches.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def group() -> typer.Typer:
    """`actor` with its subcommands."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Look at actors, or delete one.")
    app.command("list")(list_actors)
    app.command("show")(show)
    app.command("delete")(delete)
    return app


def list_actors(root: Roots, as_json: JsonOption = False) -> None:
    """List the actors beneath some folders, with their consent.

    Example:

        dubplate actor list --root /show/actors --root /show/shots
    """
    import json

    from dubplate_backend.actors.traces import packages
    from dubplate_shared.actor import ActorInfo
    from dubplate_shared.errors import DubplateError

    found = []
    for package in packages(root):
        try:
            info = ActorInfo.load(package)
        except DubplateError as error:
            found.append({"folder": str(package), "trouble": error.message})
            continue
        size = sum(file.stat().st_size for file in package.rglob("*") if file.is_file())
        consent = str(info.consent.get("status", "not recorded"))
        facts = {"name": info.name, "preset": info.preset, "consent": consent, "bytes": size}
        found.append({"folder": str(package), **facts})
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for facts in found:
        print("  ".join(f"{name}: {value}" for name, value in facts.items()))


def show(actor: ActorFolder, root: Roots, output_root: OutputRoot = None) -> None:
    """Print, as JSON, what an actor is and all that lies of it beneath the folders named.

    Example:

        dubplate actor show man.dubactor --root . --output-root plates
    """
    import json

    from dubplate_backend.actors.traces import find_traces

    traces = find_traces(actor, root, output_root)
    info = traces.actor
    card = {"preset": info.preset, "renderer": info.renderer, "shots": [dict(shot) for shot in info.shots]}
    print(json.dumps({**traces.to_json(), **card, "consent": dict(info.consent)}, indent=2))


def delete(
    actor: ActorFolder,
    root: Roots,
    output_root: OutputRoot = None,
    plates: Annotated[
        bool, typer.Option("--plates", help="Delete the plates that the actor was drawn into, too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it only say what would go.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete an actor: texture, adapted weights, checkpoints, caches, previews and jobs; then look for copies.

    Without --yes nothing is touched. Every file that goes is listed, and so is every file beneath the folders that
    still holds a piece of the actor: where there is one, the exit code is 3. Plates are deliveries and stay, unless
    --plates.

    Examples:

        dubplate actor delete man.dubactor --root shots --output-root plates

        dubplate actor delete man.dubactor --root shots --output-root plates --yes
    """
    import json
    from contextlib import nullcontext

    from dubplate_backend.actors.delete import delete_actor
    from dubplate_backend.actors.traces import find_traces
    from dubplate_backend.cli.terminal import progress_bar
    from dubplate_shared.errors import ExitCode
    from dubplate_shared.progress import silent

    traces = find_traces(actor, root, output_root)
    folders = [*root, actor.parent, *([output_root] if output_root else [])]
    with nullcontext(silent) if as_json else progress_bar("Deleting" if yes else "Looking") as progress:
        done = delete_actor(traces, folders, plates=plates, dry_run=not yes, progress=progress)
    if as_json:
        print(json.dumps({**done.to_json(), "dry_run": not yes}, indent=2))
    else:
        for file in done.deleted:
            print(f"{'deleted' if yes else 'would delete'} {file}")
        outcome = "are gone" if yes else "would go; say --yes to do it"
        print(f"{len(done.deleted)} files and {done.jobs} jobs {outcome}.")
        for file in done.copies:
            print(f"A piece of the actor is left in {file}")
        if not done.copies:
            print("No other file beneath these folders holds a piece of the actor.")
    if done.copies:
        raise typer.Exit(ExitCode.INVALID_INPUT)
