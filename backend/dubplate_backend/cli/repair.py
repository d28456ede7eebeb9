# SPDX-License-Identifier: Apache-2.0
"""`dubplate repair`: solve a stretch of a track again under pins that a person placed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    shot: Annotated[Path, typer.Argument(help="Shot package, NAME.dubshot.")],
    pins: Annotated[Path | None, typer.Option(help="Landmarks and head poses placed by hand, pins.json.")] = None,
    frames: Annotated[
        str | None,
        typer.Option(help="What to solve again, as in 1040-1060; the flagged stretch around the pins unless told."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come of it, and write nothing.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Put back what the last repair replaced.")] = False,
    head: Annotated[str | None, typer.Option(help="Head model; $DUBPLATE_HEAD or the stand-in unless told.")] = None,
    preview: Annotated[bool, typer.Option(help="Make preview.mp4 again, or leave it out.")] = True,
    report: Annotated[bool, typer.Option(help="Make report.html again, or leave it out.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Repair a track: pins hold, the frames around them are solved again, all others stay as they are, bit for bit.

    Pins on a wrong stretch's first and last frame, and where it changes in between, are enough. pins.json:

        {"schema": "dubplate.pins/1",
         "landmarks": [{"frame": 1043, "landmark": 13, "x": 912.5, "y": 604.0}],
         "poses": [{"frame": 1050, "rotation": [3.1, 0.0, 0.1], "translation": [0.0, 0.0, 0.8]}]}

    landmark is MediaPipe's number; x and y are plate pixels; poses are axis-angle and metres, head to camera.

    Examples:

        dubplate repair man.dubshot --pins pins.json

        dubplate repair man.dubshot --pins pins.json --frames 1040-1060 --dry-run

        dubplate repair man.dubshot --undo
    """
    import json
    from contextlib import nullcontext

    from dubplate_backend.cli.terminal import progress_bar
    from dubplate_backend.cli.track import peak_memory_mib, show
    from dubplate_backend.head.load import load_head
    from dubplate_backend.tracking.figures import figures, named_figures
    from dubplate_backend.tracking.repair_shot import moved_mm, repair_shot, undo_repair
    from dubplate_shared.frames import format_frames, parse_frames
    from dubplate_shared.pins import Pins
    from dubplate_shared.progress import silent
    from dubplate_shared.shot import Shot

    if undo:
        if pins is not None or frames is not None or dry_run:
            raise typer.BadParameter("--undo puts the last repair back and takes nothing else.")
        undo_repair(shot)
        print(json.dumps({"shot": str(shot), "undone": True}) if as_json else f"{shot}: the last repair is undone.")
        return
    if pins is None:
        raise typer.BadParameter("Name the pins: --pins pins.json, or put the last repair back with --undo.")
    before = Shot.load(shot)
    with nullcontext(silent) if as_json else progress_bar("Repairing") as progress:
        done = repair_shot(
            before,
            Pins.load(pins),
            head=load_head(head),
            frames=parse_frames(frames) if frames else None,
            write=not dry_run,
            preview=preview,
            report=report,
            progress=progress,
        )
    moved = moved_mm(before, done.repaired)
    summary = {
        "shot": str(shot),
        "written": not dry_run,
        "repaired": format_frames(done.repaired.frames),
        "head_moved_mm": round(float(moved.max()), 2),
        "crop_changed": done.repaired.cropped,
        "figures": named_figures(figures(done.repaired.track), done.quality, done.flags),
        "flags": [flag.to_json() for flag in done.flags],
        "warnings": list(before.info.extra.get("tracking", {}).get("warnings", ())),
    }
    if as_json:
        print(json.dumps(summary, indent=2))
        return
    show(summary, peak_memory_mib())
    verb = "would be solved again" if dry_run else "solved again"
    print(f"Frames {summary['repaired']} {verb}; the head moves by up to {summary['head_moved_mm']} mm.")
