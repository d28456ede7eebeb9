# SPDX-License-Identifier: Apache-2.0
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from dubplate_shared import files
from dubplate_shared.errors import ExitCode, InvalidInput, OutputNotWritable


def test_a_file_appears_whole_with_the_crew_able_to_read_it(tmp_path: Path) -> None:
    target = tmp_path / "sub" / "plate.bin"
    with files.atomic_path(target) as temporary:
        temporary.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert stat.S_IMODE(target.stat().st_mode) & stat.S_IRUSR
    assert os.listdir(target.parent) == ["plate.bin"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "plate.bin"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError), files.atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["plate.bin"]


def test_a_folder_that_fails_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "a.dubshot"
    with files.atomic_folder(target) as folder:
        (folder / "x").write_text("old")
    with pytest.raises(RuntimeError), files.atomic_folder(target, overwrite=True) as folder:
        (folder / "x").write_text("half")
        raise RuntimeError
    assert (target / "x").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.dubshot"]


def test_an_old_folder_is_replaced_only_when_asked(tmp_path: Path) -> None:
    target = tmp_path / "a.dubshot"
    for content in ("one", "two"):
        with files.atomic_folder(target, overwrite=content == "two") as folder:
            (folder / "x").write_text(content)
    assert (target / "x").read_text() == "two"
    with pytest.raises(InvalidInput, match="exists already"), files.atomic_folder(target):
        pass


@pytest.mark.parametrize("where", ["file/plate.exr", "file/sub/plate.exr"])
def test_a_place_that_cannot_be_written_says_so(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputNotWritable) as error, files.atomic_path(tmp_path / where):
        pass
    assert error.value.exit_code == ExitCode.NOT_WRITABLE
    assert "another output" in error.value.hint


def test_arrays_round_trip_and_objects_are_refused(tmp_path: Path) -> None:
    arrays = {"jaw": np.arange(6, dtype=np.float32).reshape(2, 3), "name": np.array("take")}
    files.save_npz(tmp_path / "a.npz", arrays)
    back = files.load_npz(tmp_path / "a.npz")
    assert np.array_equal(back["jaw"], arrays["jaw"])
    assert str(back["name"]) == "take"
    with pytest.raises(InvalidInput, match="objects"):
        files.save_npz(tmp_path / "b.npz", {"bad": np.array([{}], dtype=object)})
    assert not (tmp_path / "b.npz").exists()


def test_a_pickle_inside_an_npz_is_refused_unread(tmp_path: Path) -> None:
    trap = tmp_path / "ran"

    class Trap:
        def __reduce__(self):  # type: ignore[no-untyped-def]
            return (os.mkdir, (str(trap),))

    np.savez(tmp_path / "bad.npz", a=np.array([Trap()], dtype=object))
    with pytest.raises(InvalidInput):
        files.load_npz(tmp_path / "bad.npz")
    assert not trap.exists()


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a zip", b"\x00" * 300])
def test_a_broken_npz_is_a_clear_error(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "bad.npz").write_bytes(damage)
    with pytest.raises(InvalidInput, match="cannot be read"):
        files.load_npz(tmp_path / "bad.npz")


def test_json_of_another_schema_or_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shot.json"
    files.write_json(path, {"schema": "dubplate.shot/2"})
    with pytest.raises(InvalidInput) as error:
        files.read_json(path, "dubplate.shot/1")
    assert "Update" in error.value.hint
    files.write_json(path, {"schema": "other/1"})
    with pytest.raises(InvalidInput, match="expected"):
        files.read_json(path, "dubplate.shot/1")


def test_the_hash_of_arrays_sees_names_shapes_and_bytes() -> None:
    base = {"a": np.zeros(4, np.float32)}
    assert files.sha256_arrays(base) == files.sha256_arrays({"a": np.zeros(4, np.float32)})
    others = [{"b": base["a"]}, {"a": base["a"].reshape(2, 2)}, {"a": np.zeros(4, np.int32)}, {"a": -base["a"]}]
    assert len({files.sha256_arrays(arrays) for arrays in [base, *others]}) == 5
