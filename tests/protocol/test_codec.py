# SPDX-License-Identifier: Apache-2.0
"""The codec: what goes in comes out, and no bytes whatever do harm."""

from __future__ import annotations

import resource
import struct

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dubplate_shared.errors import ProtocolMismatch
from dubplate_shared.protocol import (
    DTYPES,
    MAX_BUFFER_BYTES,
    MAX_BUFFERS,
    MAX_HEADER_BYTES,
    Envelope,
    ProtocolError,
    check_version,
    pack,
    unpack,
)

TEXT = st.text(max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
SHALLOW = st.none() | st.integers(-(2**53), 2**53) | TEXT | st.lists(TEXT, max_size=3)
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)


def header(**changes: object) -> bytes:
    fields = {"type": "ping", "id": "1", "session": "", "version": "1.0", "body": {}, "arrays": []}
    return msgpack.packb(fields | changes)


@given(
    type=TEXT,
    id=TEXT,
    session=TEXT,
    token=TEXT,
    body=st.dictionaries(TEXT, SHALLOW, max_size=5),
    arrays=st.dictionaries(TEXT, ARRAYS, max_size=3),
)
def test_what_is_packed_is_unpacked(type, id, session, token, body, arrays):
    sent = Envelope(type, id, session, token=token, body=body, arrays=arrays)
    read = unpack([bytes(part) for part in pack(sent)])
    assert (read.type, read.id, read.session, read.token, read.version) == (type, id, session, token, sent.version)
    assert read.body == body
    assert read.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert read.arrays[name].dtype == array.dtype and read.arrays[name].shape == array.shape
        assert read.arrays[name].tobytes() == array.tobytes()


@settings(max_examples=500)
@given(parts=st.lists(st.binary(max_size=200), max_size=4))
def test_arbitrary_bytes_raise_nothing_but_a_protocol_error(parts):
    try:
        unpack(parts)
    except ProtocolError:
        return


@settings(max_examples=500)
@given(fields=st.dictionaries(st.sampled_from(["type", "id", "session", "version", "body", "arrays"]), VALUES))
def test_arbitrary_headers_raise_nothing_but_a_protocol_error(fields):
    try:
        unpack([msgpack.packb(fields), b"1234"])
    except ProtocolError:
        return


@given(data=st.data())
def test_a_message_with_one_byte_changed_raises_nothing_but_a_protocol_error(data):
    parts = [bytes(part) for part in pack(Envelope("job.submit", "1", body={"a": [1, "b"]}, arrays={"x": np.ones(3)}))]
    position = data.draw(st.integers(0, len(parts[0]) - 1))
    broken = bytearray(parts[0])
    broken[position] = data.draw(st.integers(0, 255))
    try:
        unpack([bytes(broken), parts[1]])
    except ProtocolError:
        return


HOSTILE = {
    "nothing": [],
    "an empty header": [b""],
    "no msgpack": [b"\xc1"],
    "a number": [msgpack.packb(7)],
    "a list": [msgpack.packb([1, 2])],
    "two values": [header() + b"\x01"],
    "a cut header": [header()[:-2]],
    "a header beyond its limit": [header(body={"a": "x" * MAX_HEADER_BYTES})],
    "a text that says it has 4 GB": [b"\xdb\xff\xff\xff\xffabc"],
    "a list that says it has 4 billion items": [b"\xdd\xff\xff\xff\xff"],
    "a map that says it has 4 billion keys": [b"\xdf\xff\xff\xff\xff"],
    "nesting beyond the limit": [header(body={"a": [[[[[[[[1]]]]]]]]})],
    "nesting of 60000 lists": [b"\x91" * 60000 + b"\x01"],
    "nesting of 60000 maps": [b"\x81\xa1a" * 20000 + b"\x01"],
    "60000 empty maps": [b"\xdc\xea\x60" + b"\x80" * 60000],
    "60000 empty lists in the body": [header(body={"a": [[]] * 60000})],
    "5000 keys": [header(body={str(number): 0 for number in range(5000)})],
    "an extension": [header(body={"a": msgpack.ExtType(5, b"x")})],
    "an empty extension": [b"\x81\xa4type\xc7\x00\x05"],
    "a timestamp": [header(body={"a": msgpack.Timestamp(1, 2)})],
    "binary": [header(body={"a": b"x"})],
    "a key that is a number": [b"\x81\x01\x02"],
    "a key that is a list": [b"\x81\x91\x01\x02"],
    "a key that stands twice": [b"\x82\xa4type\xa4ping\xa4type\xa4ping"],
    "text that is no UTF-8": [b"\x81\xa4type\xa2\xff\xfe"],
    "a type that is a number": [header(type=5)],
    "no id": [msgpack.packb({"type": "ping", "session": "", "version": "1.0"})],
    "a body that is a list": [header(body=[])],
    "arrays that are a map": [header(arrays={})],
    "a buffer that nobody describes": [header(), b"1234"],
    "a description without its buffer": [header(arrays=[{"name": "a", "dtype": "uint8", "shape": [4]}])],
    "a description that is text": [header(arrays=["a"]), b"1234"],
    "an array without a name": [header(arrays=[{"dtype": "uint8", "shape": [4]}]), b"1234"],
    "a dtype that is not allowed": [header(arrays=[{"name": "a", "dtype": "int64", "shape": [1]}]), b"12345678"],
    "a dtype of objects": [header(arrays=[{"name": "a", "dtype": "object", "shape": [1]}]), b"12345678"],
    "a dtype that is a list": [header(arrays=[{"name": "a", "dtype": ["uint8"], "shape": [4]}]), b"1234"],
    "a shape that is too large": [header(arrays=[{"name": "a", "dtype": "uint8", "shape": [5]}]), b"1234"],
    "a shape that is too small": [header(arrays=[{"name": "a", "dtype": "uint8", "shape": [3]}]), b"1234"],
    "a shape below zero": [header(arrays=[{"name": "a", "dtype": "uint8", "shape": [-2, -2]}]), b"1234"],
    "a shape of truths": [header(arrays=[{"name": "a", "dtype": "uint8", "shape": [True, 4]}]), b"1234"],
    "a shape of fractions": [header(arrays=[{"name": "a", "dtype": "uint8", "shape": [4.0]}]), b"1234"],
    "a shape that overflows to fit": [
        header(arrays=[{"name": "a", "dtype": "float32", "shape": [2**62, 2**62, 4]}]),
        b"",
    ],
    "an empty shape that overflows": [header(arrays=[{"name": "a", "dtype": "uint8", "shape": [0, 2**63]}]), b""],
    "a shape of 5 dimensions": [header(arrays=[{"name": "a", "dtype": "uint8", "shape": [1, 1, 1, 1, 4]}]), b"1234"],
    "an array that stands twice": [header(arrays=[{"name": "a", "dtype": "uint8", "shape": [1]}] * 2), b"1", b"2"],
    "too many buffers": [
        header(arrays=[{"name": str(n), "dtype": "uint8", "shape": [1]} for n in range(MAX_BUFFERS + 1)]),
        *[b"1"] * (MAX_BUFFERS + 1),
    ],
}


@pytest.mark.parametrize("parts", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_message_is_refused(parts):
    with pytest.raises(ProtocolError) as refused:
        unpack(parts)
    assert len(refused.value.message) < 300


def test_refusing_the_hostile_corpus_a_hundred_times_takes_under_10_mb():
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(100):
        for parts in HOSTILE.values():
            with pytest.raises(ProtocolError):
                unpack(parts)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 10 * 1024


def test_unknown_header_keys_are_ignored():
    assert unpack([header(colour="blue", later={"a": [1]})]).type == "ping"


def test_arrays_are_neither_copied_on_the_way_out_nor_in():
    curves = np.arange(12, dtype=np.float32).reshape(4, 3)
    _, buffer = pack(Envelope("x", arrays={"jaw": curves}))
    assert np.shares_memory(np.frombuffer(buffer, np.uint8), curves)
    data = bytearray(curves.tobytes())
    read = unpack([header(arrays=[{"name": "jaw", "dtype": "float32", "shape": [4, 3]}]), data]).arrays["jaw"]
    data[:4] = struct.pack("<f", 9.0)
    assert read[0, 0] == 9.0 and not read.flags.writeable


def test_arrays_of_any_layout_arrive_as_they_look():
    base = np.arange(24, dtype=">f4").reshape(4, 6)
    for array in (base, base.T, base[::2, 1::2], np.float64(3.5).reshape(())):
        read = unpack([bytes(part) for part in pack(Envelope("x", arrays={"a": array}))]).arrays["a"]
        assert np.array_equal(read, array) and read.shape == array.shape


@pytest.mark.parametrize(
    "envelope",
    [
        Envelope("x", body={"a": "y" * MAX_HEADER_BYTES}),
        Envelope("x", body={"a": object()}),
        Envelope("x", body={"a": 2**70}),
        Envelope("x", body={"a": "\ud800"}),
        Envelope("x", arrays={"a": np.zeros(3, np.int64)}),
        Envelope("x", arrays={"a": np.zeros(MAX_BUFFER_BYTES + 1, np.uint8)}),
        Envelope("x", arrays={str(number): np.zeros(1, np.uint8) for number in range(MAX_BUFFERS + 1)}),
    ],
)
def test_a_message_beyond_the_limits_is_told_to_its_sender(envelope):
    with pytest.raises(ProtocolError):
        pack(envelope)


@pytest.mark.parametrize("own,theirs", [("1.0", "1.0"), ("1.0", "1.9"), ("2.3", "2.0"), ("0.4", "0.4")])
def test_versions_of_one_major_understand_each_other(own, theirs):
    check_version(theirs, own_name="the client", their_name="the backend", own=own)


@pytest.mark.parametrize(
    "own,theirs,older",
    [
        ("1.0", "2.0", "the client"),
        ("2.0", "1.7", "the backend"),
        ("0.4", "0.5", "the client"),
        ("1.0", "0.9", "the backend"),
        ("1.0", "one", "the backend"),
        ("1.0", "", "the backend"),
        ("1.0", "1.0.0", "the backend"),
    ],
)
def test_other_versions_are_refused_naming_both_and_the_one_to_update(own, theirs, older):
    with pytest.raises(ProtocolMismatch) as refused:
        check_version(theirs, own_name="the client", their_name="the backend", own=own)
    assert repr(own) in refused.value.message and repr(theirs) in refused.value.message
    assert f"Update {older}" in refused.value.hint
