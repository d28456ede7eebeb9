# SPDX-License-Identifier: Apache-2.0
"""What people preferred: shares of a forced choice, with their confidence intervals.

Every choice counts as one draw of a binomial variable, as Dubbing for Everyone counts them (appendix B.1).  The
interval is Clopper and Pearson's (1934), which holds its level whatever the share and however few the answers.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

from scipy.stats import beta

from dubplate_backend.evaluation.study import ANSWERS_SCHEMA, SCHEMA
from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import read_json

LEVEL = 0.95


@dataclass(frozen=True)
class Preference:
    """How often `method` was chosen over `against`.   low, high: the interval of the share."""

    method: str
    against: str
    chosen: int
    asked: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.chosen / self.asked

    @property
    def clear(self) -> bool:
        """Whether the interval lies on one side of a half."""
        return self.low > 0.5 or self.high < 0.5


@dataclass(frozen=True)
class Answer:
    """One choice, by the hidden names."""

    participant: str
    clip: str
    left: str
    right: str
    chosen: str


def interval(chosen: int, asked: int, level: float = LEVEL) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share. Raises ValueError unless 0 <= chosen <= asked, asked > 0."""
    if not 0 <= chosen <= asked or asked == 0:
        raise ValueError(f"{chosen} of {asked} is no share")
    tail = (1.0 - level) / 2
    low = 0.0 if chosen == 0 else float(beta.ppf(tail, chosen, asked - chosen + 1))
    high = 1.0 if chosen == asked else float(beta.ppf(1.0 - tail, chosen + 1, asked - chosen))
    return low, high


def read_preferences(key: Path, answers: Sequence[Path]) -> tuple[Preference, ...]:
    """Count the answers' files, .json or .csv as study.html saves them.

    key: study_key.json.  A participant's second answer to the same pair of a clip replaces his first, so a file handed
    in twice counts once.  Raises InvalidInput where a file is of another study or says what the page cannot.
    """
    known = read_json(key, SCHEMA)
    names = {str(hidden): str(method) for hidden, method in known["methods"].items()}
    counted: dict[tuple[str, str, frozenset[str]], Answer] = {}
    for path in answers:
        for answer in _read(path, str(known["study"])):
            if {answer.left, answer.right} - names.keys() or answer.chosen not in (answer.left, answer.right):
                raise InvalidInput(f"{path}: an answer names what was not shown.", hint="Ask for the file again.")
            counted[answer.participant, answer.clip, frozenset((answer.left, answer.right))] = answer
    found = []
    for one, other in permutations(sorted(names, key=lambda hidden: names[hidden]), 2):
        pair = [answer for answer in counted.values() if {answer.left, answer.right} == {one, other}]
        if pair:
            chosen = sum(answer.chosen == one for answer in pair)
            found.append(Preference(names[one], names[other], chosen, len(pair), *interval(chosen, len(pair))))
    if not found:
        raise InvalidInput("There are no answers yet.", hint="Hand study.html to people and collect what they save.")
    return tuple(found)


def _read(path: Path, study: str) -> list[Answer]:
    """The answers of one file."""
    rows = _rows_of_table(path) if path.suffix.lower() == ".csv" else _rows_of_json(path)
    try:
        if any(str(row["study"]) != study for row in rows):
            raise InvalidInput(f"{path} belongs to another study.", hint="Give the study_key.json that lay beside it.")
        fields = ("participant", "clip", "left", "right", "chosen")
        return [Answer(*(str(row[field]) for field in fields)) for row in rows]
    except KeyError as error:
        raise InvalidInput(f"{path} lacks {error}.", hint="Give a file that study.html saved.") from error


def _rows_of_json(path: Path) -> list[dict[str, Any]]:
    content = read_json(path, ANSWERS_SCHEMA)
    try:
        return [{**content, **row} for row in content["answers"]]
    except (KeyError, TypeError) as error:
        raise InvalidInput(f"{path} holds no answers.", hint="Give a file that study.html saved.") from error


def _rows_of_table(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [dict(row) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path} cannot be read: {error}.", hint="Give a file that study.html saved.") from error


def describe(preferences: Sequence[Preference]) -> str:
    """A line a pair, the interval in brackets; a star where it leaves out a half."""
    return "\n".join(
        f"{p.method} over {p.against}: {100 * p.share:.0f} % ({100 * p.low:.0f} to {100 * p.high:.0f} %)"
        f"{' *' if p.clear else ''}, {p.chosen} of {p.asked}"
        for p in preferences
    )


def as_json(preferences: Sequence[Preference]) -> str:
    rows = [{**p.__dict__, "share": p.share, "clear": p.clear} for p in preferences]
    return json.dumps({"level": LEVEL, "interval": "Clopper-Pearson", "preferences": rows}, indent=2)
