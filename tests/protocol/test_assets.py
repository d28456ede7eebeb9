# SPDX-License-Identifier: Apache-2.0
"""Ids lead beneath the roots and nowhere else."""

from __future__ import annotations

import sys

import pytest

from dubplate_backend.server.assets import Assets
from dubplate_shared.errors import InvalidInput


@pytest.fixture
def assets(tmp_path):
    (tmp_path / "shots" / "sc010" / "man.dubshot").mkdir(parents=True)
    (tmp_path / "actors" / "man.dubactor").mkdir(parents=True)
    (tmp_path / "secret" / "woman.dubshot").mkdir(parents=True)
    return Assets((tmp_path / "shots", tmp_path / "actors"), tmp_path / "plates")


def test_an_id_is_found_beneath_any_root(assets, tmp_path):
    assert assets.shot("sc010/man.dubshot") == tmp_path / "shots" / "sc010" / "man.dubshot"
    assert assets.actor("man.dubactor") == tmp_path / "actors" / "man.dubactor"


def test_an_output_need_not_exist_and_a_dot_is_the_output_root(assets, tmp_path):
    assert assets.output("man/take2") == tmp_path / "plates" / "man" / "take2"
    assert assets.output(".") == tmp_path / "plates"


BAD = [
    "",
    ".",
    "..",
    "/",
    "../secret/woman.dubshot",
    "sc010/../../secret/woman.dubshot",
    "sc010/../sc010/man.dubshot",
    "..\\secret\\woman.dubshot",
    "C:/shots/man.dubshot",
    "C:man.dubshot",
    "//server/share/man.dubshot",
    "~/man.dubshot",
    "sc010/man.dubshot\0",
    "sc010/\nman.dubshot",
    "file:///etc/man.dubshot",
    "a/" * 300 + "man.dubshot",
]


@pytest.mark.parametrize("id", BAD)
def test_an_id_that_is_no_plain_relative_path_is_refused(assets, id):
    with pytest.raises(InvalidInput):
        assets.shot(id)
    if id != ".":
        with pytest.raises(InvalidInput):
            assets.output(id)


def test_an_absolute_path_is_refused_even_where_it_exists(assets, tmp_path):
    with pytest.raises(InvalidInput, match="no shot id"):
        assets.shot(str(tmp_path / "shots" / "sc010" / "man.dubshot"))


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_link_that_leads_out_is_refused_by_name(assets, tmp_path):
    (tmp_path / "shots" / "link.dubshot").symlink_to(tmp_path / "secret" / "woman.dubshot")
    (tmp_path / "shots" / "folder").symlink_to(tmp_path / "secret")
    (tmp_path / "plates").mkdir()
    (tmp_path / "plates" / "out").symlink_to(tmp_path / "secret")
    for id in ("link.dubshot", "folder/woman.dubshot"):
        with pytest.raises(InvalidInput, match="leads out") as refused:
            assets.shot(id)
        assert id in refused.value.message
    with pytest.raises(InvalidInput, match="leads out"):
        assets.output("out/plates")


def test_the_wrong_kind_a_missing_one_and_a_file_are_refused(assets, tmp_path):
    (tmp_path / "shots" / "file.dubshot").write_text("")
    for id, what in (("man.dubactor", "no shot id"), ("no.dubshot", "There is no"), ("file.dubshot", "There is no")):
        with pytest.raises(InvalidInput, match=what):
            assets.shot(id)


def test_an_id_beneath_two_roots_is_refused(assets, tmp_path):
    (tmp_path / "actors" / "sc010" / "man.dubshot").mkdir(parents=True)
    with pytest.raises(InvalidInput, match="two roots"):
        assets.shot("sc010/man.dubshot")
