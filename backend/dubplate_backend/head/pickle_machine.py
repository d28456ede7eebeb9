# SPDX-License-Identifier: Apache-2.0
"""A pickle machine that runs nothing: its only values are plain ones, and records of what the file would call.

Python's own unpickler calls what a file names, so it is not used: this one interprets the opcodes itself and knows a
fixed list of names, each standing for an inert record.  A name off the list, or an opcode that could reach one another
way, ends the reading.  Opcodes: CPython, Lib/pickletools.py.
"""

import codecs
import struct
from collections.abc import Callable, Mapping
from typing import Any

from dubplate_backend.head.pickled_arrays import ALLOWED_GLOBALS, Call, Storage, Unreadable

MAX_OPERATIONS = 200_000
"""A head model takes a few hundred.  Bounds the time, and the memory to some 100 bytes an operation."""

_MAX_INTEGER_BYTES = 16
_MAX_INTEGER_DIGITS = 40


def interpret(
    content: bytes,
    start: int = 0,
    *,
    names: Mapping[tuple[str, str], str] = ALLOWED_GLOBALS,
    storages: list[Storage] | None = None,
) -> tuple[Any, int]:
    """One pickle in `content`: what it holds, as plain values and `Call` records, and where it ends.

    `names`: what it may mention.   `storages`: takes the storages that it names by persistent id, as files of PyTorch
    do; None refuses such ids.   Raises Refused, Unreadable.
    """
    reader = _Reader(content, start, names, storages)
    return reader.read(), reader.position


class Refused(Exception):
    """Completes the sentence 'the file was refused: it ...'."""


class _Name:
    """A name that the file mentions, and that is on the list.  Never the thing itself."""

    def __init__(self, meaning: str) -> None:
        self.meaning = meaning


_MARK = object()


class _Reader:
    """A pickle machine whose only values are plain ones and `Call` records."""

    def __init__(
        self, content: bytes, start: int, names: Mapping[tuple[str, str], str], storages: list[Storage] | None
    ) -> None:
        self.content = content
        self.position = start
        self.names = names
        self.storages = storages
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def read(self) -> Any:
        for _ in range(MAX_OPERATIONS):
            code = self.take(1)
            if code == b".":
                return self.pop()
            if code not in _OPERATIONS:
                raise Refused(f"uses {_FORBIDDEN.get(code, f'the unknown opcode {code!r}')}")
            _OPERATIONS[code](self)
        raise Unreadable(f"it has more than {MAX_OPERATIONS} operations")

    # Input.

    def take(self, count: int) -> bytes:
        end = self.position + count
        if count < 0 or end > len(self.content):
            raise Unreadable("it ends in the middle")
        piece = self.content[self.position : end]
        self.position = end
        return piece

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self) -> str:
        end = self.content.find(b"\n", self.position)
        if end < 0:
            raise Unreadable("it ends in the middle")
        return self.take(end + 1 - self.position)[:-1].decode("latin-1")

    # Stack and memo.

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise Unreadable("its stack runs empty")
        return self.stack.pop()

    def discard(self) -> None:
        if not self.stack:
            raise Unreadable("its stack runs empty")
        self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                items = self.stack[index + 1 :]
                del self.stack[index:]
                return items
        raise Unreadable("its stack holds no mark")

    def top(self, kind: type) -> Any:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise Unreadable(f"it fills something that is no {kind.__name__}")
        return self.stack[-1]

    def remember(self, index: int) -> None:
        self.memo[index] = self.top(object)

    def recall(self, index: int) -> None:
        if index not in self.memo:
            raise Unreadable("it refers to something that it never stored")
        self.push(self.memo[index])

    def index_line(self) -> int:
        return _integer(self.line())

    # Plain values.

    def integer_text(self) -> None:
        text = self.line()
        # "00" and "01" are how protocols 0 and 1 write False and True.
        self.push(text == "01" if text in ("00", "01") else _integer(text.rstrip("L")))

    def float_text(self) -> None:
        try:
            self.push(float(self.line()))
        except ValueError as error:
            raise Unreadable("it holds a broken number") from error

    def long(self, count: int) -> None:
        if count > _MAX_INTEGER_BYTES:
            raise Unreadable("it holds an integer of absurd length")
        self.push(int.from_bytes(self.take(count), "little", signed=True))

    def quoted(self) -> None:
        text = self.line().strip()
        if len(text) < 2 or text[0] != text[-1] or text[0] not in "'\"":
            raise Unreadable("it holds a broken string")
        try:
            self.push(codecs.escape_decode(text[1:-1].encode("latin-1"))[0].decode("latin-1"))
        except ValueError as error:
            raise Unreadable("it holds a broken string") from error

    def text(self, count: int, encoding: str) -> None:
        try:
            self.push(self.take(count).decode(encoding, "surrogatepass" if encoding == "utf-8" else "strict"))
        except UnicodeDecodeError as error:
            raise Unreadable("it holds broken text") from error

    def raw_unicode_line(self) -> None:
        try:
            self.push(self.line().encode("latin-1").decode("raw-unicode-escape"))
        except UnicodeDecodeError as error:
            raise Unreadable("it holds broken text") from error

    # Containers.

    def tuple_of(self, count: int) -> None:
        self.push(tuple(reversed([self.pop() for _ in range(count)])))

    def append(self) -> None:
        item = self.pop()
        self.top(list).append(item)

    def extend(self) -> None:
        items = self.pop_to_mark()
        self.top(list).extend(items)

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        _fill(self.top(dict), [key, value])

    def set_items(self) -> None:
        items = self.pop_to_mark()
        _fill(self.top(dict), items)

    def dictionary(self) -> None:
        made: dict = {}
        _fill(made, self.pop_to_mark())
        self.push(made)

    # Names and calls: records only.

    def name(self, module: Any, name: Any) -> None:
        meaning = self.names.get((module, name)) if isinstance(module, str) and isinstance(name, str) else None
        if meaning is None:
            raise Refused(f"asks for {str(module)[:60]}.{str(name)[:60]}")
        self.push(_Name(meaning))

    def name_lines(self) -> None:
        module = self.line()
        self.name(module, self.line())

    def name_on_stack(self) -> None:
        name = self.pop()
        self.name(self.pop(), name)

    def call(self) -> None:
        arguments, what = self.pop(), self.pop()
        if not isinstance(what, _Name) or not isinstance(arguments, tuple):
            raise Refused("calls something other than the names that it may mention")
        meanings = tuple(item.meaning if isinstance(item, _Name) else item for item in arguments)
        self.push(Call(what.meaning, meanings))

    def state(self) -> None:
        state = self.pop()
        self.top(Call).state = state

    def persistent(self) -> None:
        """("storage", class, key, device, elements): where a tensor's numbers lie in the file around the pickle."""
        identity = self.pop()
        if self.storages is None:
            raise Refused(f"uses {_PERSISTENT}")
        if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
            raise Refused("names something outside it that is no tensor's storage")
        _, kind, key, _, count = identity[:5]
        if not isinstance(kind, _Name) or not kind.meaning.startswith("storage ") or not isinstance(key, str):
            raise Refused("names a storage that is none of PyTorch's")
        if len(identity) == 6 and identity[5] is not None:
            raise Unreadable("it holds a view of a storage, as PyTorch wrote before 0.4")
        if type(count) is not int or count < 0:
            raise Unreadable("it holds a tensor of broken size")
        storage = Storage(kind.meaning.removeprefix("storage "), key, count)
        self.storages.append(storage)
        self.push(storage)


def _integer(text: str) -> int:
    if len(text) > _MAX_INTEGER_DIGITS:
        raise Unreadable("it holds an integer of absurd length")
    try:
        return int(text)
    except ValueError as error:
        raise Unreadable("it holds a broken integer") from error


def _fill(target: dict, items: list[Any]) -> None:
    if len(items) % 2:
        raise Unreadable("a dictionary in it lacks a value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # Plain keys only: the hash of something deeply nested could exhaust the stack.
        if not isinstance(key, str | int | None):
            raise Unreadable("a dictionary in it has a key that is neither text nor number")
        target[key] = value


_OPERATIONS: dict[bytes, Callable[[_Reader], None]] = {
    b"\x80": lambda r: r.number("<B"),  # PROTO: nothing here depends on it
    b"\x95": lambda r: r.number("<Q"),  # FRAME: how far to read ahead, of no matter in memory
    b"(": lambda r: r.push(_MARK),
    b"0": _Reader.discard,
    b"1": lambda r: r.pop_to_mark().clear(),
    b"2": lambda r: r.push(r.top(object)),
    b"N": lambda r: r.push(None),
    b"\x88": lambda r: r.push(True),
    b"\x89": lambda r: r.push(False),
    b"I": _Reader.integer_text,
    b"L": _Reader.integer_text,
    b"J": lambda r: r.push(r.number("<i")),
    b"K": lambda r: r.push(r.number("<B")),
    b"M": lambda r: r.push(r.number("<H")),
    b"\x8a": lambda r: r.long(r.number("<B")),
    b"F": _Reader.float_text,
    b"G": lambda r: r.push(r.number(">d")),
    b"S": _Reader.quoted,
    b"T": lambda r: r.text(r.number("<i"), "latin-1"),
    b"U": lambda r: r.text(r.number("<B"), "latin-1"),
    b"V": _Reader.raw_unicode_line,
    b"X": lambda r: r.text(r.number("<I"), "utf-8"),
    b"\x8c": lambda r: r.text(r.number("<B"), "utf-8"),
    b"\x8d": lambda r: r.text(r.number("<Q"), "utf-8"),
    b"B": lambda r: r.push(r.take(r.number("<I"))),
    b"C": lambda r: r.push(r.take(r.number("<B"))),
    b"\x8e": lambda r: r.push(r.take(r.number("<Q"))),
    b"\x96": lambda r: r.push(r.take(r.number("<Q"))),  # BYTEARRAY8, which nothing here changes
    b")": lambda r: r.push(()),
    b"t": lambda r: r.push(tuple(r.pop_to_mark())),
    b"\x85": lambda r: r.tuple_of(1),
    b"\x86": lambda r: r.tuple_of(2),
    b"\x87": lambda r: r.tuple_of(3),
    b"]": lambda r: r.push([]),
    b"l": lambda r: r.push(r.pop_to_mark()),
    b"a": _Reader.append,
    b"e": _Reader.extend,
    b"\x8f": lambda r: r.push([]),  # EMPTY_SET and ADDITEMS: kept as a list, which hashes nothing
    b"\x90": _Reader.extend,
    b"\x91": lambda r: r.push(r.pop_to_mark()),
    b"}": lambda r: r.push({}),
    b"d": _Reader.dictionary,
    b"s": _Reader.set_item,
    b"u": _Reader.set_items,
    b"p": lambda r: r.remember(r.index_line()),
    b"q": lambda r: r.remember(r.number("<B")),
    b"r": lambda r: r.remember(r.number("<I")),
    b"\x94": lambda r: r.remember(len(r.memo)),
    b"g": lambda r: r.recall(r.index_line()),
    b"h": lambda r: r.recall(r.number("<B")),
    b"j": lambda r: r.recall(r.number("<I")),
    b"c": _Reader.name_lines,
    b"\x93": _Reader.name_on_stack,
    b"R": _Reader.call,
    b"\x81": _Reader.call,  # NEWOBJ: class and arguments, as a call
    b"b": _Reader.state,
    b"Q": _Reader.persistent,
}

_PERSISTENT = "a persistent id, which the program that opens it would resolve"

_FORBIDDEN = {
    b"i": "INST, which calls a class by name",
    b"o": "OBJ, which calls a class from the stack",
    b"P": _PERSISTENT,
    b"\x82": "the registry of extensions",
    b"\x83": "the registry of extensions",
    b"\x84": "the registry of extensions",
    b"\x8b": "an integer of up to 2 GB",
    b"\x92": "NEWOBJ_EX, which calls a class with keywords",
    b"\x97": "a buffer from outside the file",
    b"\x98": "a buffer from outside the file",
}
