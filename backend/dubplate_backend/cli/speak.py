# SPDX-License-Identifier: Apache-2.0
"""`dubplate speak`: audio to take."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Annotated

import typer


def command(
    audio: Annotated[Path, typer.Argument(help="The new voice: a sound file, or a video with sound.")],
    shot: Annotated[Path, typer.Argument(help="The shot package that will speak.")],
    take: Annotated[str, typer.Option(help="Name of the take to store in the shot.")],
    offset: Annotated[
        float, typer.Option(help="Seconds from the shot's start to the sound's; negative cuts it.")
    ] = 0.0,
    gain: Annotated[float, typer.Option(help="How far the mouth opens; 1 is an ordinary voice.")] = 1.0,
    head: Annotated[
        str | None, typer.Option(help="Head model: a FLAME file or folder. Default: $DUBPLATE_HEAD.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a take from a voice: its loudness and spectrum move jaw and lips, and silence closes them.

    Examples:

        dubplate speak line_fr.wav man.dubshot --take french

        dubplate speak line_fr.wav man.dubshot --take french --offset 0.5 --gain 0.8 --json
    """
    import numpy as np

    from dubplate_backend.cli.terminal import progress_bar
    from dubplate_backend.head.load import load_head
    from dubplate_backend.speech.speak import speak
    from dubplate_shared.shot import Shot

    package = Shot.load(shot)
    with progress_bar("Speak") as progress, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        spoken = speak(audio, package, take, head=load_head(head), offset_s=offset, gain=gain, progress=progress)
    package.save_take(spoken)
    jaw_deg = np.degrees(spoken.jaw[:, 0])
    notes = [str(warning.message) for warning in caught if warning.category is UserWarning]
    if as_json:
        report = {
            "shot": str(shot),
            "take": take,
            "frames": len(spoken),
            "jaw_deg": {"median": float(np.median(jaw_deg)), "max": float(jaw_deg.max())},
            "origin": dict(spoken.origin),
            "warnings": notes,
        }
        print(json.dumps(report, indent=2))
        return
    for note in notes:
        typer.secho(f"Warning: {note}", fg="yellow", err=True)
    print(f"Take {take!r} of {package.info.name}: {len(spoken)} frames, jaw up to {jaw_deg.max():.1f} degrees.")
