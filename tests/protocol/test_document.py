# SPDX-License-Identifier: Apache-2.0
"""PROTOCOL.md says what the code does: version, messages, fields, options and limits."""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from pathlib import Path

import numpy as np
import pytest

from dubplate_backend.server import rates
from dubplate_shared import protocol, tiles, versions
from dubplate_shared.error_info import RETRYABLE, ErrorInfo
from dubplate_shared.errors import all_errors
from dubplate_shared.messages import BULK, EVENTS, MESSAGES, REPLIES, REQUESTS, JobInfo
from dubplate_shared.validation import field_types

DOCUMENT = Path(__file__).parents[2] / "PROTOCOL.md"
TYPE_NAMES = {
    str: "text", int: "integer", float: "number", bool: "boolean", dict: "map", np.ndarray: "array",
    ErrorInfo: "error", JobInfo: "`job.info`",
}  # fmt: skip


@pytest.fixture(scope="module")
def text() -> str:
    return DOCUMENT.read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """Cells of every table row of a piece of the document."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def sections(text: str) -> dict[str, str]:
    """Message type -> what stands under its heading."""
    pieces = re.split(r"^#### `([^`]+)`$", text, flags=re.MULTILINE)
    named = zip(pieces[1::2], pieces[2::2], strict=True)
    return {name: re.split(r"^### ", piece, flags=re.MULTILINE)[0] for name, piece in named}


def type_name(annotation: object) -> str:
    if isinstance(annotation, types.UnionType):
        return f"{type_name(typing.get_args(annotation)[0])}, optional"
    if typing.get_origin(annotation) is tuple:
        return f"list of {type_name(typing.get_args(annotation)[0])}"
    return TYPE_NAMES[typing.get_origin(annotation) or annotation]


def default_name(field: dataclasses.Field) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return f"`{json.dumps(field.default_factory())}`"
    if field.default is dataclasses.MISSING:
        return "required"
    return "" if field.default is None else f"`{json.dumps(field.default)}`"


def test_the_document_names_the_versions_of_the_code(text):
    told = re.search(r"^Version: \*\*([^*]+)\*\*, the oldest that is still spoken: \*\*([^*]+)\*\*", text, re.MULTILINE)
    assert told.groups() == (versions.PROTOCOL_VERSION, versions.OLDEST_VERSION)


def test_the_document_lists_exactly_the_messages_of_the_code_in_order(text):
    assert list(sections(text)) == [kind.TYPE for kind in REQUESTS + REPLIES + EVENTS + BULK]


@pytest.mark.parametrize("kind", MESSAGES.values(), ids=MESSAGES.keys())
def test_the_document_gives_a_message_its_socket_and_fields(text, kind):
    section = sections(text)[kind.TYPE]
    receiver = {"client": "backend", "backend": "client"}[kind.SENDER]
    assert f"{kind.SENDER} → {receiver}, {kind.SOCKET}. " in section
    fields = [
        [field.name, type_name(field_types(kind)[field.name]), default_name(field)]
        for field in dataclasses.fields(kind)
    ]
    assert [row[:3] for row in rows(section)[2:]] == fields
    assert all(row[3] for row in rows(section)), "every field has a meaning"


def test_the_document_gives_the_sockets_options(text):
    options = {name: int(value) for name, value in re.findall(r"^\| ([A-Z_]+) \| (\d+) \|$", text, re.MULTILINE)}
    assert options == protocol.SOCKET_OPTIONS
    assert f"`MAXMSGSIZE` is {protocol.MAX_CONTROL_BYTES} on control" in text
    assert f"{protocol.MAX_CONTROL_AHEAD_BYTES} bytes on control" in text


def test_the_document_gives_the_limits_and_dtypes(text):
    limits = {row[0]: row[1] for row in rows(text) if len(row) == 2}
    wanted = {
        "header, bytes": protocol.MAX_HEADER_BYTES,
        "buffers": protocol.MAX_BUFFERS,
        "buffer, bytes": protocol.MAX_BUFFER_BYTES,
        "message, bytes": protocol.MAX_MESSAGE_BYTES,
        "sent ahead, bytes": protocol.MAX_AHEAD_BYTES,
        "nesting of the header": protocol.MAX_DEPTH,
        "values in the header": protocol.MAX_ITEMS,
        "dimensions of an array": protocol.MAX_DIMENSIONS,
        "requests a second": int(rates.REQUESTS_A_SECOND),
        "requests at once": int(rates.BURST),
        "requests a second, bulk": int(rates.BULK_REQUESTS_A_SECOND),
        "requests at once, bulk": int(rates.BULK_BURST),
        "picture, bytes": tiles.MAX_PICTURE_BYTES,
    }
    assert {name: int(limits[name]) for name in wanted} == wanted
    assert f"dtypes: {', '.join(f'`{dtype}`' for dtype in protocol.DTYPES)}." in text


def test_the_document_lists_exactly_the_error_codes_of_the_code(text):
    kinds = [kind for kind in all_errors().values() if kind.__module__.startswith("dubplate_shared.")]
    wanted = {(kind.code, str(int(kind.exit_code)), "yes" if kind.code in RETRYABLE else "no") for kind in kinds}
    table = text[text.index("| code | exit code |") : text.index("## Messages")]
    assert {tuple(row[:3]) for row in rows(table)[2:]} == wanted
