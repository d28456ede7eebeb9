# SPDX-License-Identifier: Apache-2.0
"""The wire's codec: an envelope becomes `[header, buffer…]` and back.  The contract is PROTOCOL.md.

The header is a small msgpack map; arrays travel beside it as raw buffers that it describes by name, dtype and shape.
This module knows no message (messages.py does) and no socket: it takes bytes from anybody and either gives back an
Envelope or raises ProtocolError, whatever the bytes.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt

from dubplate_shared.errors import DubplateError, ExitCode
from dubplate_shared.versions import PROTOCOL_VERSION

# Limits. A header of this size costs its reader under 10 MB whatever is in it.
MAX_HEADER_BYTES = 64 * 1024
MAX_BUFFERS = 16
MAX_BUFFER_BYTES = 8 * 1024 * 1024
MAX_MESSAGE_BYTES = 16 * 1024 * 1024  # of all parts together
MAX_CONTROL_BYTES = 1024 * 1024
# What a client may have sent ahead of the last message that was taken in; on control and events the second.
MAX_AHEAD_BYTES = 2 * MAX_MESSAGE_BYTES
MAX_CONTROL_AHEAD_BYTES = 2 * MAX_CONTROL_BYTES
MAX_DEPTH = 6
MAX_ITEMS = 4096  # of all maps and lists of a header together.
MAX_DIMENSIONS = 4
DTYPES = ("float32", "float16", "uint8", "int32", "float64")  # little-endian, C order

# libzmq options by name, set on every socket of both sides. Measured: without heartbeats a stopped peer is never
# noticed; a high-water mark of 1000 let one slow reader hold 1.2 GB.
SOCKET_OPTIONS: Mapping[str, int] = {
    "LINGER": 0,
    "IMMEDIATE": 1,
    "HANDSHAKE_IVL": 1000,
    "HEARTBEAT_IVL": 500,
    "HEARTBEAT_TIMEOUT": 1500,
    "HEARTBEAT_TTL": 2000,
    "SNDHWM": 64,
    "RCVHWM": 64,
    "MAXMSGSIZE": MAX_BUFFER_BYTES,
}

Array = npt.NDArray[Any]

# numpy finds a dtype's name, and its other byte order, anew each time: both cost more than a small array's header.
_NAMES: Mapping[Any, str] = types.MappingProxyType({np.dtype(name).newbyteorder("<"): name for name in DTYPES})
_KINDS: Mapping[str, Any] = types.MappingProxyType({name: kind for kind, name in _NAMES.items()})


_TEXTS = ("type", "id", "session", "version")  # of a header


class ProtocolError(DubplateError):
    """Bytes that are no message of this protocol."""

    exit_code = ExitCode.INVALID_INPUT
    code = "protocol"

    def __init__(self, message: str, *, hint: str = "See PROTOCOL.md for the shape of a message.") -> None:
        super().__init__(message, hint=hint)


@dataclass(frozen=True)
class Envelope:
    """One message as the codec sees it.

    type: what it is, such as "job.submit".  id: the sender's; a reply carries its request's.  session: the backend's
    run, "" before hello.  version: of the protocol, the sender's newest in hello and then the one agreed on.
    body: plain values.  arrays: by field name.
    """

    type: str
    id: str = ""
    session: str = ""
    version: str = PROTOCOL_VERSION
    body: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)


def pack(envelope: Envelope) -> list[bytes | memoryview]:
    """`[header, buffer…]`, the buffers being views of the arrays' own memory where that is contiguous (no copy).

    Raises ProtocolError where the message breaks a limit: better told by its sender than refused by its reader.
    """
    described, buffers = [], []
    for name, array in envelope.arrays.items():
        dtype = _NAMES.get(array.dtype)
        if dtype is None or not array.flags.c_contiguous:
            dtype = array.dtype.name
            if dtype not in DTYPES:
                raise ProtocolError(f"Array {name!r} is {array.dtype}; the wire carries {', '.join(DTYPES)}.")
            array = np.ascontiguousarray(array, dtype=_KINDS[dtype]).reshape(array.shape)
        if array.nbytes > MAX_BUFFER_BYTES:
            raise ProtocolError(
                f"Array {name!r} has {array.nbytes} bytes; a buffer holds {MAX_BUFFER_BYTES}.",
                hint="Send a shorter range of frames.",
            )
        described.append({"name": name, "dtype": dtype, "shape": list(array.shape)})
        buffers.append(array.data.cast("B") if array.size else b"")
    fields = {"type": envelope.type, "id": envelope.id, "session": envelope.session, "version": envelope.version}
    try:
        header = msgpack.packb({**fields, "body": dict(envelope.body), "arrays": described}, use_bin_type=True)
    except (TypeError, ValueError, OverflowError, UnicodeEncodeError) as error:
        raise ProtocolError(f"Message {envelope.type!r} cannot be packed: {error}.") from error
    if len(header) > MAX_HEADER_BYTES:
        raise ProtocolError(f"The header of {envelope.type!r} has {len(header)} bytes; it may have {MAX_HEADER_BYTES}.")
    if len(buffers) > MAX_BUFFERS:
        raise ProtocolError(f"Message {envelope.type!r} has {len(buffers)} arrays; it may have {MAX_BUFFERS}.")
    _check_total([header, *buffers], hint="Send a shorter range of frames.")
    return [header, *buffers]


def unpack(parts: Sequence[Any]) -> Envelope:
    """Read `[header, buffer…]` (bytes, memoryviews or zmq frames). The arrays are read-only views of the buffers.

    Raises ProtocolError for anything that is not a message within the limits. Unknown header fields are ignored.
    """
    if not parts:
        raise ProtocolError("The message is empty.")
    _check_total(parts)
    header = _read_header(memoryview(parts[0]).cast("B"))
    for name in _TEXTS:
        if type(header.get(name)) is not str:
            raise ProtocolError(f"The header's {name!r} must be text.")
    body = header.get("body", {})
    if not isinstance(body, dict):
        raise ProtocolError("The header's 'body' must be a map.")
    arrays = _read_arrays(header.get("arrays", []), parts[1:])
    return Envelope(header["type"], header["id"], header["session"], header["version"], body, arrays)


def _check_total(parts: Sequence[Any], *, hint: str = "") -> None:
    size = sum([len(part) if type(part) is bytes else memoryview(part).nbytes for part in parts])
    if size > MAX_MESSAGE_BYTES:
        raise ProtocolError(
            f"The message has {size} bytes; it may have {MAX_MESSAGE_BYTES}.", hint=hint or "See PROTOCOL.md."
        )


def _mapping(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    found: dict[Any, Any] = dict(pairs)
    if len(found) != len(pairs):
        raise ProtocolError("A key stands twice in one map.")
    if b"" in found:  # binary of any length is refused already, but for none
        raise ProtocolError("A map's keys must be text.")
    return found


def _extension(*_: Any) -> Any:
    raise ProtocolError("msgpack extension types are not part of this protocol.")


def _counting() -> Mapping[str, Any]:
    """Hooks that refuse a header with too many values while it is read."""
    items = 0

    def count(values: list[Any]) -> list[Any]:
        nonlocal items
        items += 1 + len(values)
        if items > MAX_ITEMS:
            raise ProtocolError(f"The header holds more than {MAX_ITEMS} values.")
        return values

    return {"object_pairs_hook": lambda pairs: _mapping(count(pairs)), "list_hook": count}


_SHORT: Mapping[str, Any] = types.MappingProxyType({"object_pairs_hook": _mapping})
_LIMITS: Mapping[str, Any] = types.MappingProxyType(
    {
        "raw": False,
        "strict_map_key": True,
        "ext_hook": _extension,
        "max_str_len": MAX_HEADER_BYTES,
        "max_bin_len": 0,
        "max_array_len": MAX_ITEMS,
        "max_map_len": MAX_ITEMS,
        "max_ext_len": 0,
    }
)


def _read_header(data: memoryview) -> dict[str, Any]:
    if data.nbytes > MAX_HEADER_BYTES:
        raise ProtocolError(f"The header has {data.nbytes} bytes; it may have {MAX_HEADER_BYTES}.")
    # A value takes a byte at least, so a short header cannot hold too many.
    hooks = _SHORT if data.nbytes <= MAX_ITEMS else _counting()
    try:
        header = msgpack.unpackb(data, **_LIMITS, **hooks)
    except ProtocolError:
        raise
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException) as error:
        raise ProtocolError(f"The header is not msgpack within the limits: {type(error).__name__}.") from error
    if not isinstance(header, dict):
        raise ProtocolError("The header must be a map.")
    _check_depth(header)
    return header


def _check_depth(value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return
    raise ProtocolError(f"The header is nested deeper than {MAX_DEPTH} levels.")


def _read_arrays(described: Any, buffers: Sequence[Any]) -> dict[str, Array]:
    if not isinstance(described, list) or len(described) != len(buffers):
        raise ProtocolError(f"{len(buffers)} buffers came, and the header's 'arrays' does not describe as many.")
    if len(buffers) > MAX_BUFFERS:
        raise ProtocolError(f"The message has {len(buffers)} buffers; it may have {MAX_BUFFERS}.")
    arrays: dict[str, Array] = {}
    for description, buffer in zip(described, buffers, strict=True):
        name, array = _read_array(description, memoryview(buffer).cast("B"))
        if name in arrays:
            raise ProtocolError(f"Array {name[:40]!r} stands twice.")
        arrays[name] = array
    return arrays


def _read_array(description: Any, data: memoryview) -> tuple[str, Array]:
    if not isinstance(description, dict):
        raise ProtocolError("An array's description must be a map.")
    name, dtype, shape = description.get("name"), description.get("dtype"), description.get("shape")
    if not isinstance(name, str):
        raise ProtocolError("An array's name must be text.")
    kind = _KINDS.get(dtype) if isinstance(dtype, str) else None
    if kind is None:
        raise ProtocolError(f"Array {name[:40]!r} has dtype {str(dtype)[:40]!r}; the wire carries {', '.join(DTYPES)}.")
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS or not all(map(_is_size, shape)):
        raise ProtocolError(f"Array {name[:40]!r} must have a shape of at most {MAX_DIMENSIONS} sizes.")
    if math.prod(shape) * kind.itemsize != data.nbytes or data.nbytes > MAX_BUFFER_BYTES:
        raise ProtocolError(f"Array {name[:40]!r} of shape {shape} and {dtype} does not fit its {data.nbytes} bytes.")
    array = np.frombuffer(data, dtype=kind).reshape(shape) if data.nbytes else np.empty(shape, kind)
    array.flags.writeable = False
    return name, array


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_BUFFER_BYTES
