# SPDX-License-Identifier: Apache-2.0
"""The codec: what goes in comes out, and no bytes whatever do harm."""

from __future__ import annotations

import resource
import struct

import msgpack
import numpy as np
import pytest
from hostile import HOSTILE, header
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dubplate_shared.protocol import (
    DTYPES,
    MAX_BUFFER_BYTES,
    MAX_BUFFERS,
    MAX_HEADER_BYTES,
    Envelope,
    ProtocolError,
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


@settings(deadline=None)
@given(
    type=TEXT,
    id=TEXT,
    session=TEXT,
    body=st.dictionaries(TEXT, SHALLOW, max_size=5),
    arrays=st.dictionaries(TEXT, ARRAYS, max_size=3),
)
def test_what_is_packed_is_unpacked(type, id, session, body, arrays):
    sent = Envelope(type, id, session, body=body, arrays=arrays)
    read = unpack([bytes(part) for part in pack(sent)])
    assert (read.type, read.id, read.session, read.version) == (type, id, session, sent.version)
    assert read.body == body
    assert read.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert read.arrays[name].dtype == array.dtype and read.arrays[name].shape == array.shape
        assert read.arrays[name].tobytes() == array.tobytes()


@settings(max_examples=500, deadline=None)
@given(parts=st.lists(st.binary(max_size=200), max_size=4))
def test_arbitrary_bytes_raise_nothing_but_a_protocol_error(parts):
    try:
        unpack(parts)
    except ProtocolError:
        return


@settings(max_examples=200, deadline=None)
@given(fields=st.dictionaries(st.sampled_from(["type", "id", "session", "version", "body", "arrays"]), VALUES))
def test_arbitrary_headers_raise_nothing_but_a_protocol_error(fields):
    try:
        unpack([msgpack.packb(fields), b"1234"])
    except ProtocolError:
        return


@settings(deadline=None)
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
