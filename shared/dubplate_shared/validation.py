# SPDX-License-Identifier: Apache-2.0
"""Between typed messages (messages.py) and the codec's envelopes (protocol.py).

Reading checks every field against its annotation once, here at the boundary. Unknown fields are ignored, so that a
newer side may say more; a missing field takes its default.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from dubplate_shared.messages import MESSAGES, Message
from dubplate_shared.protocol import Envelope, ProtocolError
from dubplate_shared.versions import PROTOCOL_VERSION

INT_LIMIT = 2**53  # the largest integer that every language holds exactly
SCALARS = (str, int, float, bool, type(None))


Check = Callable[[Any, str, str], Any]  # value, message, field -> the value as it is wanted, or ProtocolError


def to_envelope(message: Message, *, id: str = "", session: str = "", version: str = PROTOCOL_VERSION) -> Envelope:
    """Wrap a message; arrays leave the body and travel as buffers, absent ones (None) do not travel at all."""
    body: dict[str, Any] = {}
    arrays = {}
    for name in field_types(message.__class__):  # type: ignore[arg-type]  # a class is hashable, mypy or not
        value = getattr(message, name)
        if isinstance(value, np.ndarray):
            arrays[name] = value
        elif value is not None:
            body[name] = value if type(value) in (str, int, float, bool) else _plain(value)
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


@dataclass(frozen=True)
class _Field:
    """One field, its check found once: looking annotations up costs more than the check itself."""

    name: str
    check: Check
    required: bool
    absent: bool  # where it is left out it is None: optional, without a default of its own


@cache
def _fields(kind: type) -> tuple[_Field, ...]:
    found = []
    for field in dataclasses.fields(kind):
        wanted = field_types(kind)[field.name]
        bare = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        optional = type(None) in typing.get_args(wanted)
        found.append(_Field(field.name, _check_of(wanted), bare and not optional, bare and optional))
    return tuple(found)


def _read(kind: type, values: Mapping[str, Any], where: str) -> Any:
    found = {}
    for field in _fields(kind):
        if field.name in values:
            found[field.name] = field.check(values[field.name], where, field.name)
        elif field.required:
            raise ProtocolError(f"{where} lacks the field {field.name!r}.")
        elif field.absent:
            found[field.name] = None
    return kind(**found)


def _check_of(wanted: Any) -> Check:
    """What gives a value back as the annotation says, or raises ProtocolError."""
    if isinstance(wanted, types.UnionType):
        inner = _check_of(next(option for option in typing.get_args(wanted) if option is not type(None)))
        return lambda value, where, name: None if value is None else inner(value, where, name)
    origin = typing.get_origin(wanted) or wanted
    if origin is tuple:
        return _each(_check_of(typing.get_args(wanted)[0]))
    if dataclasses.is_dataclass(origin):
        return _inner(typing.cast(type, origin))
    return {np.ndarray: _array, dict: _settings, float: _number, int: _integer}.get(origin) or _exactly(origin)


def _each(inner: Check) -> Check:
    def check(value: Any, where: str, name: str) -> Any:
        if not isinstance(value, list):
            _refuse("tuple", where, name)
        return tuple(inner(one, where, name) for one in value)

    return check


def _inner(kind: type) -> Check:
    def check(value: Any, where: str, name: str) -> Any:
        return _read(kind, value, f"{where}.{name}") if isinstance(value, dict) else _refuse("map", where, name)

    return check


def _exactly(kind: type) -> Check:
    def check(value: Any, where: str, name: str) -> Any:
        return value if type(value) is kind else _refuse(kind.__name__, where, name)

    return check


def _array(value: Any, where: str, name: str) -> Any:
    return value if isinstance(value, np.ndarray) else _refuse("ndarray", where, name)


def _settings(value: Any, where: str, name: str) -> Any:
    if not isinstance(value, dict):
        _refuse("dict", where, name)
    for inner, one in value.items():
        if not isinstance(one, SCALARS):
            _refuse("a plain value", where, f"{name}.{inner[:40]}")
    return value


def _number(value: Any, where: str, name: str) -> Any:
    return float(value) if type(value) in (int, float) and abs(value) < INT_LIMIT else _refuse("float", where, name)


def _integer(value: Any, where: str, name: str) -> Any:
    return value if type(value) is int and abs(value) < INT_LIMIT else _refuse("int", where, name)


def _refuse(wanted: str, where: str, name: str) -> typing.NoReturn:
    raise ProtocolError(f"{where}.{name} must be {wanted}.")
