# SPDX-License-Identifier: Apache-2.0
"""Two sides find the newest version that both speak, or say which of them to update."""

from __future__ import annotations

import pytest

from dubplate_shared.errors import ProtocolMismatch
from dubplate_shared.versions import OWN, Versions, agree

ONE, TWO, THREE = Versions("1.0", "1.4"), Versions("2.0", "2.1"), Versions("3.0", "3.0")
ONE_TO_TWO, TWO_TO_THREE, ONE_TO_THREE = Versions("1.0", "2.3"), Versions("2.0", "3.2"), Versions("1.0", "3.0")


def agreed(own: Versions, theirs: Versions) -> str:
    return agree(theirs, own=own, own_name="the client", their_name="the backend")


@pytest.mark.parametrize(
    "own,theirs,version",
    [
        (ONE, ONE, "1.4"),
        (ONE, ONE_TO_TWO, "1.4"),
        (ONE, ONE_TO_THREE, "1.4"),
        (TWO, ONE_TO_TWO, "2.1"),
        (TWO, TWO_TO_THREE, "2.1"),
        (THREE, TWO_TO_THREE, "3.0"),
        (THREE, ONE_TO_THREE, "3.0"),
        (ONE_TO_TWO, TWO_TO_THREE, "2.3"),
        (TWO_TO_THREE, ONE_TO_THREE, "3.0"),
        (OWN, OWN, OWN.newest),
    ],
)
def test_two_ranges_that_meet_agree_on_the_newest_of_both_whoever_asks(own, theirs, version):
    assert agreed(own, theirs) == agreed(theirs, own) == version


@pytest.mark.parametrize(
    "own,theirs,older",
    [
        (ONE, TWO, "the client"),
        (TWO, ONE, "the backend"),
        (ONE, TWO_TO_THREE, "the client"),
        (THREE, ONE_TO_TWO, "the backend"),
        (ONE_TO_TWO, THREE, "the client"),
        (TWO, Versions.told("new"), "the backend"),
        (TWO, Versions.told(""), "the backend"),
        (TWO, Versions.told("2.0.1"), "the backend"),
    ],
)
def test_ranges_that_do_not_meet_are_named_both_with_the_side_to_update(own, theirs, older):
    with pytest.raises(ProtocolMismatch) as refused:
        agreed(own, theirs)
    assert str(own) in refused.value.message and str(theirs) in refused.value.message
    assert f"Update {older}" in refused.value.hint


def test_a_version_told_at_endless_length_is_cut():
    assert len(str(Versions.told("9" * 10_000, "x" * 10_000))) < 60
