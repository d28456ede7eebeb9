# SPDX-License-Identifier: Apache-2.0
"""Labels that other programs wrote are read to the millisecond, and a bad file is told from a good one."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.markers.labels import chosen_tier, closes_lips, holds_phonemes, read_tiers
from blender_addon.markers.textgrid import parse_textgrid
from blender_addon.markers.tier import Label
from dubplate_shared.errors import InvalidInput

LONG = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5 ! of the sound
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1.5
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 1.5
            text = "say ""Bäm"""
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = "sil"
        intervals [2]:
            xmin = 0.5
            xmax = 0.75
            text = "B"
        intervals [3]:
            xmin = 0.75
            xmax = 1.5
            text = "AE1"
    item [3]:
        class = "TextTier"
        name = "bell"
        xmin = 0
        xmax = 1.5
        points: size = 1
        points [1]:
            number = 1.25
            mark = "ding"
'''
SHORT = '''File type = "ooTextFile"
Object class = "TextGrid"

0
1.5
<exists>
3
"IntervalTier"
"words"
0
1.5
2
0
0.5
""
0.5
1.5
"say ""Bäm"""
"IntervalTier"
"phones"
0 1.5 3
0 0.5 "sil"
0.5 0.75 "B"
0.75 1.5 "AE1"
"TextTier"
"bell"
0
1.5
1
1.25
"ding"
'''
ALIGN = "0 23750 sil\n23750 29500 bin\n29500 34000 blue\n"
SRT = "1\n00:00:01,000 --> 00:00:02,500\n<i>Bonjour,</i>\nPaul\n\n2\n0:00:03.5 --> 0:00:04.25 X1:10\nOui\n"


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-16-le"])
@pytest.mark.parametrize("form", [LONG, SHORT, LONG.replace("\n", "\r\n")], ids=["long", "short", "windows"])
def test_both_forms_of_textgrid_give_the_same_in_every_encoding(tmp_path: Path, form: str, encoding: str) -> None:
    words, phones, bell = read_tiers(written(tmp_path, "a.TextGrid", form.encode(encoding)))
    assert words.labels == (Label(0, 0.5, ""), Label(0.5, 1.5, 'say "Bäm"'))
    assert phones.labels == (Label(0, 0.5, "sil"), Label(0.5, 0.75, "B"), Label(0.75, 1.5, "AE1"))
    assert bell.labels == (Label(1.25, 1.5, "ding"),)


def test_phonemes_are_chosen_before_words_unless_a_tier_is_named(tmp_path: Path) -> None:
    tiers = read_tiers(written(tmp_path, "a.TextGrid", LONG))
    assert chosen_tier(tiers).name == "phones"
    assert chosen_tier(tiers, "words").name == "words"
    assert [holds_phonemes(tier) for tier in tiers] == [False, True, True]
    with pytest.raises(InvalidInput, match="no tier 'visemes'") as told:
        chosen_tier(tiers, "visemes")
    assert "words, phones, bell" in told.value.hint


def test_grid_counts_in_thousandths_of_its_frames(tmp_path: Path) -> None:
    (tier,) = read_tiers(written(tmp_path, "bbaf2n.align", ALIGN))
    assert tier.labels[1] == Label(0.95, 1.18, "bin")
    assert not holds_phonemes(tier)  # its letters, as "b", are words


@pytest.mark.parametrize("between", ["", "  "])
def test_subtitles_lose_their_tags_and_keep_their_lines(tmp_path: Path, between: str) -> None:
    (tier,) = read_tiers(written(tmp_path, "film.srt", SRT.replace("\n\n", f"\n{between}\n")))
    assert tier.labels == (Label(1.0, 2.5, "Bonjour, Paul"), Label(3.5, 4.25, "Oui"))


@pytest.mark.parametrize("phoneme", ["P", "b", "M", "pʰ", "bʲ", "m̩", "M_E", "pcl", "p_h", "mː"])
def test_the_lips_meet_in_p_b_and_m_however_they_are_written(phoneme: str) -> None:
    assert closes_lips(phoneme)


@pytest.mark.parametrize("phoneme", ["F", "AH0", "n", "sil", "", "pf", "ŋ", "θ"])
def test_the_lips_do_not_meet_in_others(phoneme: str) -> None:
    assert not closes_lips(phoneme)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.TextGrid", LONG[:400], "broken: it ends where"),
        ("a.TextGrid", SHORT.replace("<exists>\n3", "<exists>\n300000000"), "counts 3e.08 entries"),
        ("a.TextGrid", SHORT.replace("0 0.5", '0 "half"'), "'half' stands where a number"),
        ("a.TextGrid", SHORT.replace('"IntervalTier"\n"phones"', '"Pitch"\n"phones"'), "a tier is a 'Pitch'"),
        ("a.TextGrid", SHORT.replace("0.5 0.75", "0.75 0.5"), "'B' lasts from 0.75 to 0.5 s"),
        ("a.TextGrid", SHORT.replace("0.5 0.75", "0.5 1e999"), "'B' lasts from 0.5 to inf s"),
        ("a.TextGrid", "", "it ends where a text"),
        ("a.TextGrid", '"ooTextFile" "Sound" 0 1', "is no TextGrid"),
        ("a.TextGrid", '"ooTextFile" "TextGrid" 0 1 <absent>', "says nothing"),
        ("a.TextGrid", SHORT.encode("latin-1"), "not written in UTF-8 or UTF-16"),
        ("a.align", "0 23750 sil\nhello\n", "line 2: 'hello' is no GRID alignment"),
        ("a.srt", "1\n00:00:01 --> soon\nHi\n", "line 2: .* gives no times"),
        ("a.srt", "WEBVTT\n", "says nothing"),
        ("a.docx", "PK", "holds no markers"),
    ],
)
def test_a_bad_file_is_told_with_what_is_wrong(tmp_path: Path, name: str, content: str | bytes, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as told:
        read_tiers(written(tmp_path, name, content))
    assert told.value.hint


def test_a_file_that_is_not_there_or_a_folder_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none.srt", tmp_path):
        with pytest.raises(InvalidInput, match=r"Cannot read|holds no markers"):
            read_tiers(path)


@given(st.text(alphabet='"<>! \n0.5eTextFileGridIntervalTierexists', max_size=300))
def test_whatever_a_textgrid_holds_it_is_read_or_refused(text: str) -> None:
    for content in (text, SHORT[: len(text)] + text):
        with suppress(InvalidInput):
            parse_textgrid(content, Path("a.TextGrid"))
