# SPDX-License-Identifier: Apache-2.0
"""`dubplate study`: ask people which movie is better, blind, and count what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def group() -> typer.Typer:
    """`study` with its subcommands."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Ask people which movie is better.")
    app.command("make")(make)
    app.command("read")(read)
    return app


def make(
    movies: Annotated[list[str], typer.Argument(help="METHOD=MOVIE.mp4, or METHOD@CLIP=MOVIE.mp4 for several clips.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for study.html and study_key.json.")],
    reference: Annotated[
        list[str] | None, typer.Option(help="The person as filmed, MOVIE.mp4 or CLIP=MOVIE.mp4; shown first.")
    ] = None,
    question: Annotated[str | None, typer.Option(help="What is asked; which looks more like a recording.")] = None,
    seed: Annotated[int, typer.Option(help="Of the names that hide the methods.")] = 0,
) -> None:
    """Make a page that shows two movies at a time, blind, and asks which is better.

    study.html is one file without connections: people open it, choose, and send back what it saves. study_key.json says
    which movie was whose; keep it to yourself.

    Examples:

        dubplate study make ours=ours/preview.mp4 theirs=theirs.mp4 -o study --reference filmed.mp4

        dubplate study make a@one=a1.mp4 b@one=b1.mp4 a@two=a2.mp4 b@two=b2.mp4 -o study
    """
    from dubplate_backend.evaluation.study import QUESTION, StudyClip, write_study

    clips: dict[str, dict[str, Path]] = {}
    for text in movies:
        label, _, path = text.partition("=")
        if not label or not path:
            raise typer.BadParameter(f"{text!r}: say METHOD=MOVIE.mp4.")
        method, _, clip = label.partition("@")
        clips.setdefault(clip or "clip", {})[method] = Path(path)
    references: dict[str, Path] = {}
    for text in reference or []:
        clip, _, path = text.rpartition("=")
        references |= dict.fromkeys([clip] if clip else clips, Path(path))
    made = [StudyClip(clip, methods, references.get(clip)) for clip, methods in clips.items()]
    print(f"Study: {write_study(out, made, seed=seed, question=question or QUESTION)}")


def read(
    key: Annotated[Path, typer.Argument(help="study_key.json, as the study was made.")],
    answers: Annotated[list[Path], typer.Argument(help="What people saved: answers-*.json or .csv.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count the answers: how often each method was preferred to each other, with 95 % confidence intervals.

    Examples:

        dubplate study read study/study_key.json answers/*.json
    """
    from dubplate_backend.evaluation import preferences

    found = preferences.read_preferences(key, answers)
    print(preferences.as_json(found) if as_json else preferences.describe(found))
