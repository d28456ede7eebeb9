# SPDX-License-Identifier: Apache-2.0
"""Reading other people's pickles: every array comes back, and nothing in a hostile file runs."""

import copyreg
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from flame_files import Ch, csc_matrix, dumps, dumps_python2

from dubplate_backend.head.pickle_machine import MAX_OPERATIONS
from dubplate_backend.head.unpickle import UnsafePickle, read_pickled_arrays
from dubplate_shared.errors import InvalidInput


def read(tmp_path: Path, content: bytes) -> dict:
    path = tmp_path / "model.pkl"
    path.write_bytes(content)
    return read_pickled_arrays(path)


@pytest.fixture
def content() -> dict:
    random = np.random.default_rng(7)
    return {
        "v_template": random.normal(size=(11, 3)),
        "shapedirs": np.asfortranarray(random.normal(size=(11, 3, 5))),
        "f": random.integers(0, 11, (9, 3)).astype(np.uint32),
        "kintree_table": np.array([[0xFFFFFFFF, 0, 1, 1, 1], [0, 1, 2, 3, 4]], dtype=np.uint32),
        "big_endian": np.arange(6, dtype=">f4").reshape(2, 3),
        "half": np.arange(4, dtype=np.float16),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 3)),
        "scalar": np.float64(0.25),
        "bs_type": "lrotmin",
        "count": 5,
        "nothing": None,
        "list": [1, 2, {"a": (1,)}],
    }


def assert_same(read_back: dict, content: dict) -> None:
    for name, value in content.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(read_back[name], value)
            assert read_back[name].dtype == value.dtype.newbyteorder("=")
        elif isinstance(value, str | int | float):
            assert read_back[name] == value
        else:
            assert name not in read_back


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_numpy_arrays_of_every_protocol_come_back_exactly(tmp_path, content, protocol):
    assert_same(read(tmp_path, dumps(content, protocol)), content)


def test_arrays_written_by_python_2_come_back_exactly(tmp_path, content):
    assert_same(read(tmp_path, dumps_python2(content)), content)


def test_quoted_strings_of_protocol_0_keep_every_byte(tmp_path):
    every_byte = bytes(range(256))
    quoted = repr(every_byte)[1:].encode()  # as Python 2 wrote it
    pickled = (
        b"(dS'a'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        b"(I1\n(I256\ntcnumpy\ndtype\n(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\nS" + quoted + b"\ntbs."
    )
    np.testing.assert_array_equal(read(tmp_path, pickled)["a"], np.arange(256, dtype=np.uint8))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_chumpy_objects_give_their_array_and_old_sparse_matrices_become_dense(tmp_path, content, protocol):
    regressor = np.zeros((5, 11))
    regressor[[0, 1, 4], [3, 3, 10]] = [0.5, 0.25, 1.0]
    wrapped = {
        "v_template": Ch(content["v_template"]),
        "nested": Ch(Ch(content["f"])),
        "J_regressor": csc_matrix(regressor),
    }
    assert b"chumpy.ch" in dumps(wrapped, protocol)
    assert b"scipy.sparse.csc" in dumps(wrapped, protocol)
    back = read(tmp_path, dumps(wrapped, protocol))
    assert "chumpy" not in sys.modules
    np.testing.assert_array_equal(back["v_template"], content["v_template"])
    np.testing.assert_array_equal(back["nested"], content["f"])
    np.testing.assert_array_equal(back["J_regressor"], regressor)


@pytest.mark.parametrize("layout", ["csc_matrix", "csr_matrix", "coo_matrix", "csc_array", "csr_array", "coo_array"])
def test_sparse_matrices_of_the_scipy_installed_become_dense(tmp_path, layout):
    dense = np.random.default_rng(1).normal(size=(5, 40)) * (np.random.default_rng(2).random((5, 40)) < 0.2)
    made = getattr(scipy.sparse, layout)(dense)
    np.testing.assert_array_equal(read(tmp_path, pickle.dumps({"m": made}))["m"], dense)


class Calls:
    """Pickles as a call of `what`."""

    def __init__(self, what, *arguments):
        self.what, self.arguments = what, arguments

    def __reduce__(self):
        return self.what, self.arguments


def hostile_files(command: str) -> dict[str, bytes]:
    """Each would run `command` in Python's own unpickler, or in one that trusts a module too much."""
    text = command.encode()
    python = f"__import__('os').system({command!r})"
    quoted = python.encode()
    new_chumpy = b"ccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nobject\nNtR"
    new_array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    return {
        "os.system by reduce": pickle.dumps({"a": Calls(os.system, command)}),
        "posix.system protocol 0": b"cposix\nsystem\n(S'" + text + b"'\ntR.",
        "subprocess.check_call": pickle.dumps({"a": Calls(subprocess.check_call, command, 0)}),
        "subprocess.Popen class": pickle.dumps({"a": Calls(subprocess.Popen, ["sh", "-c", command])}),
        "builtins.eval": pickle.dumps({"a": Calls(eval, python)}),
        "builtins.exec": pickle.dumps({"a": Calls(exec, python)}),
        "__builtin__.eval of python 2": b"c__builtin__\neval\n(V" + quoted + b"\ntR.",
        "builtins.getattr chain": b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n(S'os'\ntRS'system'\ntR(S'"
        + text
        + b"'\ntR.",
        "numpy testing runstring": b"cnumpy.testing._private.utils\nrunstring\n(V" + quoted + b"\n}tR.",
        "INST opcode": b"(S'" + text + b"'\nios\nsystem\n.",
        "OBJ opcode": b"(cos\nsystem\nS'" + text + b"'\no.",
        "NEWOBJ_EX opcode": b"\x80\x04\x8c\x0asubprocess\x8c\x05Popen\x93(]\x8c\x02sha\x85\x94}\x92.",
        "STACK_GLOBAL dotted": b"\x80\x04\x8c\x06numpy.\x8c\x09os.system\x93\x8c"
        + bytes([len(text)])
        + text
        + b"\x85R.",
        "STACK_GLOBAL through an allowed module": b"\x80\x04\x8c\x15numpy.core.multiarray\x8c\x09os.system\x93\x8c"
        + bytes([len(text)])
        + text
        + b"\x85R.",
        "extension registry": b"\x80\x02\x82\xf0(S'" + text + b"'\ntR.",
        "extension registry, four bytes": b"\x80\x02\x84\xf0\x00\x00\x00(S'" + text + b"'\ntR.",
        "persistent id": b"P" + quoted + b"\n.",
        "persistent id from the stack": b"S'" + text + b"'\nQ.",
        "BUILD with a __setstate__ of the file's": new_chumpy
        + b"}S'__setstate__'\ncos\nsystem\nsbS'"
        + text
        + b"'\nb.",
        "hidden in an array's state": new_array + b"(I1\ncos\nsystem\n(S'" + text + b"'\ntRtb.",
        "hidden behind a good model": pickle.dumps({"v_template": np.zeros((4, 3)), "z": Calls(os.system, command)}),
        "a call of what a call returned": b"cnumpy\ndtype\n(S'f4'\ntR(S'" + text + b"'\ntR.",
        "operator.attrgetter": b"coperator\nattrgetter\n(S'system'\ntR(cos\n__dict__\ntR.",
        "types.FunctionType": b"ctypes\nFunctionType\n(ctypes\nCodeType\n)RtR.",
        "numpy.load of another pickle": b"cnumpy\nload\n(S'/tmp/x.npy'\nNI01\ntR.",
        "torch.load": b"ctorch\nload\n(S'/tmp/x.pt'\ntR.",
        "functools.partial": pickle.PROTO + b"\x02cfunctools\npartial\n(cos\nsystem\nS'" + text + b"'\ntR)R.",
        "a name with a line break": b"\x80\x04\x8c\x0anumpy\ncore\x8c\x06system\x93.",
        "a name that is no text": b"\x80\x04K\x01K\x02\x93.",
    }


@pytest.fixture
def sentinel(tmp_path) -> Path:
    return tmp_path / "ran"


NAMES = sorted(hostile_files("true"))


@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_file_is_refused_and_nothing_in_it_runs(tmp_path, sentinel, name):
    hostile = hostile_files(f"touch {sentinel}")[name]
    with pytest.raises(UnsafePickle, match="was refused"):
        read(tmp_path, hostile)
    assert not sentinel.exists()


def test_the_extension_registry_of_this_process_is_not_consulted(tmp_path, sentinel):
    copyreg.add_extension("os", "system", 0xF0)
    try:
        hostile = hostile_files(f"touch {sentinel}")["extension registry"]
        pickle.loads(hostile)
        assert sentinel.exists(), "Python's own unpickler would have run it"
        sentinel.unlink()
        with pytest.raises(UnsafePickle, match="registry"):
            read(tmp_path, hostile)
        assert not sentinel.exists()
    finally:
        copyreg.remove_extension("os", "system", 0xF0)


@pytest.mark.parametrize("name", ["os.system by reduce", "INST opcode", "OBJ opcode", "builtins.getattr chain"])
def test_the_hostile_files_are_truly_hostile(sentinel, name):
    """Python's own unpickler, in a child process, runs them."""
    hostile = hostile_files(f"touch {sentinel}")[name]
    subprocess.run(
        [sys.executable, "-c", "import pickle, sys; pickle.load(sys.stdin.buffer)"], input=hostile, check=True
    )
    assert sentinel.exists()


def raw_array(shape: bytes, raw: bytes, dtype: bytes = b"u1") -> bytes:
    """A hand-made ndarray, whatever its shape says."""
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(" + shape + b"t"
        b"cnumpy\ndtype\n(S'" + dtype + b"'\nI0\nI1\ntRI00\nB" + struct.pack("<I", len(raw)) + raw + b"tb"
    )


def sparse(shape: bytes, indptr: bytes) -> bytes:
    return (
        b"ccopy_reg\n_reconstructor\n(cscipy.sparse.csc\ncsc_matrix\nc__builtin__\nobject\nNtR}"
        b"S'_shape'\n(" + shape + b"ts"
        b"S'data'\n" + raw_array(b"I1\n", b"\1") + b"sS'indices'\n" + raw_array(b"I1\n", b"\0") + b"s"
        b"S'indptr'\n" + raw_array(b"I%d\n" % len(indptr), indptr) + b"sb"
    )


BROKEN = {
    "empty": b"",
    "not a pickle": b"\x89PNG\r\n",
    "cut short": dumps({"a": np.zeros(100)})[:-50],
    "huge BINBYTES8": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.",
    "huge BYTEARRAY8": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"x.",
    "huge BINSTRING": b"T" + struct.pack("<i", -5) + b"x.",
    "huge integer": b"I" + b"9" * 100_000 + b"\n.",
    "huge array": b"}S'a'\n" + raw_array(b"I1000000\nI1000000\n", b"x") + b"s.",
    "negative shape": b"}S'a'\n" + raw_array(b"I-1\nI-1\n", b"x") + b"s.",
    "huge sparse matrix": b"}S'a'\n" + sparse(b"I1000000\nI1000000\n", b"\0\1") + b"s.",
    "sparse offsets that fall": b"}S'a'\n" + sparse(b"I1\nI2\n", b"\0\2\1") + b"s.",
    "array of objects": b"}S'a'\n" + raw_array(b"I1\n", b"x" * 8, b"O8") + b"s.",
    "array of records": b"}S'a'\n" + raw_array(b"I1\n", b"x" * 8, b"i4,i4") + b"s.",
    "array of a code that grows": b"}S'a'\n" + raw_array(b"I1\n", b"", b"V999999999") + b"s.",
    "memo out of nowhere": b"h\x05.",
    "stack runs empty": b"s.",
    "nested key": b"}" + b"(" * 1 + b"t" + b"N" + b"s.",
    "no dictionary": b"].",
    "endless operations": b"N0" * MAX_OPERATIONS,
    "deep chumpy": b"}S'a'\n"
    + b"ccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nobject\nNtR}S'x'\n" * 5000
    + b"N"
    + b"sb" * 5000
    + b"s.",
    "chumpy within itself": b"}S'a'\nccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nobject\nNtR"
    b"p1\n}S'x'\ng1\nsbs.",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_or_bloated_file_is_refused_in_little_memory(tmp_path, name):
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput, match=r"cannot be read|was refused"):
            read(tmp_path, BROKEN[name])
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def test_one_stretch_of_bytes_named_many_times_over_does_not_fill_memory(tmp_path):
    raw = b"x" * (8 << 20)
    header = b"}(S'0'\nB" + struct.pack("<I", len(raw)) + raw + b"q\x01"
    again = raw_array(b"I%d\n" % len(raw), b"").replace(b"B\0\0\0\0", b"h\x01")
    copies = b"".join(b"S'k%d'\n" % index + again for index in range(200))
    with pytest.raises(InvalidInput, match="come to more than"):
        read(tmp_path, header + copies + b"u.")


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(InvalidInput, match=r"absent\.pkl"):
        read_pickled_arrays(tmp_path / "absent.pkl")
