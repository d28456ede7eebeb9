# SPDX-License-Identifier: Apache-2.0
"""The demo says what it will do, and says early what it lacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dubplate_backend import demo
from dubplate_backend.demo import DemoSettings, run_demo, stages
from dubplate_backend.server import child
from dubplate_shared.errors import BackendUnreachable, InvalidInput


def test_the_stages_film_only_where_no_footage_is_given(tmp_path: Path) -> None:
    own = stages(DemoSettings(tmp_path, video=Path("me.mp4")))
    synthetic = stages(DemoSettings(tmp_path))
    assert [name for name, _ in synthetic][1:] == [name for name, _ in own]
    assert "me.mp4" in dict(own)["track"] and "me.mp4" not in str(synthetic)


def test_a_python_without_blender_is_told_before_anything_is_made(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    out = tmp_path / "out"
    with pytest.raises(InvalidInput, match="bpy") as caught:
        run_demo(DemoSettings(out), bar=lambda text: pytest.fail("a stage began"), say=print)
    assert "scripts/demo" in caught.value.hint
    assert not out.exists()


def test_the_edit_lies_within_what_is_drawn() -> None:
    for first, last in ((1001, 1175), (1001, 1010), (1, 3)):
        low, high = demo._edited_frames(first, last)
        assert first <= low <= high <= last


def test_a_server_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with open(log, "wb") as words:
        server = subprocess.Popen([sys.executable, "-c", "print('no such head'); raise SystemExit(3)"], stdout=words)
    with pytest.raises(BackendUnreachable, match="no such head"):
        child._wait_until_serving(server, tmp_path / "connection.json", log)


def test_a_served_child_that_cannot_start_leaves_nothing_running(tmp_path: Path) -> None:
    connection, log = tmp_path / "connection.json", tmp_path / "server.log"
    (tmp_path / "shots").mkdir()
    with (
        pytest.raises(BackendUnreachable, match="did not start"),
        child.served(tmp_path / "shots", tmp_path / "out", connection=connection, log=log, head="/no/such/head"),
    ):
        raise AssertionError("it serves")
    assert "no/such/head" in log.read_text() and not connection.exists()
