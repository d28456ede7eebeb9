# SPDX-License-Identifier: Apache-2.0
"""`dubplate demo`: the whole way, on footage made here or on the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    video: Annotated[
        Path | None, typer.Option(help="Your own clip of one actor, instead of the synthetic one.")
    ] = None,
    voice: Annotated[Path | None, typer.Option(help="What the actor shall say, instead of a generated voice.")] = None,
    minutes: Annotated[float, typer.Option(help="Minutes of adapting.")] = 2.5,
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for everything that is made.")] = Path("out"),
    head: Annotated[str | None, typer.Option(help="Head model; $DUBPLATE_HEAD or the stand-in unless told.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the stages and stop.")] = False,
) -> None:
    """Film, track, speak, adapt, serve, edit in Blender, render: footage in, composited plates out.

    Takes under ten minutes on two CPU cores.

    Examples:

        dubplate demo

        dubplate demo --video me.mp4 --voice line_fr.wav --minutes 10 -o mine

        dubplate demo --dry-run
    """
    from dubplate_backend.cli.terminal import progress_bar
    from dubplate_backend.demo import DemoSettings, run_demo, stages, summary

    settings = DemoSettings(out=out, video=video, voice=voice, minutes=minutes, head=head)
    if dry_run:
        for number, (name, typed) in enumerate(stages(settings), 1):
            print(f"{number}. {name}: {typed}")
        return

    def say(text: str) -> None:
        print(text, flush=True)

    print(summary(run_demo(settings, bar=progress_bar, say=say)))
