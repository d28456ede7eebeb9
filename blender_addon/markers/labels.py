# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said when: words and phonemes of Praat TextGrids, GRID alignments and subtitles, in seconds. No bpy."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

from dubplate_shared.errors import InvalidInput

from .text_file import read_text
from .textgrid import parse_textgrid
from .tier import Label, Tier

SUFFIXES = (".TextGrid", ".align", ".srt")
_GRID_TICKS_A_SECOND = 25_000  # the GRID corpus counts in thousandths of its frames, 25 a second
_TIME = r"(\d{1,3}):([0-5]?\d):([0-5]?\d)[,.](\d{1,3})"
_TIMES = re.compile(rf"^\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?$")
_TAG = re.compile(r"<[^<>]*>|\{[^{}]*\}")
_PHONEME_TIERS = re.compile(r"phon|segment|^mau$|sampa|ipa", re.IGNORECASE)
_LONGEST_PHONEME = 4  # characters of nearly all symbols in use: IPA with marks, ARPAbet with stress
_MOSTLY = 0.9
_SILENCE = frozenset({"", "-", "_", "#", "sil", "sp", "spn", "<sil>", "<p:>", "<eps>", "h#", "pau"})
_PHONEME_MARKS = re.compile(r"_.*$|[0-9ʰʲʷˠˤːˑ̩̥̬̚'ˈˌ:]")
# Lips meet: P, B and M, their closures in TIMIT's notation, and its syllabic m.
_BILABIAL = frozenset({"p", "b", "m", "pcl", "bcl", "em", "mbp"})


def read_tiers(path: Path | str) -> tuple[Tier, ...]:
    """Tiers of a file, each with its labels in the order of time.

    Raises InvalidInput, with the line where there is one, where the file is of another kind, broken, or says nothing.
    """
    path = Path(path)
    readers = {".textgrid": parse_textgrid, ".align": _parse_align, ".srt": _parse_srt}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InvalidInput(f"{path.name} holds no markers.", hint=f"Choose a file that ends in {', '.join(SUFFIXES)}.")
    tiers = tuple(_checked(tier, path) for tier in reader(read_text(path), path))
    if not any(tier.labels for tier in tiers):
        raise InvalidInput(f"{path.name} says nothing: it has no label.", hint="Look at the file in a text editor.")
    return tiers


def chosen_tier(tiers: Iterable[Tier], name: str = "") -> Tier:
    """The tier of that name; unless named, the one with phonemes, or else with most labels.  Raises InvalidInput."""
    tiers = [tier for tier in tiers if tier.labels]
    if name:
        for tier in tiers:
            if tier.name == name:
                return tier
        raise InvalidInput(
            f"There is no tier {name!r}.",
            hint=f"The file has: {', '.join(tier.name or '(unnamed)' for tier in tiers)}.",
        )
    return max(tiers, key=lambda tier: (holds_phonemes(tier), len(tier.labels)))


def holds_phonemes(tier: Tier) -> bool:
    """Whether its labels are sounds and not words: by the tier's name, or else by their length."""
    if not tier.phonemic:
        return False
    if _PHONEME_TIERS.search(tier.name):
        return True
    said = [label.text for label in tier.labels if not is_silence(label.text)]
    short = sum(len(text) <= _LONGEST_PHONEME and " " not in text for text in said)
    return "word" not in tier.name.lower() and bool(said) and short >= _MOSTLY * len(said)


def is_silence(text: str) -> bool:
    """Whether a label says that nothing is said."""
    return text.strip().lower() in _SILENCE


def closes_lips(phoneme: str) -> bool:
    """Whether the lips meet in it: P, B, M, whatever notation writes them."""
    return _PHONEME_MARKS.sub("", phoneme.strip()).lower() in _BILABIAL


def _checked(tier: Tier, path: Path) -> Tier:
    labels = sorted(tier.labels, key=lambda label: label.start_s)
    for label in labels:
        if not (math.isfinite(label.start_s) and math.isfinite(label.end_s) and label.start_s <= label.end_s):
            raise InvalidInput(
                f"{path.name}: {label.text!r} lasts from {label.start_s:g} to {label.end_s:g} s.",
                hint="A label ends after it begins; mend the file.",
            )
    return Tier(tier.name, tuple(labels), tier.phonemic)


def _parse_align(text: str, path: Path) -> tuple[Tier, ...]:
    labels = []
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        try:
            start, end, word = parts
            labels.append(Label(int(start) / _GRID_TICKS_A_SECOND, int(end) / _GRID_TICKS_A_SECOND, word))
        except ValueError:
            raise InvalidInput(
                f"{path.name}, line {number}: {line[:60]!r} is no GRID alignment.",
                hint="A line has a start, an end and a word, as in: 0 23750 sil",
            ) from None
    return (Tier("words", tuple(labels), phonemic=False),)


def _parse_srt(text: str, path: Path) -> tuple[Tier, ...]:
    labels = []
    lines = [*map(str.strip, text.splitlines()), ""]
    for number, line in enumerate(lines):
        if "-->" not in line:
            continue
        found = _TIMES.match(line)
        if not found:
            raise InvalidInput(
                f"{path.name}, line {number + 1}: {line[:60]!r} gives no times.",
                hint="Subtitles have them as in: 00:00:01,000 --> 00:00:02,500",
            )
        start, end = _seconds(found.groups()[:4]), _seconds(found.groups()[4:])
        said = lines[number + 1 : lines.index("", number + 1)]
        labels.append(Label(start, end, " ".join(_TAG.sub("", part).strip() for part in said).strip()))
    return (Tier("subtitles", tuple(labels), phonemic=False),)


def _seconds(parts: tuple[str, ...]) -> float:
    hours, minutes, seconds, fraction = parts
    return 3600 * int(hours) + 60 * int(minutes) + int(seconds) + int(fraction.ljust(3, "0")) / 1000
