# SPDX-License-Identifier: Apache-2.0
"""Bad input ends with its own exit code, says what to do, and leaves nothing behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dubplate_backend.cli.main import run
from dubplate_backend.head.model import HeadModel
from dubplate_backend.rendering import RenderReport, plan_shot, render_shot
from dubplate_shared.errors import ExitCode, HeadModelMismatch, InvalidInput, OutputNotWritable
from dubplate_shared.shot import HeadIdentity, Shot
from plates.small_disk import small_disk
from rendering.conftest import FRAMES, write_actor

OTHER_HEAD = HeadIdentity("flame2020", "f" * 64)


def command(*arguments: object) -> int:
    """The exit code of `dubplate render ...`."""
    try:
        run(["render", *map(str, arguments)])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_frames_outside_the_shot_end_with_3_before_any_work(shot: Shot, actor: Path, tmp_path, capsys):
    code = command(shot.path, "--actor", actor, "-o", tmp_path / "out", "--frames", "1010-1100")
    assert code == ExitCode.INVALID_INPUT
    assert "1021-1100" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_an_actor_of_another_head_model_ends_with_11(shot: Shot, head: HeadModel, tmp_path, capsys):
    other = write_actor(tmp_path / "other.dubactor", OTHER_HEAD)
    code = command(shot.path, "--actor", other, "-o", tmp_path / "out", "--frames", "1010")
    assert code == ExitCode.MISMATCH
    assert "flame2020" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_shot_of_another_head_model_is_refused(shot: Shot, actor: Path, head: HeadModel, tmp_path):
    foreign = replace(shot, info=replace(shot.info, head=OTHER_HEAD))
    with pytest.raises(HeadModelMismatch) as caught:
        render_shot(shot=foreign, take=shot.take("tracked"), actor_path=actor, head=head, frames=[1010], out=tmp_path)
    assert caught.value.exit_code == ExitCode.MISMATCH and caught.value.hint


def test_a_missing_actor_a_missing_shot_and_an_unknown_take_end_with_3(shot: Shot, actor: Path, tmp_path, capsys):
    assert command(shot.path, "--actor", tmp_path / "none", "-o", tmp_path / "out") == ExitCode.INVALID_INPUT
    assert command(tmp_path / "none", "--actor", actor, "-o", tmp_path / "out") == ExitCode.INVALID_INPUT
    assert command(shot.path, "--actor", actor, "-o", tmp_path / "o", "--take", "no") == ExitCode.INVALID_INPUT
    assert "It has: tracked" in capsys.readouterr().err


def test_a_disk_that_is_too_small_is_refused_before_any_work(shot: Shot, actor: Path, head: HeadModel, tmp_path):
    with small_disk(tmp_path / "disk", 1) as disk:
        (disk / "ballast").write_bytes(bytes(1_040_000))
        with pytest.raises(OutputNotWritable, match="too full") as caught:
            render_shot(shot=shot, take=shot.take("tracked"), actor_path=actor, head=head, frames=FRAMES, out=disk)
        assert caught.value.exit_code == ExitCode.NOT_WRITABLE
        assert [path.name for path in disk.iterdir()] == ["ballast"]


def test_an_output_that_is_a_file_is_refused_before_any_work(shot: Shot, actor: Path, head: HeadModel, tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(OutputNotWritable, match="no folder"):
        plan_shot(shot=shot, take=shot.take("tracked"), actor_path=actor, head=head, frames=[1010],
                  out=tmp_path / "taken")  # fmt: skip
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_disk_that_fills_up_leaves_only_whole_plates(shot: Shot, actor: Path, head: HeadModel, tmp_path):
    from dubplate_backend.plates.exr import read_exr

    with small_disk(tmp_path / "disk", 1) as disk:
        (disk / "ballast").write_bytes(bytes(800_000))
        with pytest.raises(OutputNotWritable, match="full"):
            render_shot(shot=shot, take=shot.take("tracked"), actor_path=actor, head=head, frames=FRAMES, out=disk,
                        settings={"preview": False})  # fmt: skip
        left = sorted(path.name for path in (disk / "v001").iterdir() if path.name != "manifest.json")
        assert left and all(name.startswith("small_dub_v001.") and name.endswith(".exr") for name in left)
        for name in left:
            read_exr(disk / "v001" / name)


def test_a_hole_in_the_sequence_is_named_before_any_work(shot: Shot, actor: Path, head: HeadModel, tmp_path):
    plate = shot.plate_path().with_name("small.1014.png")
    data = plate.read_bytes()
    plate.unlink()
    try:
        with pytest.raises(InvalidInput, match="1014"):
            plan_shot(shot=shot, take=shot.take("tracked"), actor_path=actor, head=head, frames=[1013, 1014],
                      out=tmp_path / "out")  # fmt: skip
    finally:
        plate.write_bytes(data)
    assert not (tmp_path / "out").exists()


def test_a_dry_run_says_what_would_be_drawn_and_writes_nothing(
    rendered: RenderReport, shot: Shot, actor: Path, tmp_path, capsys
):
    code = command(shot.path, "--actor", actor, "-o", tmp_path / "out", "--frames", "1010-1013", "--dry-run", "--json")
    assert code == 0 and not (tmp_path / "out").exists()
    assert json.loads(capsys.readouterr().out) == {
        "to_draw": "1010-1011,1013",
        "to_pass_through": "1012",
        "standing": "",
    }
    code = command(shot.path, "--actor", actor, "-o", rendered.folder.parent, "--frames", "1010-1013", "--dry-run",
                   "--require-work")  # fmt: skip
    assert code == ExitCode.NOTHING_TO_DO


def test_the_command_prints_a_report_that_machines_read(copied: Path, shot: Shot, actor: Path, capsys):
    code = command(shot.path, "--actor", actor, "-o", copied, "--frames", "1010-1013", "--json", "--no-preview")
    out = capsys.readouterr().out
    assert code == 0
    report = json.loads(out)
    assert report["skipped"] == "1010-1013" and report["failed"] == {}
    assert report["manifest"] == str(copied / "v001" / "manifest.json")


def test_verify_ends_with_3_where_a_plate_is_damaged(copied: Path, shot: Shot):
    def verify() -> int:
        try:
            run(["verify", str(copied), "--shot", str(shot.path)])
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    assert verify() == 0
    path = copied / "v001" / "small_dub_v001.1010.exr"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert verify() == ExitCode.INVALID_INPUT
    path.write_bytes(whole)
    assert verify() == 0
    path.with_name("small_dub_v001.1099.exr").write_bytes(whole)  # nobody's: it proves nothing
    assert verify() == ExitCode.INVALID_INPUT
    path.with_name("small_dub_v001.1099.exr").unlink()
    path.unlink()
    assert verify() == ExitCode.INVALID_INPUT
