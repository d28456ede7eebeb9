# SPDX-License-Identifier: Apache-2.0
"""`dubplate cache`: the plates that a backend keeps by key, how much they take, and less of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dubplate_backend.plates.store import PlateStore

OutputRoot = Annotated[Path, typer.Argument(help="The backend's --output-root.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
GIGABYTE = 10**9


def group() -> typer.Typer:
    """`cache` with its subcommands."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Look at the plates kept by key.")
    app.command("report")(report)
    app.command("trim")(trim)
    return app


def report(output_root: OutputRoot, as_json: JsonOption = False) -> None:
    """Say how many plates are kept for which shots, and what they take.

    A plate shares its bytes with the delivered file until that is replaced, so what is its own counts.

    Examples:

        dubplate cache report plates

        dubplate cache report /show/plates --json
    """
    import json

    found = _store(output_root).report()
    if as_json:
        print(json.dumps(found.to_json(), indent=2))
        return
    print(
        f"{found.plates} plates, {found.bytes / GIGABYTE:.2f} GB in {found.folder};"
        f" {found.own_bytes / GIGABYTE:.2f} GB of them are in no delivered file."
    )
    for shot, size in found.shots.items():
        print(f"  {shot}: {size / GIGABYTE:.2f} GB")


def trim(
    output_root: OutputRoot,
    limit: Annotated[float, typer.Option(min=0, help="Gigabytes that may stay; 0 removes all.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove what was used longest ago. Delivered plates stay; what is removed is drawn again when it is wanted.

    Examples:

        dubplate cache trim plates --limit 20 --dry-run

        dubplate cache trim plates --limit 0
    """
    import json

    plates, size = _store(output_root).trim(int(limit * GIGABYTE), dry_run=dry_run)
    if as_json:
        print(json.dumps({"plates": plates, "bytes": size, "dry_run": dry_run}, indent=2))
        return
    print(f"{plates} plates, {size / GIGABYTE:.2f} GB {'would go' if dry_run else 'removed'}.")


def _store(output_root: Path) -> PlateStore:
    from dubplate_backend.plates.store import STATE_FOLDER, PlateStore
    from dubplate_shared.errors import InvalidInput

    if not output_root.is_dir():
        raise InvalidInput(f"{output_root} is no folder.", hint="Name the folder that `dubplate serve` writes beneath.")
    return PlateStore(output_root / STATE_FOLDER / "plates")
