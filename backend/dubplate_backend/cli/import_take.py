# SPDX-License-Identifier: Apache-2.0
"""`dubplate import take`: a performance of another tool to a take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def command(
    file: Annotated[
        Path, typer.Argument(help="Live Link Face .csv, Audio2Face .json, vertices .npy, or another shot.")
    ],
    shot: Annotated[Path, typer.Argument(help="The shot package that gets the take.")],
    take: Annotated[str, typer.Option(help="Name of the take to store in the shot.")],
    fps: Annotated[float | None, typer.Option(help="The file's rate, where it does not say or says wrong.")] = None,
    start: Annotated[
        str,
        typer.Option(help="Where it begins: seconds into the shot, a time code of it, or 'timecode': the file's own."),
    ] = "0",
    audio: Annotated[Path | None, typer.Option(help="The voice that belongs to the performance.")] = None,
    upper_face: Annotated[
        str | None,
        typer.Option(help="Eyes and brows: 'filmed' or 'imported'. Default: imported from Live Link Face alone."),
    ] = None,
    neutral: Annotated[Path | None, typer.Option(help="Vertices: the resting face, .npy of (5023, 3).")] = None,
    sequence: Annotated[
        str | None, typer.Option(help="Vertices: which, where the file holds several. Shot: which take; `tracked`.")
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(min=0.1, max=5, help="Shot: by how much the mouth moves more; as far as either opens the lips."),
    ] = None,
    head: Annotated[
        str | None, typer.Option(help="Head model: a FLAME file or folder. Default: $DUBPLATE_HEAD.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a take from a performance of another tool or of another shot's actor, set to the shot's frames by seconds.

    Examples:

        dubplate import take phone.csv man.dubshot --take phone --start timecode

        dubplate import take line_bsweight.json man.dubshot --take a2f --audio line.wav

        dubplate import take other.dubshot man.dubshot --take as_other

        dubplate import take results_dict.npy man.dubshot --take imitator --head flame2023.pkl
    """
    import numpy as np

    from dubplate_backend.cli.terminal import progress_bar
    from dubplate_backend.head.load import load_head
    from dubplate_backend.interchange.import_take import TakeSettings, UpperFace, import_take
    from dubplate_shared.errors import InvalidInput
    from dubplate_shared.shot import Shot

    if upper_face is not None and upper_face not in tuple(UpperFace):
        raise InvalidInput(f"--upper-face {upper_face} is unknown.", hint="Say filmed or imported.")
    package = Shot.load(shot)
    settings = TakeSettings(
        fps=fps,
        start=start,
        audio=audio,
        upper_face=UpperFace(upper_face) if upper_face else None,
        sequence=sequence,
        neutral=neutral,
        scale=scale,
    )
    with progress_bar("Import") as progress:
        made = import_take(file, package, take, head=load_head(head), settings=settings, progress=progress)
    package.save_take(made.take)
    jaw_deg = np.degrees(made.take.jaw[:, 0])
    if as_json:
        report = {
            "shot": str(shot),
            "take": take,
            "frames": len(made.take),
            "jaw_deg": {"median": float(np.median(jaw_deg)), "max": float(jaw_deg.max())},
            "figures": dict(made.figures),
            "origin": dict(made.take.origin),
            "warnings": list(made.warnings),
        }
        print(json.dumps(report, indent=2))
        return
    for note in made.warnings:
        typer.secho(f"Warning: {note}", fg="yellow", err=True)
    print(f"Take {take!r} of {package.info.name}: {len(made.take)} frames, jaw up to {jaw_deg.max():.1f} degrees.")
    for name, value in made.figures.items():
        print(f"  {name}: {value:.3g}" if isinstance(value, float) else f"  {name}: {value}")
