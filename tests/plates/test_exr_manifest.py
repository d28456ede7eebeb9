# SPDX-License-Identifier: Apache-2.0
"""The manifest knows which plates stand, by content and never by existence."""

from pathlib import Path

import numpy as np
import pytest

from dubplate_backend.plates.exr import ExrPart, Windows, write_exr
from dubplate_backend.plates.manifest import INPUT_HASH, NAME, FrameRecord, FrameStatus, Manifest
from dubplate_shared.errors import InvalidInput
from dubplate_shared.files import sha256_file


def write_plate(folder: Path, frame: int, input_hash: str) -> FrameRecord:
    path = folder / f"a.{frame}.exr"
    pixels = {name: np.full((8, 8), frame, np.float16) for name in "RGB"}
    attributes = {INPUT_HASH: input_hash, "dubplate:frameStatus": "drawn", "dubplate:take": "french"}
    write_exr(path, [ExrPart("rgba", pixels)], Windows.of_size(8, 8), attributes)
    return FrameRecord(path.name, sha256_file(path), input_hash, FrameStatus.DRAWN, "french")


def test_a_part_of_the_range_is_merged_into_what_was_there(tmp_path):
    records = {frame: write_plate(tmp_path, frame, f"h{frame}") for frame in (1001, 1002, 1003)}
    Manifest().merged({"shot": "man", "take": "french"}, records).save(tmp_path)
    newer = {1002: write_plate(tmp_path, 1002, "edited")}
    Manifest.load(tmp_path).merged({"take": "german"}, newer).save(tmp_path)
    loaded = Manifest.load(tmp_path)
    assert list(loaded.frames) == [1001, 1002, 1003]
    assert loaded.frames[1001] == records[1001] and loaded.frames[1002] == newer[1002]
    assert loaded.facts == {"shot": "man", "take": "german"}


def test_a_plate_stands_only_where_its_hash_and_its_bytes_are_right(tmp_path):
    manifest = Manifest().merged({}, {1001: write_plate(tmp_path, 1001, "h")})
    assert manifest.valid(tmp_path, 1001, "h", "a.1001.exr") is not None
    assert manifest.valid(tmp_path, 1001, "other", "a.1001.exr") is None
    data = bytearray((tmp_path / "a.1001.exr").read_bytes())
    data[-5] ^= 1
    (tmp_path / "a.1001.exr").write_bytes(data)
    assert manifest.valid(tmp_path, 1001, "h", "a.1001.exr") is None
    (tmp_path / "a.1001.exr").unlink()
    assert manifest.valid(tmp_path, 1001, "h", "a.1001.exr") is None


def test_a_plate_speaks_for_itself_where_the_manifest_was_never_written(tmp_path):
    record = write_plate(tmp_path, 1001, "h")
    assert Manifest().valid(tmp_path, 1001, "h", "a.1001.exr") == record
    assert Manifest().valid(tmp_path, 1001, "other", "a.1001.exr") is None
    (tmp_path / "a.1001.exr").write_bytes((tmp_path / "a.1001.exr").read_bytes()[:-40])
    assert Manifest().valid(tmp_path, 1001, "h", "a.1001.exr") is None


def test_plates_that_are_gone_leave_the_manifest(tmp_path):
    records = {frame: write_plate(tmp_path, frame, "h") for frame in (1001, 1002)}
    (tmp_path / "a.1001.exr").unlink()
    Manifest().merged({}, records).save(tmp_path)
    assert list(Manifest.load(tmp_path).frames) == [1002]


def test_plates_of_another_chunk_are_taken_in_when_the_manifest_lost_them(tmp_path):
    mine, other = write_plate(tmp_path, 1001, "h1"), write_plate(tmp_path, 1002, "h2")
    write_plate(tmp_path, 1003, "h3")
    (tmp_path / "a.1003.exr").write_bytes((tmp_path / "a.1003.exr").read_bytes()[:-40])
    pixels = {name: np.zeros((8, 8), np.float16) for name in "RGB"}
    write_exr(tmp_path / "foreign.1004.exr", [ExrPart("rgba", pixels)], Windows.of_size(8, 8), {})
    completed = Manifest().merged({}, {1001: mine}).completed(tmp_path)
    assert dict(completed.frames) == {1001: mine, 1002: other}


def test_a_broken_manifest_is_refused_with_the_way_out(tmp_path):
    (tmp_path / NAME).write_text('{"schema": "dubplate.plates/1", "frames": {"1001": {}}}')
    with pytest.raises(InvalidInput, match="incomplete") as caught:
        Manifest.load(tmp_path)
    assert "Delete it" in caught.value.hint
