# SPDX-License-Identifier: Apache-2.0
"""`dubplate train`: a prior from many people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    shots: Annotated[list[Path] | None, typer.Argument(help="Tracked shots of many people, NAME.dubshot.")] = None,
    out: Annotated[Path, typer.Option("-o", "--output", "--out", help="The prior's folder.")] = Path("new.dubprior"),
    shots_option: Annotated[
        list[Path] | None, typer.Option("--shots", help="The same; may stand before the first of them.")
    ] = None,
    synthetic: Annotated[int, typer.Option(help="Draw this many invented people to train on as well.")] = 0,
    frames: Annotated[int, typer.Option(help="Frames of each invented person.")] = 60,
    first_seed: Annotated[int, typer.Option(help="Of the invented people; the others follow it.")] = 1,
    preset: Annotated[str, typer.Option(help="draft, standard or hero.")] = "draft",
    minutes: Annotated[float | None, typer.Option(help="Minutes to train; drawing and cropping come before.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Train this many iterations instead.")] = None,
    batch: Annotated[int | None, typer.Option(help="Windows a step, over all processes; 4 unless told.")] = None,
    as_paper: Annotated[bool, typer.Option("--as-paper", help="The paper's rates and weights: days on a GPU.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda, or cuda:N; of several processes each takes its own.")] = "cpu",
    work: Annotated[Path | None, typer.Option(help="Keeps crops and checkpoints; OUT.work unless told.")] = None,
    consent: Annotated[Path | None, typer.Option(help="JSON file with the consent records of who was filmed.")] = None,
    licence: Annotated[str, typer.Option(help="Of the prior, for its card.")] = "Apache-2.0",
    vgg: Annotated[Path | None, typer.Option(help="torchvision's vgg19 or vgg16 weights, for the VGG loss.")] = None,
    head: Annotated[str | None, typer.Option(help="Head model; $DUBPLATE_HEAD or the stand-in unless told.")] = None,
    seed: Annotated[int, typer.Option(help="Of all chance in training.")] = 0,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Write TensorBoard's files there, if it is installed.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from an earlier, stopped run of the same command.")] = True,
    overwrite: Annotated[bool, typer.Option(help="Replace a prior that is there.")] = False,
) -> None:
    """Train a prior over many people: one network, and a neural texture for each person.

    Examples:

        dubplate train --synthetic 64 --minutes 90 -o draft.dubprior

        dubplate train --shots a.dubshot b.dubshot c.dubshot --synthetic 200 --preset standard --device cuda --as-paper
        --iterations 500000 -o studio.dubprior

        torchrun --nproc-per-node 4 -m dubplate_backend.cli.main train --synthetic 400 --batch 16 --device cuda
        --iterations 200000 -o studio.dubprior

    Shots that name the same actor are one person's. Stopped and killed runs go on when the same command is given again.
    """
    import shlex
    import sys
    from dataclasses import replace

    from dubplate_backend.cli.consent import read_consent
    from dubplate_backend.cli.terminal import progress_bar
    from dubplate_backend.head.load import load_head
    from dubplate_backend.renderers.presets import preset as preset_named
    from dubplate_backend.training.processes import device_of_process, processes_of_torchrun
    from dubplate_backend.training.settings import PriorSettings, paper_settings
    from dubplate_backend.training.tensorboard import tensorboard as tensorboard_writer
    from dubplate_backend.training.tensorboard import unrecorded
    from dubplate_backend.training.train import Card, People, train
    from dubplate_backend.training.vgg import load_vgg
    from dubplate_shared.shot import Shot

    size = preset_named(preset)
    filmed = [Shot.load(shot) for shot in (*(shots_option or ()), *(shots or ()))]
    people = People(filmed, range(first_seed, first_seed + synthetic), frames)
    settings = paper_settings() if as_paper else PriorSettings()
    if batch is not None:
        settings = replace(settings, batch=batch)
    where = device_of_process(device)
    recording = unrecorded if tensorboard is None else tensorboard_writer(tensorboard)
    with processes_of_torchrun(where) as processes, progress_bar("Training") as progress:
        train(
            people,
            out,
            head=load_head(head),
            preset=size,
            work=work,
            minutes=minutes,
            iterations=iterations,
            card=Card(licence, read_consent(consent), f"{processes.command} train {shlex.join(sys.argv[2:])}"),
            vgg=None if vgg is None else load_vgg(vgg),
            seed=seed,
            settings=settings,
            resume=resume,
            overwrite=overwrite,
            processes=processes,
            device=where,
            progress=progress,
            record=recording if processes.first else unrecorded,
            say=print if processes.first else lambda _: None,
        )
