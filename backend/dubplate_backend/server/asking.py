# SPDX-License-Identifier: Apache-2.0
"""A short conversation with a running backend, for the command line: one request, one reply."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import zmq

from dubplate_shared import __version__
from dubplate_shared.connection import Connection
from dubplate_shared.errors import BackendUnreachable
from dubplate_shared.keys import KeyPair
from dubplate_shared.messages import Hello, HelloAck, Message, Refusal
from dubplate_shared.protocol import SOCKET_OPTIONS, ProtocolError, pack, unpack
from dubplate_shared.validation import from_envelope, to_envelope
from dubplate_shared.versions import OLDEST_VERSION, PROTOCOL_VERSION, Versions, agree

ANSWER_TIMEOUT_S = 10.0

Reply = TypeVar("Reply", bound=Message)


class Asking:
    """Use as a context manager. Raises BackendUnreachable where none answers, InvalidInput, ProtocolMismatch."""

    def __init__(self, connection_file: Path, key_file: Path | None = None) -> None:
        """key_file: for a backend on a network."""
        self._connection = Connection.read(connection_file)
        agree(self._connection.versions, own_name="this command", their_name="the backend")
        credentials = self._connection.credentials(KeyPair.read(key_file) if key_file else None)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sockets: dict[str, zmq.Socket[bytes]] = {}
        self._number = 0
        self._version = PROTOCOL_VERSION
        for name in ("rpc", "control"):
            socket = self._sockets[name] = self._context.socket(zmq.DEALER)
            for option, value in [*SOCKET_OPTIONS.items(), *credentials.items()]:
                socket.setsockopt(getattr(zmq, option), value)
            socket.connect(self._connection.endpoints[name])

    def __enter__(self) -> Asking:
        try:
            hello = self.ask(Hello(client=f"dubplate {__version__}", oldest=OLDEST_VERSION), HelloAck)
            told = Versions.told(hello.protocol, hello.agreed)
            self._version = agree(told, own_name="this command", their_name="the backend")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._context.destroy(linger=0)

    def ask(self, message: Message, kind: type[Reply]) -> Reply:
        """The reply. Raises what the backend refuses with, BackendUnreachable where it does not answer."""
        self._number += 1
        id = str(self._number)
        socket = self._sockets[message.SOCKET]
        session = "" if isinstance(message, Hello) else self._connection.session
        deadline_s = time.monotonic() + ANSWER_TIMEOUT_S
        if not socket.poll(1000 * ANSWER_TIMEOUT_S, zmq.POLLOUT):
            raise self._silent()
        socket.send_multipart(pack(to_envelope(message, id=id, session=session, version=self._version)), zmq.NOBLOCK)
        while socket.poll(max(0.0, 1000 * (deadline_s - time.monotonic()))):
            envelope = unpack(socket.recv_multipart())
            if envelope.id != id:
                continue
            reply = from_envelope(envelope)
            if isinstance(reply, Refusal):
                raise reply.error.exception()
            if not isinstance(reply, kind):
                raise ProtocolError(f"The backend answered {message.TYPE} with {reply.TYPE}.")
            return reply
        raise self._silent()

    def _silent(self) -> BackendUnreachable:
        return BackendUnreachable(
            f"No backend answers at {self._connection.endpoints['rpc']}.",
            hint="Is it running? Start it with `dubplate serve`, or name its --connection file.",
        )
