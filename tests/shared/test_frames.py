# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubplate_shared.errors import ExitCode, InvalidInput
from dubplate_shared.frames import format_frames, parse_frames


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("1001", (1001,)),
        ("1001-1004", (1001, 1002, 1003, 1004)),
        ("1001-1010x4", (1001, 1005, 1009)),
        ("5,1-3,2", (1, 2, 3, 5)),
        ("-3--1", (-3, -2, -1)),
        ("-1-1", (-1, 0, 1)),
    ],
)
def test_both_ends_are_included_and_steps_keep_the_first(text: str, frames: tuple[int, ...]) -> None:
    assert parse_frames(text) == frames


@pytest.mark.parametrize("text", ["", "a", "1-", "10-1", "1-5x0", "1-5:2", "1..5", "1-99999999999", "1-999999999"])
def test_what_cannot_be_read_names_the_fix(text: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_frames(text)
    assert error.value.hint
    assert error.value.exit_code == ExitCode.INVALID_INPUT


@given(st.sets(st.integers(-5000, 5000), min_size=1, max_size=60))
def test_what_is_written_reads_back(frames: set[int]) -> None:
    assert parse_frames(format_frames(sorted(frames))) == tuple(sorted(frames))


@given(st.text(max_size=30))
def test_any_text_gives_frames_or_a_clear_error(text: str) -> None:
    try:
        assert len(parse_frames(text)) > 0
    except InvalidInput as error:
        assert error.hint
