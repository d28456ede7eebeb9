# SPDX-License-Identifier: Apache-2.0
"""The connection file: how a client finds a running backend, and the proof that it may speak to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dubplate_shared.errors import BackendUnreachable, DubplateError, InvalidInput
from dubplate_shared.files import read_json, write_private_json
from dubplate_shared.keys import KeyPair
from dubplate_shared.versions import OLDEST_VERSION, PROTOCOL_VERSION, Versions, agree

SCHEMA = "dubplate.connection/1"
SOCKETS = ("rpc", "control", "events", "bulk")
USER = "dubplate"  # of PLAIN, beside the token


@dataclass(frozen=True)
class Connection:
    """endpoints: by socket name, such as tcp://127.0.0.1:40001.  session: new with every start of the backend.

    token: a secret that opens the sockets on the loopback; the file is its owner's alone, so nobody else on the machine
    has it.  server_key: the backend's public key (Z85) where the sockets take CURVE keys instead, else "".
    started: Unix seconds, for people.  protocol, oldest: the newest and oldest version that the backend speaks.
    """

    endpoints: Mapping[str, str]
    pid: int
    session: str
    token: str
    started: float
    protocol: str = PROTOCOL_VERSION
    oldest: str = OLDEST_VERSION
    server_key: str = ""

    @property
    def versions(self) -> Versions:
        """What the backend speaks."""
        return Versions.told(self.protocol, self.oldest)

    def credentials(self, keys: KeyPair | None) -> dict[str, bytes]:
        """libzmq options by name with which a client proves itself. keys: its own, where the backend takes keys.

        Raises InvalidInput where it does and there are none.
        """
        if not self.server_key:
            return {"PLAIN_USERNAME": USER.encode(), "PLAIN_PASSWORD": self.token.encode()}
        if keys is None:
            raise InvalidInput(
                "This backend is reached over a network, and takes keys.",
                hint="Make a pair with `dubplate keys make NAME`, have NAME.pub allowed there, and name NAME.key here.",
            )
        return {
            "CURVE_SERVERKEY": self.server_key.encode(),
            "CURVE_PUBLICKEY": keys.public.encode(),
            "CURVE_SECRETKEY": keys.secret.encode(),
        }

    def write(self, path: Path | str) -> None:
        """Write with mode 0600 from its first byte on, whole or not at all. Raises OSError."""
        content = {"schema": SCHEMA, **dataclasses.asdict(self), "endpoints": dict(self.endpoints)}
        write_private_json(path, content)

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
        """Raises BackendUnreachable where there is no such file, InvalidInput where it is broken, ProtocolMismatch."""
        path = Path(path)
        if not path.exists():
            raise BackendUnreachable(
                f"No backend has written {path}.", hint="Start one with `dubplate serve`, or check --connection."
            )
        content = read_json(path, SCHEMA)
        content = {"oldest": content.get("protocol"), **content}  # as backends before version 2 wrote it
        known = {field.name for field in dataclasses.fields(cls)}
        try:
            found = cls(**{name: value for name, value in content.items() if name in known})
        except TypeError as error:  # a field is missing
            raise _broken(path) from error
        texts = (found.session, found.token, found.protocol, found.oldest, found.server_key)
        endpoints = found.endpoints if isinstance(found.endpoints, dict) else {}
        known_sockets = [endpoints.get(name) for name in SOCKETS]
        if not all(isinstance(text, str) for text in texts):
            raise _broken(path)
        if not all(isinstance(endpoint, str) for endpoint in known_sockets):
            # An older backend has fewer sockets: that its version is another one is what helps.
            agree(found.versions, own_name="the client", their_name="the backend")
            raise _broken(path)
        return found


def _broken(path: Path) -> InvalidInput:
    return InvalidInput(f"{path} is no whole connection file.", hint="Stop the backend and start it again.")
