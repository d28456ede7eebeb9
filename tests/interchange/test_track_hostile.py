# SPDX-License-Identifier: Apache-2.0
"""Files of other trackers run nothing and fill no memory, whatever is in them."""

from __future__ import annotations

import builtins
import collections
import contextlib
import copyreg
import io
import os
import pickle
import struct
import subprocess
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from flame_reference import some_motion
from foreign_tracks import write_metrical
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dubplate_backend.head.torch_files import read_torch_file
from dubplate_backend.head.unpickle import UnsafePickle
from dubplate_backend.interchange.array_files import MAX_FRAME_BYTES, read_arrays
from dubplate_backend.interchange.track_formats import TrackFormat, read_tracked
from dubplate_shared.errors import InvalidInput

FLAT_BYTES = 3 * MAX_FRAME_BYTES


class Calls:
    """Pickles as a call of `what`."""

    def __init__(self, what, *arguments, state=None):
        self.what, self.arguments, self.state = what, arguments, state

    def __reduce__(self):
        return (self.what, self.arguments) if self.state is None else (self.what, self.arguments, self.state)


def saved(content: object, zipped: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as written:
        for name, content in members.items():
            written.writestr(name, content)
    return file.getvalue()


def tensor(key: bytes = b"0", count: int = 4, size: bytes = b"K\x04\x85", stride: bytes = b"K\x01\x85") -> bytes:
    """A dictionary with one tensor, as torch.save pickles it, by hand."""
    return (
        b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
        b"X" + struct.pack("<I", len(key)) + key + b"X\x03\x00\x00\x00cpuJ" + struct.pack("<i", count) + b"tQK\x00"
        + size + stride + b"\x89ccollections\nOrderedDict\n)Rtrs.".replace(b"trs", b"tRs")
    )  # fmt: skip


def hostile_frames(command: str) -> dict[str, bytes]:
    """Each would run `command` in torch.load, or in a reader that trusts torch's names or containers too much."""
    python = f"__import__('os').system({command!r})"
    system = Calls(os.system, command)
    good = {"flame": {"exp": np.zeros((1, 100))}, "camera": {}}
    text = command.encode()
    return {
        "os.system, zip": saved({"flame": system}),
        "os.system, legacy": saved({"flame": system}, zipped=False),
        "os.system behind a good frame": saved({**good, "z": [{"deep": (system,)}]}),
        "builtins.eval": saved({"a": Calls(eval, python)}),
        "builtins.exec in a nested dictionary": saved({"flame": {"exp": {"deeper": Calls(exec, python)}}}),
        "subprocess.Popen": saved({"a": Calls(subprocess.Popen, ["sh", "-c", command])}),
        "getattr": saved({"a": Calls(builtins.getattr, "text", "format")}),
        "__setstate__ of a class of ours": saved({"a": Calls(collections.UserDict, state={"data": 1})}),
        "an ordered dictionary filled by BUILD": archive(
            {"a/data.pkl": b"\x80\x02ccollections\nOrderedDict\n)R}X\x0c\x00\x00\x00__setstate__cos\nsystem\nsbX"
             + struct.pack("<I", len(text)) + text + b"b."}
        ),
        "copyreg.add_extension": saved({"a": Calls(copyreg.add_extension, "os", "system", 7)}),
        "torch.load of another file": saved({"a": Calls(torch.load, "/tmp/other.pt")}),
        "torch.hub": archive({"a/data.pkl": b"\x80\x02ctorch.hub\nload\nX\x01\x00\x00\x00a\x85R."}),
        "torch's own loader of bytes": archive(
            {"a/data.pkl": b"\x80\x02ctorch.storage\n_load_from_bytes\nC\x02ab\x85R."}
        ),
        "numpy.load": archive({"a/data.pkl": b"\x80\x02cnumpy\nload\nX\x01\x00\x00\x00a\x85R."}),
        "a storage that is no class of torch": archive(
            {"a/data.pkl": b"\x80\x02(X\x07\x00\x00\x00storagecos\nsystem\nU\x010U\x03cpuK\x01tQ."}
        ),
        "a storage that is an array's name": archive(
            {"a/data.pkl": b"\x80\x02(X\x07\x00\x00\x00storagecnumpy\ndtype\nU\x010U\x03cpuK\x01tQ."}
        ),
        "a persistent id that is no storage": archive({"a/data.pkl": b"\x80\x02X\x02\x00\x00\x00idQ."}),
        "a persistent id as text": archive({"a/data.pkl": b"Pos.system\n."}),
        "an instruction of the legacy system dictionary": pickle.dumps(0x1950A86A20F9469CFC6C, 2)
        + pickle.dumps(1001, 2) + pickle.dumps(Calls(os.system, command), 2),
        "compressed members": archive({"a/data.pkl": pickle.dumps(good, 2)}, zipfile.ZIP_DEFLATED),
        "a zip bomb": archive({"a/data.pkl": b"\x80\x02N.", "a/data/0": bytes(50 << 20)}, zipfile.ZIP_DEFLATED),
        "a member outside the archive": archive({"a/data.pkl": b"\x80\x02}.", "a/../../data/0": b"x"}),
        "a member with an absolute name": archive({"/etc/data.pkl": b"\x80\x02}."}),
    }  # fmt: skip


NAMES = sorted(hostile_frames("true"))


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_frame_is_refused_in_a_sentence_and_nothing_in_it_runs(tmp_path, name):
    sentinel = tmp_path / "ran"
    frame = tmp_path / "00000.frame"
    frame.write_bytes(hostile_frames(f"touch {sentinel}")[name])
    tracemalloc.start()
    try:
        with pytest.raises(UnsafePickle, match=r"00000\.frame was refused: it .*Nothing in it was run"):
            read_torch_file(frame, limit=MAX_FRAME_BYTES)
        assert tracemalloc.get_traced_memory()[1] < FLAT_BYTES
    finally:
        tracemalloc.stop()
    assert not sentinel.exists()
    assert os.listdir(tmp_path) == ["00000.frame"], "nothing was unpacked"


@pytest.mark.parametrize("name", ["os.system, zip", "os.system, legacy", "builtins.eval"])
def test_the_hostile_frames_are_truly_hostile(tmp_path, name):
    """PyTorch's own loader runs them."""
    sentinel = tmp_path / "ran"
    content = hostile_frames(f"touch {sentinel}")[name]
    with contextlib.suppress(Exception):
        torch.load(io.BytesIO(content), weights_only=False)
    assert sentinel.exists()


BROKEN = {
    "empty": b"",
    "cut short, zip": saved({"a": np.zeros(1000)})[:-300],
    "cut short, legacy": saved({"a": torch.zeros(1000)}, zipped=False)[:-50],
    "no pickle in the archive": archive({"a/version": b"3"}),
    "two pickles": archive({"a/data.pkl": b"\x80\x02}.", "b/data.pkl": b"\x80\x02}."}),
    "big-endian": archive({"a/data.pkl": b"\x80\x02}.", "a/byteorder": b"big"}),
    "a tensor without numbers": archive({"a/data.pkl": tensor()}),
    "a tensor longer than its numbers": archive({"a/data.pkl": tensor(), "a/data/0": bytes(8)}),
    "a tensor that reaches beyond": archive({"a/data.pkl": tensor(size=b"K\x09\x85"), "a/data/0": bytes(16)}),
    "a tensor of one number named a billion times": archive(
        {"a/data.pkl": tensor(size=b"J\x00\x00\x00\x02\x85", stride=b"K\x00\x85"), "a/data/0": bytes(16)}
    ),
    "a tensor of negative stride": archive(
        {"a/data.pkl": tensor(stride=b"J\xff\xff\xff\xff\x85"), "a/data/0": bytes(16)}
    ),
    "a tensor of negative size": archive({"a/data.pkl": tensor(count=-4), "a/data/0": bytes(16)}),
    "huge allocation": archive({"a/data.pkl": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 50) + b"x."}),
    "deeply nested": archive({"a/data.pkl": b"\x80\x02" + b"}X\x01\x00\x00\x00a" * 5000 + b"}" + b"s" * 5000 + b"."}),
    "endless operations": archive({"a/data.pkl": b"\x80\x02" + b"N0" * 300_000 + b"."}),
    "an array of objects": archive(
        {"a/data.pkl": pickle.dumps({"a": np.array([1, "x", None], dtype=object)}, 2)}
    ),
    "a list where a dictionary should be": saved([1, 2, 3]),
    "too large": b"PK\x03\x04" + bytes(MAX_FRAME_BYTES),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_frame_is_refused_in_flat_memory(tmp_path, name):
    frame = tmp_path / "00000.frame"
    frame.write_bytes(BROKEN[name])
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput, match=r"00000\.frame"):
            read_torch_file(frame, limit=MAX_FRAME_BYTES)
        assert tracemalloc.get_traced_memory()[1] < FLAT_BYTES
    finally:
        tracemalloc.stop()


GOOD = {"flame": {"exp": np.arange(4.0), "t": torch.ones(2, 3)}, "frame_id": "00001", "img_size": np.array([512, 512])}


@pytest.mark.parametrize("container", ["zip", "legacy"])
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), change=st.binary(min_size=1, max_size=6))
def test_a_file_changed_anywhere_is_read_or_refused_and_never_worse(tmp_path, container, place, change):
    if container == "zip":
        with zipfile.ZipFile(io.BytesIO(saved(GOOD))) as archived:
            members = {name: archived.read(name) for name in archived.namelist()}
        (pickled,) = (name for name in members if name.endswith("data.pkl"))
        members[pickled] = changed(members[pickled], place, change)
        content = archive(members)  # with sums that fit again
    else:
        content = changed(saved(GOOD, zipped=False), place, change)
    (tmp_path / "f.frame").write_bytes(content)
    with contextlib.suppress(InvalidInput):
        read_torch_file(tmp_path / "f.frame", limit=MAX_FRAME_BYTES)


def changed(content: bytes, place: float, change: bytes) -> bytes:
    start = int(place * len(content))
    return content[:start] + change + content[start + len(change) :]


@pytest.mark.parametrize("zipped", [True, False])
def test_good_files_of_torch_come_back_exactly_tensors_and_arrays_alike(tmp_path, zipped):
    random = np.random.default_rng(0)
    content = {
        "array": random.normal(size=(2, 3)),
        "tensor": torch.from_numpy(random.normal(size=(4, 5))).float().T[1:],  # strided, with an offset
        "half": torch.arange(4).half(),
        "parameter": torch.nn.Parameter(torch.ones(3)),
        "shared": (shared := torch.arange(6)),
        "view": shared[2:4],
        "empty": torch.zeros(0, 3),
        "deep": {"er": {"long": torch.tensor(7)}},
        "text": "00012",
        "number": 5,
    }
    (tmp_path / "f.frame").write_bytes(saved(content, zipped))
    back = read_torch_file(tmp_path / "f.frame")
    for name in ("array", "tensor", "half", "parameter", "shared", "view", "empty"):
        expected = content[name]
        expected = expected if isinstance(expected, np.ndarray) else expected.detach().numpy()
        np.testing.assert_array_equal(back[name], expected)
        assert back[name].dtype == expected.dtype
    assert back["deep"]["er"]["long"] == 7
    assert (back["text"], back["number"]) == ("00012", 5)


@pytest.mark.parametrize("name", ["object.npy", "codes.pkl", "codes.pt"])
def test_codes_in_other_containers_run_nothing_either(tmp_path, name):
    sentinel = tmp_path / "ran"
    call = {"exp": Calls(os.system, f"touch {sentinel}")}
    if name == "object.npy":
        np.save(tmp_path / name, call, allow_pickle=True)
    else:
        (tmp_path / name).write_bytes(pickle.dumps(call) if name == "codes.pkl" else saved(call))
    with pytest.raises(UnsafePickle, match="was refused"):
        read_arrays(tmp_path / name)
    assert not sentinel.exists()


def test_an_archive_that_unfolds_without_end_is_refused_before_it_does(tmp_path):
    np.savez_compressed(tmp_path / "bomb.npz", exp=np.zeros(MAX_FRAME_BYTES // 4))
    assert (tmp_path / "bomb.npz").stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput, match="unfolds to more than 64 MB"):
            read_arrays(tmp_path / "bomb.npz")
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def broken_metrical(part: str, name: str, value: object):
    return lambda content: content[part].__setitem__(name, value)


WRONG = {
    "NaN in the expression": (broken_metrical("flame", "exp", np.full((1, 100), np.nan)), "not finite"),
    "NaN in the camera": (broken_metrical("camera", "R", np.full((1, 6), np.nan)), "not finite"),
    "infinite translation": (broken_metrical("camera", "t", np.full((1, 3), np.inf)), "not finite"),
    "text for numbers": (broken_metrical("flame", "jaw", "open"), "holds no numbers"),
    "axis-angle where six numbers are expected": (broken_metrical("flame", "jaw", np.zeros((1, 3))), "holds 3 numbers"),
    "rows that span no plane": (broken_metrical("camera", "R", np.zeros((1, 6))), "span no plane"),
    "too many components": (broken_metrical("flame", "exp", np.zeros((1, 150))), "FLAME has 100"),
    "a focal length of nought": (broken_metrical("camera", "fl", np.zeros((1, 1))), "not positive"),
    "pictures of no size": (lambda content: content.__setitem__("img_size", np.array([0, 0])), "different sizes"),
    "no camera": (lambda content: content.pop("camera"), "holds no 'camera'"),
    "no shape": (lambda content: content["flame"].pop("shape"), "lacks 'shape'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_frame_of_wrong_content_is_refused_in_a_sentence(flame, tmp_path, name):
    change, expected = WRONG[name]
    write_metrical(tmp_path, flame.arrays, some_motion(1), np.zeros((5023, 3, 2)))
    (path,) = tmp_path.glob("*.frame")
    content = torch.load(path, weights_only=False)
    change(content)
    torch.save(content, path)
    with pytest.raises(InvalidInput, match=expected) as told:
        read_tracked([tmp_path], flame.head, TrackFormat.METRICAL)
    assert told.value.hint


def test_an_index_cannot_name_files_outside_its_folder(flame, tmp_path):
    from foreign_tracks import write_vhap_nerf

    write_vhap_nerf(tmp_path / "export", flame.arrays, some_motion(1))
    index = tmp_path / "export" / "transforms.json"
    (tmp_path / "export" / "flame_param" / "00000.npz").rename(tmp_path / "secret.npz")
    index.write_text(index.read_text().replace("flame_param/00000.npz", "../secret.npz"))
    with pytest.raises(InvalidInput, match="outside its folder"):
        read_tracked([tmp_path / "export"], flame.head, TrackFormat.AUTO)
    assert Path(tmp_path / "secret.npz").exists()
