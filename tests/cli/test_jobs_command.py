# SPDX-License-Identifier: Apache-2.0
"""`dubplate jobs` and `dubplate cache` against a real backend and a real store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from dubplate_backend.cli.jobs import _picture
from dubplate_backend.cli.main import run
from dubplate_backend.server.models import Models
from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import ExitCode, InvalidInput
from dubplate_shared.messages import JobInfo, JobState
from protocol.small_backend import Backend, running, write_empty_shot

WORK = {"shot": "man.dubshot", "actor": "man.dubactor", "frames": "1001-1010", "output": "man"}


def command(*arguments: object) -> int:
    try:
        run(list(map(str, arguments)))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """With a shot and an actor that lacks its weights, so that jobs fail by name."""
    models, root = Models(None), tmp_path_factory.mktemp("root")
    write_empty_shot(root / "man.dubshot", models.head_identity)
    (root / "man.dubactor").mkdir()
    ActorInfo("man", "neural_texture", "draft", models.head_identity).save(root / "man.dubactor")
    with running(tmp_path_factory.mktemp("backend"), models, root) as backend:
        yield backend


def test_jobs_are_shown_and_steered_from_the_terminal(backend: Backend, capsys: pytest.CaptureFixture[str]):
    here = ("--connection", backend.connection_file)
    with backend.connect() as client:
        job = client.submit(**WORK)
        with pytest.raises(InvalidInput):
            client.wait(job, timeout=30)
        assert command("jobs", "--json", *here) == 0
        listed = json.loads(capsys.readouterr().out)
        assert [entry["job"] for entry in listed] == [job] and listed[0]["state"] == "failed"
        assert command("jobs", "--once", *here) == 0
        table = capsys.readouterr().out
        assert job in table and "failed" in table
        assert command("jobs", "show", job, *here) == 0
        assert json.loads(capsys.readouterr().out)["error"]["code"] == "invalid_input"
        assert command("jobs", "priority", job, 9, *here) == 0 and client.show(job).priority == 9
        assert command("jobs", "retry", job, *here) == 0 and "queued" in capsys.readouterr().out
        with pytest.raises(InvalidInput):
            client.wait(job, timeout=30)
        for verb in ("cancel", "pause", "resume"):
            assert command("jobs", verb, job, *here) == 0 and f"{job}: failed" in capsys.readouterr().out
        assert command("jobs", "cancel", "unknown", *here) == ExitCode.INVALID_INPUT
        assert "no job" in capsys.readouterr().err


def test_the_table_says_how_long_each_stage_of_an_ended_job_took(capsys: pytest.CaptureFixture[str]):
    took = {"write": 1.25, "draw": 31.5}
    ended, again = (
        JobInfo(name, state, "a", "b", "1", "c", version=1, stage="decode", stages=took)
        for name, state in (("ended", JobState.FINISHED), ("again", JobState.RUNNING))
    )
    Console(width=200).print(_picture([ended, again]))
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert "draw 31.5 s, write 1.2 s" in first and "decode" in second and "draw" not in second


def test_without_a_backend_the_command_says_how_to_start_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert command("jobs", "--once", "--connection", tmp_path / "none.json") == ExitCode.UNREACHABLE
    assert "dubplate serve" in capsys.readouterr().err


def test_the_cache_is_reported_and_trimmed_with_a_dry_run_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from dubplate_backend.plates.manifest import FrameRecord, FrameStatus
    from dubplate_backend.plates.store import STATE_FOLDER, PlateStore
    from dubplate_shared.files import sha256_file

    store = PlateStore(tmp_path / STATE_FOLDER / "plates")
    plate = tmp_path / "a.exr"
    plate.write_bytes(b"x" * 1000)
    for number in range(3):
        key = f"{number:064x}"
        record = FrameRecord(plate.name, sha256_file(plate), key, FrameStatus.DRAWN)
        store.add(key, Path(shutil.copy(plate, tmp_path / f"{number}.exr")), record, shot="s", actor="t")
    assert command("cache", "report", tmp_path, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["plates"], facts["bytes"], facts["own_bytes"], facts["shots"]) == (3, 3000, 0, {"s": 3000})
    assert command("cache", "trim", tmp_path, "--limit", "0", "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["plates"] == 3 == store.report().plates
    assert command("cache", "trim", tmp_path, "--limit", "0") == 0
    assert store.report().plates == 0 and (tmp_path / "0.exr").read_bytes() == b"x" * 1000
    assert command("cache", "report", tmp_path / "nowhere") == ExitCode.INVALID_INPUT
