# SPDX-License-Identifier: Apache-2.0
"""`blender --command dubplate render` fails loudly, with the farm's exit codes, and never renders something else."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from blender_shot import HEAD

from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import ExitCode
from dubplate_shared.shot import HeadIdentity, Shot


@pytest.fixture
def run(addon):
    from blender_addon.command import main

    return lambda *arguments: main(["render", *map(str, arguments)])


@pytest.fixture
def blend(bpy, addon, shot: Shot, tmp_path: Path) -> Path:
    """A saved scene with the shot in it, and Blender back at an empty one."""
    from blender_addon.scene.import_shot import import_shot

    import_shot(shot.path)
    path = tmp_path / "shot.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    return path


def write_actor(folder: Path, head: HeadIdentity) -> Path:
    """An actor's card, which is all that is looked at before a backend is asked."""
    actor = folder / "anna.dubactor"
    actor.mkdir()
    ActorInfo("anna", "neural_texture", "draft", head).save(actor)
    return actor


@pytest.fixture
def actor(tmp_path: Path) -> Path:
    return write_actor(tmp_path, HEAD)


def test_a_missing_blend_is_invalid_input(run, tmp_path, capsys):
    assert run("--blend", tmp_path / "none.blend") == ExitCode.INVALID_INPUT
    assert "none.blend does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"BLENDER-v999REND", b"no blend at all" * 100])
def test_a_blend_that_blender_cannot_open_is_invalid_input(run, tmp_path, content, capsys):
    path = tmp_path / "broken.blend"
    path.write_bytes(content)
    assert run("--blend", path) == ExitCode.INVALID_INPUT
    assert "cannot open" in capsys.readouterr().err


def test_a_blend_that_blender_failed_to_open_before_is_not_mistaken_for_its_default_scene(run, capsys):
    assert run("--frames", "1001") == ExitCode.INVALID_INPUT
    assert "No .blend is open" in capsys.readouterr().err


def test_a_blend_without_a_head_is_invalid_input(bpy, run, tmp_path, capsys):
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "empty.blend"))
    assert run("--blend", tmp_path / "empty.blend") == ExitCode.INVALID_INPUT
    assert "no Dubplate head" in capsys.readouterr().err


def test_frames_outside_the_shot_are_invalid_input(run, blend, actor, tmp_path, capsys):
    code = run("--blend", blend, "--actor", actor, "--out", tmp_path / "out", "--frames", "1030-1050", "--python", "x")
    assert code == ExitCode.INVALID_INPUT
    assert "1041-1050 lie outside scene7" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_actor_of_another_head_is_a_mismatch(run, blend, tmp_path, capsys):
    other = write_actor(tmp_path, HeadIdentity("flame2020", "ee" * 32))
    code = run("--blend", blend, "--actor", other, "--out", tmp_path / "out", "--python", "x")
    assert code == ExitCode.MISMATCH
    assert "anna.dubactor belongs to head model flame2020" in capsys.readouterr().err


def test_an_output_that_cannot_be_made_is_not_writable(run, blend, actor, tmp_path):
    (tmp_path / "file").write_text("in the way")
    code = run("--blend", blend, "--actor", actor, "--out", tmp_path / "file" / "out", "--python", "x")
    assert code == ExitCode.NOT_WRITABLE


def test_a_connection_file_that_is_not_there_is_unreachable(run, blend, actor, tmp_path, capsys):
    code = run(
        "--blend", blend, "--actor", actor, "--out", tmp_path / "out", "--connection", tmp_path / "connection.json"
    )  # fmt: skip
    assert code == ExitCode.UNREACHABLE
    assert "openjd_fail: No backend has written" in capsys.readouterr().out


def test_a_python_that_is_none_is_invalid_input(run, blend, actor, tmp_path, capsys):
    code = run("--blend", blend, "--actor", actor, "--out", tmp_path / "out", "--python", tmp_path / "python")
    assert code == ExitCode.INVALID_INPUT
    assert "is no Python" in capsys.readouterr().err


def test_a_python_without_the_backend_is_unreachable_and_its_last_words_are_told(run, blend, actor, tmp_path, capsys):
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    assert run("--blend", blend, "--actor", actor, "--out", tmp_path / "out", "--python", bare) == ExitCode.UNREACHABLE
    assert "No module named" in capsys.readouterr().err


def test_wrong_usage_ends_with_the_usage_code(run):
    with pytest.raises(SystemExit) as ended:
        run("--no-such-option")
    assert ended.value.code == ExitCode.USAGE


def test_a_shot_tracked_again_with_another_head_is_a_mismatch(run, blend, actor, shot, tmp_path):
    info = json.loads((shot.path / "shot.json").read_text())
    info["head"]["sha256"] = "cd" * 32
    (shot.path / "shot.json").write_text(json.dumps(info))
    code = run("--blend", blend, "--actor", actor, "--out", tmp_path / "out", "--python", "x")
    assert code == ExitCode.MISMATCH
