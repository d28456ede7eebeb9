# SPDX-License-Identifier: Apache-2.0
"""`dubplate verify`: are these plates whole, and is the source untouched outside their mattes?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    out: Annotated[Path, typer.Argument(help="Output folder, all of whose versions are looked at; or one version.")],
    shot: Annotated[Path | None, typer.Option(help="Compare with the source plates of this shot, too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Prove a delivery from its manifest: every plate is there with its bytes and pixels, and no other lies beside it.

    With --shot also that element over plate is the composite, and that outside the matte the source's bits stand.
    Exit code 3 where a plate is wrong, missing, or not the manifest's.

    Examples:

        dubplate verify out

        dubplate verify out/v001

        dubplate verify out/v001 --shot man.dubshot --json
    """
    import json
    from contextlib import nullcontext

    from dubplate_backend.cli.terminal import progress_bar
    from dubplate_backend.plates.verify import verify_plates, versions
    from dubplate_shared.errors import ExitCode
    from dubplate_shared.progress import silent
    from dubplate_shared.shot import Shot

    with nullcontext(silent) if as_json else progress_bar("Verifying") as progress:  # JSON stands alone
        source = None if shot is None else Shot.load(shot)
        results = [verify_plates(folder, source, progress) for folder in versions(out)]
    if as_json:
        print(json.dumps([result.to_json() for result in results], indent=2))
    else:
        for result in results:
            for frame, what in result.wrong.items():
                print(f"{result.folder.name} {frame}: {what}")
            for name in result.unknown:
                print(f"{result.folder.name} {name}: the manifest does not have it")
            right = len(result.frames) - len(result.wrong)
            print(f"{result.folder.name}: {right} of {len(result.frames)} plates are right.")
    if not all(result.right for result in results):
        raise typer.Exit(ExitCode.INVALID_INPUT)
