# SPDX-License-Identifier: Apache-2.0
"""`dubplate adapt`: an actor from a few seconds of tracked footage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_MINUTES = 15.0


def command(
    shots: Annotated[list[Path], typer.Argument(help="Tracked shots of one person, NAME.dubshot.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="The actor's folder, NAME.dubactor.")],
    preset: Annotated[str, typer.Option(help="draft, standard or hero.")] = "draft",
    minutes: Annotated[
        float | None, typer.Option(help="Minutes of the whole command, cropping and scoring counted; 15 unless told.")
    ] = None,
    iterations: Annotated[int | None, typer.Option(help="Train this many iterations instead.")] = None,
    frames: Annotated[
        str, typer.Option(help="Learn from these frames of each shot alone, as 1001-1100; all unless told.")
    ] = "",
    prior: Annotated[
        Path | None, typer.Option(help="Start from this NAME.dubprior; from the one that ships, where one does.")
    ] = None,
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="Start without any prior.")] = False,
    mixed: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Windows of the prior's own for each of the actor's: 1 as the paper, 0 the fastest."
        ),
    ] = None,
    low_rank: Annotated[
        bool, typer.Option("--low-rank", help="Train factors beside the prior's weights: a package under 15 MB.")
    ] = False,
    consent: Annotated[Path | None, typer.Option(help="JSON file with the person's consent record.")] = None,
    name: Annotated[str | None, typer.Option(help="The actor's name; the folder's unless told.")] = None,
    vgg: Annotated[Path | None, typer.Option(help="torchvision's vgg19 or vgg16 weights, for the VGG loss.")] = None,
    sound_gain: Annotated[
        float, typer.Option(min=0, max=2, help="How strongly renders of this actor hear the voice beside the curves.")
    ] = 1.0,
    sound_smoothing: Annotated[
        float, typer.Option(min=0, max=0.9, help="How steadily they hear it from frame to frame.")
    ] = 0.0,
    head: Annotated[str | None, typer.Option(help="Head model; $DUBPLATE_HEAD or the stand-in unless told.")] = None,
    seed: Annotated[int, typer.Option(help="Of all chance in training.")] = 0,
    resume: Annotated[bool, typer.Option(help="Go on from an earlier, stopped run of the same command.")] = True,
    overwrite: Annotated[bool, typer.Option(help="Replace an actor that is there.")] = False,
) -> None:
    """Learn an actor, a neural texture and the network that draws it, from tracked shots.

    Examples:

        dubplate adapt man.dubshot -o man.dubactor --minutes 15 --consent consent.json

        dubplate adapt day1.dubshot day2.dubshot -o man.dubactor --vgg vgg19.pth

        dubplate adapt man.dubshot -o man.dubactor --frames 1001-1100,1300-1400

        dubplate adapt man.dubshot -o man.dubactor --preset standard --prior studio.dubprior --low-rank

    Stopped runs go on where they were when the same command is given again.
    """
    from dataclasses import replace

    from dubplate_backend.cli.consent import read_consent
    from dubplate_backend.cli.terminal import progress_bar
    from dubplate_backend.head.load import load_head
    from dubplate_backend.renderers.hearing import Hearing
    from dubplate_backend.renderers.neural_texture.prior import load_prior, shipped_prior
    from dubplate_backend.renderers.presets import preset as preset_named
    from dubplate_backend.training.adapt import adapt
    from dubplate_backend.training.settings import LOW_RANK, AdaptSettings, settings_from_prior
    from dubplate_backend.training.vgg import load_vgg
    from dubplate_shared.errors import InvalidInput
    from dubplate_shared.shot import Shot

    size = preset_named(preset)
    record = read_consent(consent)
    if from_scratch and prior is not None:
        raise InvalidInput("--prior and --from-scratch exclude each other.", hint="Leave one of them out.")
    start = None if from_scratch else (shipped_prior(size) if prior is None else load_prior(prior))
    if low_rank and start is None:
        raise InvalidInput("--low-rank needs a prior.", hint=f"None ships for {preset}: give one with --prior.")
    settings = AdaptSettings(frames=frames)
    if start is not None:
        settings = replace(settings_from_prior(), frames=frames, rank=LOW_RANK if low_rank else 0)
        settings = settings if mixed is None else replace(settings, mixed=mixed)
    if minutes is None and iterations is None:
        minutes = DEFAULT_MINUTES
    with progress_bar("Adapting") as progress:
        adapt(
            [Shot.load(shot) for shot in shots],
            out,
            head=load_head(head),
            preset=size,
            minutes=minutes,
            iterations=iterations,
            name=name,
            consent=record,
            prior=start,
            settings=settings,
            hearing=Hearing(sound_gain, sound_smoothing),
            vgg=None if vgg is None else load_vgg(vgg),
            seed=seed,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    print(f"Actor: {out}")
