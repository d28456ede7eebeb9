# SPDX-License-Identifier: Apache-2.0
"""Between typed messages (messages.py) and the codec's envelopes (protocol.py).

Reading checks every field against its annotation once, here at the boundary. Unknown fields are ignored, so that a
newer side may say more; a missing field takes its default.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from dubplate_shared.messages import MESSAGES, Message
from dubplate_shared.protocol import Envelope, ProtocolError
from dubplate_shared.versions import PROTOCOL_VERSION

INT_LIMIT = 2**53  # the largest integer that every language holds exactly
SCALARS = (str, int, float, bool, type(None))


def to_envelope(message: Message, *, id: str = "", session: str = "", version: str = PROTOCOL_VERSION) -> Envelope:
    """Wrap a message; arrays leave the body and travel as buffers, absent ones (None) do not travel at all."""
    body: dict[str, Any] = {}
    arrays = {}
    for field in dataclasses.fields(message):
        value = getattr(message, field.name)
        if isinstance(value, np.ndarray):
            arrays[field.name] = value
        elif value is not None:
            body[field.name] = _plain(value)
    return Envelope(message.TYPE, id, session, version, body, arrays)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        found = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {name: inner for name, inner in found.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, str):
        return str(value)  # a StrEnum travels as text
    return value


def from_envelope(envelope: Envelope) -> Message:
    """The typed message. Raises ProtocolError for an unknown type, a missing field or one of another type."""
    kind = MESSAGES.get(envelope.type)
    if kind is None:
        raise ProtocolError(f"There is no message {envelope.type[:40]!r}.", hint="Update the older of the two sides.")
    return typing.cast(Message, _read(kind, {**envelope.body, **envelope.arrays}, envelope.type))


@cache
def field_types(kind: type) -> Mapping[str, Any]:
    """The annotations of a message's fields, resolved, in order."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _read(kind: type, values: Mapping[str, Any], where: str) -> Any:
    found = {}
    for field in dataclasses.fields(kind):
        wanted = field_types(kind)[field.name]
        if field.name in values:
            found[field.name] = _check(wanted, values[field.name], f"{where}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            if type(None) not in typing.get_args(wanted):
                raise ProtocolError(f"{where} lacks the field {field.name!r}.")
            found[field.name] = None
    return kind(**found)


def _check(wanted: Any, value: Any, where: str) -> Any:
    """`value` as the annotation says, or ProtocolError."""
    if isinstance(wanted, types.UnionType):
        options = [option for option in typing.get_args(wanted) if option is not type(None)]
        return None if value is None else _check(options[0], value, where)
    origin = typing.get_origin(wanted) or wanted
    if origin is np.ndarray and isinstance(value, np.ndarray):
        return value
    if origin is tuple and isinstance(value, list):
        inner = typing.get_args(wanted)[0]
        return tuple(_check(inner, one, where) for one in value)
    if origin is dict and isinstance(value, dict):
        return {name: _check_setting(one, f"{where}.{name[:40]}") for name, one in value.items()}
    if dataclasses.is_dataclass(origin) and isinstance(value, dict):
        return _read(typing.cast(type, origin), value, where)
    if origin is float and type(value) in (int, float):
        return float(value) if abs(value) < INT_LIMIT else _refuse("float", where)
    if origin in (str, int, bool) and type(value) is origin:
        return value if origin is not int or abs(value) < INT_LIMIT else _refuse("int", where)
    return _refuse(getattr(origin, "__name__", str(origin)), where)


def _check_setting(value: Any, where: str) -> Any:
    return value if isinstance(value, SCALARS) else _refuse("a plain value", where)


def _refuse(wanted: str, where: str) -> typing.NoReturn:
    raise ProtocolError(f"{where} must be {wanted}.")
