# SPDX-License-Identifier: Apache-2.0
"""A blind forced choice: study.html shows two movies side by side and asks which is better.

Source of the experiment: Dubbing for Everyone, appendix B.1 (two-alternative forced choice).  A participant first sees
the person as filmed, then pairs in chance order, each with its sides by chance; the answers are saved as a file.  Which
movie is of which method is in study_key.json, which stays with whoever asks.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import atomic_path, write_json

PAGE, KEY = "study.html", "study_key.json"
SCHEMA, ANSWERS_SCHEMA = "dubplate.study/1", "dubplate.answers/1"
QUESTION = "Which of the two looks more like a real recording of this person speaking?"
MOST_BYTES = 200_000_000  # of all movies: a page beyond that does not open everywhere


@dataclass(frozen=True)
class StudyClip:
    """One thing to compare.   movies: method -> MP4 file.   reference: the person as filmed, None to leave it out."""

    name: str
    movies: Mapping[str, Path]
    reference: Path | None = None


def write_study(folder: Path, clips: Sequence[StudyClip], *, seed: int = 0, question: str = QUESTION) -> Path:
    """Write study.html and study_key.json into `folder`; returns the page.

    seed: of the names that hide the methods.  Raises InvalidInput where there is nothing to compare or a movie is not
    there, OutputNotWritable.
    """
    methods = sorted({method for clip in clips for method in clip.movies})
    if len(methods) < 2 or any(len(clip.movies) < 2 for clip in clips):
        raise InvalidInput("A choice needs two methods on every clip.", hint="Give two movies or more.")
    wanted = [path for clip in clips for path in (*clip.movies.values(), clip.reference) if path is not None]
    for path in wanted:
        if not path.is_file():
            raise InvalidInput(f"{path} does not exist.", hint="Check the path.")
    size = sum(path.stat().st_size for path in wanted)
    if size > MOST_BYTES:
        raise InvalidInput(
            f"The movies have {size / 1e6:.0f} MB; a page holds {MOST_BYTES / 1e6:.0f} MB.",
            hint="Give fewer, shorter or smaller movies.",
        )
    hidden = {method: _hash(f"{seed} {method}") for method in methods}
    identity = _hash("".join(_hash_of(path) for path in wanted) + question + str(seed))
    content = {
        "study": identity,
        "schema": ANSWERS_SCHEMA,
        "question": question,
        "clips": [
            {
                "name": clip.name,
                "reference": None if clip.reference is None else _embedded(clip.reference),
                "movies": {hidden[method]: _embedded(path) for method, path in sorted(clip.movies.items())},
            }
            for clip in clips
        ],
    }
    template = files("dubplate_backend.evaluation").joinpath("study.html").read_text(encoding="utf-8")
    page = template.replace("{{question}}", escape(question)).replace(
        "{{content}}", json.dumps(content, sort_keys=True).replace("</", "<\\/")
    )
    write_json(
        folder / KEY,
        {
            "schema": SCHEMA,
            "study": identity,
            "question": question,
            "methods": {key: method for method, key in hidden.items()},
            "clips": [clip.name for clip in clips],
        },
    )
    with atomic_path(folder / PAGE) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return folder / PAGE


def _embedded(path: Path) -> str:
    return "data:video/mp4;base64," + b64encode(path.read_bytes()).decode()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _hash_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
