# SPDX-License-Identifier: Apache-2.0
"""`dubplate render`: plates of a take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dubplate_backend.plates.manifest import FrameRecord


def command(
    shot: Annotated[Path, typer.Argument(help="Shot package, NAME.dubshot.")],
    actor: Annotated[Path, typer.Option("--actor", help="Actor package, NAME.dubactor.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for v001/NAME_dub_v001.####.exr.")],
    take: Annotated[str, typer.Option(help="Take of the shot; `tracked` is what was filmed.")] = "tracked",
    frames: Annotated[str | None, typer.Option(help="Such as 1001-1100x2,1200; the whole shot unless told.")] = None,
    version: Annotated[int, typer.Option(min=1, max=999, help="Version of the plates.")] = 1,
    head: Annotated[str | None, typer.Option(help="Head model; $DUBPLATE_HEAD or the stand-in unless told.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Draw plates again that stand already.")] = False,
    sheet: Annotated[bool, typer.Option("--sheet", help="Write a contact sheet, sheet.png, too.")] = False,
    preview: Annotated[bool, typer.Option(help="Write preview.mp4 with the take's voice.")] = True,
    background_test: Annotated[bool, typer.Option(help="Keep the plate where both frames show background.")] = True,
    segmentation: Annotated[
        Path | None,
        typer.Option(
            help="BiSeNet weights (79999_iter.pth) for that test; $DUBPLATE_BISENET or MediaPipe unless told."
        ),
    ] = None,
    colour_match: Annotated[bool, typer.Option(help="Bring the drawn face to the plate's colour.")] = True,
    sharpness: Annotated[
        float, typer.Option(min=0, max=2, help="How far the drawn face is made as sharp as the plate; 0 is off.")
    ] = 1.0,
    grain: Annotated[
        float, typer.Option(min=0, max=2, help="How much of the plate's grain the drawn face gets; 0 is off.")
    ] = 1.0,
    sound_gain: Annotated[
        float | None,
        typer.Option(min=0, max=2, help="How strongly the voice is heard beside the curves; the actor's unless told."),
    ] = None,
    sound_smoothing: Annotated[
        float | None,
        typer.Option(min=0, max=0.9, help="How steadily it is heard from frame to frame; the actor's unless told."),
    ] = None,
    require_work: Annotated[bool, typer.Option("--require-work", help="Exit 21 where nothing is to be drawn.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would be drawn.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Draw a take onto the shot's plates, as EXR with layers, a manifest and a preview.

    Plates that stand already and whose inputs have not changed are left alone, so a stopped render goes on where it
    was, and after an edit only the frames that it touches are drawn again.

    Examples:

        dubplate render man.dubshot --take french --actor man.dubactor --frames 1001-1100 -o out

        dubplate render man.dubshot --actor man.dubactor -o out --version 2 --sheet

        dubplate render man.dubshot --actor man.dubactor -o out --grain 0.5 --sharpness 0

        dubplate render man.dubshot --actor man.dubactor -o out --sound-gain 1.25 --sound-smoothing 0.3

        dubplate render man.dubshot --actor man.dubactor -o out --dry-run --json
    """
    import json
    import sys
    from contextlib import nullcontext

    from dubplate_backend.cli.terminal import progress_bar
    from dubplate_backend.compositing.composite import CompositeSettings
    from dubplate_backend.head.load import load_head
    from dubplate_backend.rendering import RenderSettings, plan_shot, render_shot
    from dubplate_shared.errors import ExitCode
    from dubplate_shared.frames import parse_frames
    from dubplate_shared.plate_names import version_folder
    from dubplate_shared.progress import silent
    from dubplate_shared.shot import Shot

    loaded = Shot.load(shot)
    composite = CompositeSettings(background_test, colour_match, sharpness, grain)
    settings = RenderSettings(composite, force, preview, sheet, segmentation, sound_gain, sound_smoothing)
    request = {
        "shot": loaded,
        "take": loaded.take(take),
        "actor_path": actor,
        "head": load_head(head),
        "frames": loaded.frames if frames is None else parse_frames(frames),
        "out": out,
        "version": version,
        "settings": settings,
    }
    if dry_run or require_work:
        plan = plan_shot(**request)
        if dry_run:
            facts = plan.to_json()
            print(json.dumps(facts, indent=2) if as_json else "\n".join(f"{k}: {v or '-'}" for k, v in facts.items()))
        if require_work and len(plan.standing) == len(plan.frames):
            raise typer.Exit(ExitCode.NOTHING_TO_DO)
        if dry_run:
            return

    folder = version_folder(out, version).absolute()

    def saved(plates: Mapping[int, FrameRecord], _kept: bool) -> None:
        if not sys.stderr.isatty() and not as_json:
            for record in plates.values():
                print(f"Saved: '{folder / record.file}'", flush=True)  # the line that Flamenco looks for

    with nullcontext(silent) if as_json else progress_bar("Rendering") as progress:  # JSON stands alone
        report = render_shot(**request, progress=progress, written=saved)
    facts = report.to_json()
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    print("\n".join(f"{k}: {v}" for k, v in {**facts, "mouth": report.mouth}.items() if v))
    if report.mouth is not None and report.mouth.warning:
        print(report.mouth.warning, file=sys.stderr)
