# SPDX-License-Identifier: Apache-2.0
"""The connection file: private, whole, and clear about what is wrong with it."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
import sys

import pytest

from dubplate_shared.connection import SOCKETS, Connection
from dubplate_shared.errors import BackendUnreachable, InvalidInput

CONNECTION = Connection({name: f"tcp://127.0.0.1:{port}" for port, name in enumerate(SOCKETS, 1)}, 42, "s", "t", 1.5)


def test_it_is_read_as_it_was_written(tmp_path):
    CONNECTION.write(tmp_path / "new" / "c.json")
    assert Connection.read(tmp_path / "new" / "c.json") == CONNECTION


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_only_its_owner_may_read_it_also_over_an_older_open_one(tmp_path):
    path = tmp_path / "c.json"
    path.write_text("{}")
    path.chmod(0o666)
    before = os.umask(0)
    try:
        CONNECTION.write(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["c.json"]


def test_a_missing_file_means_that_no_backend_runs(tmp_path):
    with pytest.raises(BackendUnreachable, match="No backend"):
        Connection.read(tmp_path / "c.json")


@pytest.mark.parametrize(
    "change",
    [
        {"endpoints": {"rpc": "tcp://127.0.0.1:1"}},
        {"endpoints": "tcp://127.0.0.1:1"},
        {"endpoints": None},
        {"token": None},
        {"server_key": 5},
        {"oldest": None},
        {"protocol": 1},
        {"schema": "dubplate.shot/1"},
    ],
)
def test_a_broken_file_is_refused_by_name(tmp_path, change):
    path = tmp_path / "c.json"
    CONNECTION.write(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InvalidInput, match=r"c\.json"):
        Connection.read(path)


def test_a_file_without_a_field_or_with_unknown_ones_is_told_apart(tmp_path):
    path = tmp_path / "c.json"
    CONNECTION.write(path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"later": 1}))
    assert Connection.read(path) == CONNECTION
    del content["session"]
    path.write_text(json.dumps(content))
    with pytest.raises(InvalidInput, match=r"c\.json"):
        Connection.read(path)


def test_a_backend_removes_its_own_file_and_no_later_ones(tmp_path):
    path = tmp_path / "c.json"
    CONNECTION.write(path)
    later = dataclasses.replace(CONNECTION, session="later")
    later.write(path)
    CONNECTION.remove(path)
    assert Connection.read(path) == later
    later.remove(path)
    later.remove(path)
    assert not path.exists()
