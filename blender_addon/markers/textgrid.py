# SPDX-License-Identifier: GPL-3.0-or-later
"""Praat's TextGrid, long and short. No bpy.

Source: Praat's manual, "TextGrid file formats". In both forms only free-standing numbers, texts in quotes and flags in
angle brackets count, in the same order; all else is there for people to read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from dubplate_shared.errors import InvalidInput

from .tier import Label, Tier

_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)(<[a-z]+>|[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?!\S)|![^\n]*')
_INTERVALS, _POINTS = "IntervalTier", "TextTier"
_HINT = "Save it again in Praat: Save > Save as text file."


def parse_textgrid(text: str, path: Path) -> tuple[Tier, ...]:
    """All tiers; a point lasts until the next one.  Raises InvalidInput where it is no TextGrid, or broken off."""
    tokens = _Tokens(text, path)
    if [tokens.text(), tokens.text()] != ["ooTextFile", "TextGrid"]:
        raise InvalidInput(f"{path.name} is no TextGrid.", hint=_HINT)
    tokens.number()
    end_s = tokens.number()
    if tokens.flag() != "<exists>":
        return ()
    return tuple(_tier(tokens, end_s) for _ in range(tokens.count()))


def _tier(tokens: _Tokens, end_s: float) -> Tier:
    kind, name = tokens.text(), tokens.text()
    tokens.number(), tokens.number()
    count = tokens.count()
    if kind == _INTERVALS:
        return Tier(name, tuple(Label(tokens.number(), tokens.number(), tokens.text()) for _ in range(count)))
    if kind == _POINTS:
        points = sorted((tokens.number(), tokens.text()) for _ in range(count))
        ends = [start_s for start_s, _ in points[1:]] + [end_s]
        return Tier(
            name, tuple(Label(start, max(start, end), text) for (start, text), end in zip(points, ends, strict=True))
        )
    raise tokens.broken(f"a tier is a {kind!r}")


class _Tokens:
    """What counts in the file, one after the other."""

    def __init__(self, text: str, path: Path) -> None:
        self._path, self._length = path, len(text)
        self._found: Iterator[re.Match[str]] = _TOKEN.finditer(text)

    def text(self) -> str:
        quoted, _ = self._next("a text")
        if quoted is None:
            raise self.broken("a text is missing its quotes")
        return quoted.replace('""', '"').strip()

    def number(self) -> float:
        quoted, plain = self._next("a number")
        if quoted is not None or plain.startswith("<"):
            raise self.broken(f"{quoted or plain!r} stands where a number is expected")
        return float(plain)

    def count(self) -> int:
        number = self.number()
        if not 0 <= number <= self._length or number != int(number):
            raise self.broken(f"it counts {number:g} entries")
        return int(number)

    def flag(self) -> str:
        return self._next("a flag")[1]

    def broken(self, what: str) -> InvalidInput:
        return InvalidInput(f"{self._path.name} is broken: {what}.", hint=_HINT)

    def _next(self, expected: str) -> tuple[str | None, str]:
        for match in self._found:
            if not match[0].startswith("!"):
                return match[1], match[2] or ""
        raise self.broken(f"it ends where {expected} is expected")
