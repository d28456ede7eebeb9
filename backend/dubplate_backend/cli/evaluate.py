# SPDX-License-Identifier: Apache-2.0
"""`dubplate evaluate`: what actors are worth on frames they never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    shots: Annotated[list[Path], typer.Argument(help="Tracked shots of one person, NAME.dubshot.")],
    actors: Annotated[
        list[str], typer.Option("--actor", help="Actor package, or NAME=PACKAGE to name it in the tables; repeatable.")
    ],
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for scores.csv, scores.json, evaluation.html.")],
    frames: Annotated[
        str | None, typer.Option(help="Score these frames; the last ones, which `adapt` holds out, unless told.")
    ] = None,
    inception: Annotated[
        Path | None, typer.Option(help="pytorch-fid's pt_inception-2015-12-05-6726825d.pth, for FID.")
    ] = None,
    i3d: Annotated[Path | None, typer.Option(help="StyleGAN-V's i3d_torchscript.pt, for FVD.")] = None,
    segmentation: Annotated[
        Path | None,
        typer.Option(help="BiSeNet weights (79999_iter.pth); $DUBPLATE_BISENET or MediaPipe unless told."),
    ] = None,
    study: Annotated[
        bool, typer.Option("--study", help="Write study.html too: a blind choice between the actors and the plate.")
    ] = False,
    head: Annotated[str | None, typer.Option(help="Head model; $DUBPLATE_HEAD or the stand-in unless told.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, say what would be scored.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Draw held-out frames from their own track and measure them against what was filmed.

    Each actor is scored beside the mean training crop and the training frame with the nearest lips, with and without
    post-processing: PSNR and SSIM inside the redraw mask, lip landmarks, flicker, seam, drift of shape and colour; FID
    and FVD where their networks are given.

    Examples:

        dubplate evaluate man.dubshot --actor man.dubactor -o evaluation

        dubplate evaluate man.dubshot --actor prior=a.dubactor --actor scratch=b.dubactor -o evaluation --study

        dubplate evaluate man.dubshot --actor man.dubactor -o evaluation --frames 1400-1450 --dry-run
    """
    import json

    from dubplate_backend.cli.terminal import progress_bar
    from dubplate_backend.evaluation.evaluate import Contender, evaluate_shots, plan_evaluation
    from dubplate_backend.evaluation.inception import InceptionFeatures
    from dubplate_backend.evaluation.page import NAME, write_page
    from dubplate_backend.evaluation.scores import write_table
    from dubplate_backend.evaluation.video_features import VideoFeatures
    from dubplate_backend.evaluation.watch import Networks
    from dubplate_backend.head.load import load_head
    from dubplate_shared.errors import InvalidInput
    from dubplate_shared.files import write_json
    from dubplate_shared.frames import format_frames, parse_frames
    from dubplate_shared.shot import Shot

    contenders = []
    for text in actors:
        name, _, folder = text.rpartition("=")
        contenders.append(Contender.of(Path(folder), name or None))
    if len({actor.name for actor in contenders}) < len(contenders):
        raise InvalidInput("Two actors have the same name.", hint="Name them: --actor one=A.dubactor --actor two=...")
    loaded = [Shot.load(shot) for shot in shots]
    model = load_head(head)
    numbers = parse_frames(frames) if frames else None
    networks = Networks(
        None if inception is None else InceptionFeatures(inception), None if i3d is None else VideoFeatures(i3d)
    )
    if dry_run:
        planned = plan_evaluation(loaded, contenders, model, numbers)
        facts = {
            shot.info.name: {
                "scored": format_frames(tuple(shot.info.first_frame + i for i in planned[shot.info.name].scored)),
                "left to learn from": len(planned[shot.info.name].train),
                "learned by": list(planned[shot.info.name].learned_by),
            }
            for shot in loaded
        }
        print(json.dumps(facts, indent=2))
        return
    with progress_bar("Evaluating") as progress:
        done = evaluate_shots(
            loaded,
            contenders,
            head=model,
            frames=numbers,
            networks=networks,
            segmentation=segmentation,
            study=out if study else None,
            progress=progress,
        )
        report = {
            "schema": "dubplate.evaluation/1",
            "facts": done.facts,
            "scores": [row.to_json() for row in done.rows],
        }
        write_table(out / "scores.csv", done.rows)
        write_json(out / "scores.json", report)
        write_page(out / NAME, done)
    print(json.dumps(report, indent=2) if as_json else (out / "scores.csv").read_text(encoding="utf-8").rstrip())
    if not as_json:
        print(f"Page: {out / NAME}")
