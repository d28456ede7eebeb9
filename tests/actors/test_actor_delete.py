# SPDX-License-Identifier: Apache-2.0
"""Deleting an actor removes all that is kept of a person, says so beforehand, and finds what it was not told of."""

from __future__ import annotations

import json
import shutil
import tarfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dubplate_backend.cli.main import run
from dubplate_backend.jobs.journal import Journal
from dubplate_backend.plates.exr import ExrPart, Windows, write_exr
from dubplate_backend.plates.manifest import FrameRecord, FrameStatus, Manifest
from dubplate_backend.plates.store import STATE_FOLDER, PlateStore
from dubplate_shared.actor import ActorInfo
from dubplate_shared.errors import ExitCode
from dubplate_shared.files import sha256_file
from dubplate_shared.job_messages import JobSubmit
from dubplate_shared.shot import HeadIdentity


def command(*arguments: object) -> int:
    try:
        run(list(map(str, arguments)))
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def write_actor(folder: Path, seed: int) -> Path:
    noise = torch.Generator().manual_seed(seed)
    folder.mkdir(parents=True)
    save_file({"texels": torch.randn(16, 64, 64, generator=noise)}, folder / "texture.safetensors")
    save_file({"layer": torch.randn(64, 64, generator=noise)}, folder / "generator.safetensors")
    ActorInfo(folder.stem, "neural_texture", "draft", HeadIdentity("stand-in", "ab" * 32)).save(folder)
    return folder


def write_version(out: Path, texture: str, store: PlateStore) -> list[Path]:
    """A version with a plate and a preview, the plate kept by key, too."""
    folder = out / "v001"
    pixels = {name: np.zeros((8, 8), np.float16) for name in "RGB"}
    plate = folder / "s_dub_v001.1001.exr"
    write_exr(plate, [ExrPart("rgba", pixels)], Windows.of_size(8, 8), {})
    key = sha256_file(plate)[:62] + texture[:2]
    record = FrameRecord(plate.name, sha256_file(plate), key, FrameStatus.DRAWN)
    (folder / "preview.mp4").write_bytes(b"moving")
    Manifest({"actor_texture": texture}, {1001: record}).save(folder)
    store.add(key, plate, record, shot="s", actor=texture)
    return [plate, folder / "preview.mp4"]


@pytest.fixture
def studio(tmp_path: Path) -> dict[str, Path]:
    """Two actors, what both leave, and a job of each."""
    root, output = tmp_path / "root", tmp_path / "plates"
    store = PlateStore(output / STATE_FOLDER / "plates")
    with closing(Journal(output / STATE_FOLDER / "jobs.sqlite")) as journal:
        for seed, name in enumerate(("man", "woman")):
            actor = write_actor(root / "actors" / f"{name}.dubactor", seed)
            write_version(output / name, sha256_file(actor / "texture.safetensors"), store)
            request = JobSubmit(key=name, shot="s.dubshot", actor=f"actors/{name}.dubactor", frames="1", output=name)
            journal.add(request, "h", user="", client="")
    work = root / "actors" / "man.dubactor.work" / "checkpoint-1"
    work.mkdir(parents=True)
    shutil.copy(root / "actors" / "man.dubactor" / "texture.safetensors", work / "tensors.safetensors")
    shutil.copytree(root / "actors" / "man.dubactor", root / "old" / "copy.dubactor")
    return {"root": root, "output": output, "man": root / "actors" / "man.dubactor"}


def everything(studio: dict[str, Path]) -> dict[Path, bytes]:
    files = [path for name in ("root", "output") for path in studio[name].rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in files if ".sqlite" not in path.name}


def delete(studio: dict[str, Path], *options: str) -> int:
    return command(
        "actor", "delete", studio["man"], "--root", studio["root"], "--output-root", studio["output"], "--json",
        *options,
    )  # fmt: skip


def test_a_dry_run_lists_what_would_go_and_touches_nothing(studio, capsys):
    before = everything(studio)
    assert delete(studio) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["dry_run"] and told["jobs"] == 1 and told["copies"] == []
    names = [Path(path).name for path in told["deleted"]]
    assert names.count("texture.safetensors") == 2 and names.count("tensors.safetensors") == 1
    assert {"preview.mp4", "plate.exr", "entry.json", "actor.json"} <= set(names)
    assert not any("woman" in path for path in told["deleted"])
    assert everything(studio) == before


def test_deleting_leaves_no_piece_of_the_actor_and_all_of_the_other(studio, capsys):
    before = everything(studio)
    assert delete(studio, "--yes") == 0
    told = json.loads(capsys.readouterr().out)
    after = everything(studio)
    assert set(before) - set(after) == {Path(path) for path in told["deleted"]}
    assert {path: before[path] for path in after} == after
    assert (studio["output"] / "man" / "v001" / "s_dub_v001.1001.exr").exists(), "a delivery stays unless told"
    with closing(Journal(studio["output"] / STATE_FOLDER / "jobs.sqlite")) as journal:
        assert [job.request.key for job in journal.jobs()] == ["woman"]
    assert b"man.dubactor" not in (studio["output"] / STATE_FOLDER / "jobs.sqlite").read_bytes().replace(
        b"woman.dubactor", b""
    )


def test_plates_go_too_when_told(studio, capsys):
    assert delete(studio, "--yes", "--plates") == 0
    assert not (studio["output"] / "man" / "v001" / "s_dub_v001.1001.exr").exists()
    assert Manifest.load(studio["output"] / "man" / "v001").frames == {}
    assert (studio["output"] / "woman" / "v001" / "s_dub_v001.1001.exr").exists()


def test_a_copy_under_another_name_and_inside_an_archive_is_found(studio, capsys):
    hidden, archive = studio["root"] / "notes.bin", studio["root"] / "backup.tar"
    hidden.write_bytes(b"x" * 1000 + (studio["man"] / "texture.safetensors").read_bytes())
    with tarfile.open(archive, "w") as tar:
        tar.add(studio["man"] / "generator.safetensors")
    assert delete(studio, "--yes") == ExitCode.INVALID_INPUT
    assert {Path(path) for path in json.loads(capsys.readouterr().out)["copies"]} == {hidden, archive}


def test_nothing_is_deleted_while_a_backend_could_write_it_anew(studio, capsys):
    before = everything(studio)
    with closing(Journal(studio["output"] / STATE_FOLDER / "jobs.sqlite")):
        assert delete(studio, "--yes") != 0
    assert "Stop it" in capsys.readouterr().err and everything(studio) == before


def test_actors_are_listed_with_their_consent_and_shown_with_their_traces(studio, capsys):
    assert command("actor", "list", "--root", studio["root"], "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [Path(entry["folder"]).name for entry in listed] == ["man.dubactor", "woman.dubactor", "copy.dubactor"]
    assert {entry["consent"] for entry in listed} == {"not recorded"} and all(entry["bytes"] for entry in listed)
    assert command("actor", "show", studio["man"], "--root", studio["root"], "--output-root", studio["output"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert len(shown["packages"]) == 2 and len(shown["work"]) == 1 and len(shown["jobs"]) == 1
    assert len(shown["caches"]) == 1 and len(shown["previews"]) == 1 and len(shown["plates"]) == 1
