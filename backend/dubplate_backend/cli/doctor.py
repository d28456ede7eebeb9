# SPDX-License-Identifier: Apache-2.0
"""`dubplate doctor`: a health report of this machine."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def command(
    head: Annotated[str | None, typer.Option(help="Head model to check: a FLAME file or folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Report Python, device, head model, rasteriser, models, Blender and disk, and how to mend what is missing.

    Examples:

        dubplate doctor

        dubplate doctor --json --head ~/FLAME2020
    """
    from rich.console import Console
    from rich.table import Table

    from dubplate_backend import health
    from dubplate_shared.errors import ExitCode

    findings = health.examine(head)
    report = health.as_json(findings)
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        table = Table(box=None, show_header=False)
        marks = {
            health.Level.OK: "[green]ok",
            health.Level.WARNING: "[yellow]warning",
            health.Level.ERROR: "[red]error",
        }
        for finding in findings:
            table.add_row(marks[finding.level], finding.name, finding.detail)
            if finding.mend:
                table.add_row("", "", f"→ {finding.mend}")
        Console().print(table)
    if report["level"] == health.Level.ERROR:
        raise typer.Exit(ExitCode.INVALID_INPUT)
