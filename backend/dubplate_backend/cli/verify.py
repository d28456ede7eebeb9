# SPDX-License-Identifier: Apache-2.0
"""`dubplate verify`: are these plates whole, and is the source untouched outside their mattes?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    folder: Annotated[Path, typer.Argument(help="Version folder with manifest.json, such as out/v001.")],
    shot: Annotated[Path | None, typer.Option(help="Compare with the source plates of this shot, too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check delivered plates: file and pixel hashes, element over plate, the source's bits outside the matte.

    Exit code 3 where a plate is wrong.

    Examples:

        dubplate verify out/v001

        dubplate verify out/v001 --shot man.dubshot --json
    """
    import json
    from contextlib import nullcontext

    from dubplate_backend.cli.terminal import progress_bar
    from dubplate_backend.plates.verify import verify_plates
    from dubplate_shared.errors import ExitCode
    from dubplate_shared.progress import silent
    from dubplate_shared.shot import Shot

    with nullcontext(silent) if as_json else progress_bar("Verifying") as progress:  # JSON stands alone
        result = verify_plates(folder, None if shot is None else Shot.load(shot), progress)
    if as_json:
        print(json.dumps(result.to_json(), indent=2))
    else:
        for frame, what in result.wrong.items():
            print(f"{frame}: {what}")
        print(f"{len(result.frames) - len(result.wrong)} of {len(result.frames)} plates are right.")
    if result.wrong:
        raise typer.Exit(ExitCode.INVALID_INPUT)
