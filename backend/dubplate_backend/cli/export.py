# SPDX-License-Identifier: Apache-2.0
"""`dubplate export`: a shot's tracked head for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_FORMATS = ("vhap",)


def command(
    shot: Annotated[Path, typer.Argument(help="A shot package, NAME.dubshot.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    form: Annotated[str, typer.Option("--format", help="vhap: VHAP's tracked_flame_params.npz.")] = "vhap",
) -> None:
    """Write a shot's head as another tool's file. Alembic and USD come from Blender: File > Export.

    Examples:

        dubplate export man.dubshot -o tracked_flame_params_0.npz --format vhap

        blender --command dubplate export --blend man.blend --out man.abc
    """
    from rich.console import Console

    from dubplate_backend.interchange.export_vhap import export_vhap
    from dubplate_shared.shot import Shot

    if form not in _FORMATS:
        raise typer.BadParameter(f"--format {form}: choose {', '.join(_FORMATS)}.")
    notes = export_vhap(Shot.load(shot), out)
    console = Console()
    console.print(str(out), markup=False)
    for note in notes:
        console.print(f"Warning: {note}", style="yellow", markup=False, highlight=False)
