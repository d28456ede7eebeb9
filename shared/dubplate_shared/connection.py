# SPDX-License-Identifier: Apache-2.0
"""The connection file: how a client finds a running backend, and the proof that it may speak to it."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dubplate_shared.errors import BackendUnreachable, DubplateError, InvalidInput
from dubplate_shared.files import read_json
from dubplate_shared.protocol import PROTOCOL_VERSION

SCHEMA = "dubplate.connection/1"
SOCKETS = ("rpc", "control", "events")


@dataclass(frozen=True)
class Connection:
    """endpoints: by socket name, such as tcp://127.0.0.1:40001.  session: new with every start of the backend.

    token: a secret that every request carries; the file is its owner's alone, so nobody else on the machine has it.
    started: Unix seconds, for people.
    """

    endpoints: Mapping[str, str]
    pid: int
    session: str
    token: str
    started: float
    protocol: str = PROTOCOL_VERSION

    def write(self, path: Path | str) -> None:
        """Write with mode 0600 from its first byte on, whole or not at all. Raises OSError."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"schema": SCHEMA, **dataclasses.asdict(self), "endpoints": dict(self.endpoints)}
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def remove(self, path: Path | str) -> None:
        """Remove the file if it is still this connection's: a later backend may have written its own there."""
        try:
            mine = Connection.read(path).session == self.session
        except DubplateError:
            return
        if mine:
            Path(path).unlink(missing_ok=True)

    @classmethod
    def read(cls, path: Path | str) -> Connection:
        """Raises BackendUnreachable where there is no such file, InvalidInput where it is broken."""
        path = Path(path)
        if not path.exists():
            raise BackendUnreachable(
                f"No backend has written {path}.", hint="Start one with `dubplate serve`, or check --connection."
            )
        content = read_json(path, SCHEMA)
        known = {field.name for field in dataclasses.fields(cls)}
        try:
            found = cls(**{name: value for name, value in content.items() if name in known})
        except TypeError as error:  # a field is missing
            raise _broken(path) from error
        texts = (found.session, found.token, found.protocol)
        endpoints = found.endpoints if isinstance(found.endpoints, dict) else {}
        if not all(isinstance(text, str) for text in (*texts, *(endpoints.get(name) for name in SOCKETS))):
            raise _broken(path)
        return found


def _broken(path: Path) -> InvalidInput:
    return InvalidInput(f"{path} is no whole connection file.", hint="Stop the backend and start it again.")
