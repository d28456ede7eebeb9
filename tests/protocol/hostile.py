# SPDX-License-Identifier: Apache-2.0
"""Messages that mean harm, or came to it: none may do more than be refused."""

from __future__ import annotations

import msgpack

from dubplate_shared.protocol import MAX_BUFFERS, MAX_HEADER_BYTES


def header(**changes: object) -> bytes:
    fields = {"type": "ping", "id": "1", "session": "", "version": "2.0", "body": {}, "arrays": []}
    return msgpack.packb(fields | changes)


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
    "no id": [msgpack.packb({"type": "ping", "session": "", "version": "2.0"})],
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
