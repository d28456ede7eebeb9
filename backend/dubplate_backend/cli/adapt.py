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
    minutes: Annotated[float | None, typer.Option(help="Minutes to train, 15 unless told.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Train this many iterations instead.")] = None,
    consent: Annotated[Path | None, typer.Option(help="JSON file with the person's consent record.")] = None,
    name: Annotated[str | None, typer.Option(help="The actor's name; the folder's unless told.")] = None,
    vgg: Annotated[Path | None, typer.Option(help="torchvision's vgg19 or vgg16 weights, for the VGG loss.")] = None,
    head: Annotated[str | None, typer.Option(help="Head model; $DUBPLATE_HEAD or the stand-in unless told.")] = None,
    seed: Annotated[int, typer.Option(help="Of all chance in training.")] = 0,
    resume: Annotated[bool, typer.Option(help="Go on from an earlier, stopped run of the same command.")] = True,
    overwrite: Annotated[bool, typer.Option(help="Replace an actor that is there.")] = False,
) -> None:
    """Learn an actor, a neural texture and the network that draws it, from tracked shots.

    Examples:

        dubplate adapt man.dubshot -o man.dubactor --minutes 15 --consent consent.json

        dubplate adapt day1.dubshot day2.dubshot -o man.dubactor --vgg vgg19.pth

    Stopped runs go on where they were when the same command is given again.
    """
    import json

    from dubplate_backend.cli.terminal import progress_bar
    from dubplate_backend.head.load import load_head
    from dubplate_backend.renderers.presets import preset as preset_named
    from dubplate_backend.training.adapt import adapt
    from dubplate_backend.training.vgg import load_vgg
    from dubplate_shared.errors import InvalidInput
    from dubplate_shared.shot import Shot

    size = preset_named(preset)
    record = None
    if consent is not None:
        try:
            record = json.loads(consent.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise InvalidInput(f"{consent} cannot be read: {error}.", hint="Give a JSON file.") from error
        if not isinstance(record, dict):
            raise InvalidInput(f"{consent} holds no JSON object.", hint='For example {"status": "granted", ...}.')
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
            vgg=None if vgg is None else load_vgg(vgg),
            seed=seed,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    print(f"Actor: {out}")
