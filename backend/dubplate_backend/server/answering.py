# SPDX-License-Identifier: Apache-2.0
"""One request in, one reply out, whatever the request: admission, version, type, then the work."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import zmq

from dubplate_shared.error_info import ErrorInfo, NotAdmitted
from dubplate_shared.errors import BackendLost, DubplateError
from dubplate_shared.messages import Hello, Message, Refusal
from dubplate_shared.protocol import Envelope, ProtocolError, check_version, pack, unpack
from dubplate_shared.validation import from_envelope, to_envelope

Handler = Callable[[Any], Message]
POLL_MS = 100  # how soon a loop sees that it should end
MAX_ID_LENGTH = 128  # of a request's id, as much as is given back
AT_ONCE = 64  # requests answered before the loop looks at its other duties

log = logging.getLogger("dubplate.server")


@dataclass(frozen=True)
class Answer:
    """A reply, and what of it goes over the wire."""

    message: Message
    parts: list[bytes | memoryview]


@dataclass(frozen=True)
class Answering:
    """session, token: of this run of the backend.  handlers: by request type; each may raise."""

    session: str
    token: str
    handlers: Mapping[type[Message], Handler]

    def answer(self, parts: Sequence[Any]) -> Answer:
        """Never raises: what goes wrong is told to the asker."""
        id = ""
        try:
            request = unpack(parts)
            id = request.id
            return self._packed(self._reply(request), id)
        except DubplateError as error:
            log.info("refused [%s]: %s", error.code, error.message)
            return self._packed(Refusal(ErrorInfo.of(error)), id)
        except Exception as error:  # the last line of defence: a defect in one request must not end the backend
            log.exception("a request failed")
            return self._packed(Refusal(ErrorInfo.of(error)), id)

    def _packed(self, reply: Message, id: str) -> Answer:
        return Answer(reply, pack(to_envelope(reply, id=id[:MAX_ID_LENGTH], session=self.session)))

    def _reply(self, envelope: Envelope) -> Message:
        check_version(envelope.version, own_name="the backend", their_name="the client")
        if not hmac.compare_digest(envelope.token.encode(), self.token.encode()):
            raise NotAdmitted(
                "The request does not carry this backend's token.",
                hint="Connect through the backend's connection file.",
            )
        message = from_envelope(envelope)
        handler = self.handlers.get(type(message))
        if handler is None:
            raise ProtocolError(f"{envelope.type!r} is no request of this socket.")
        if not isinstance(message, Hello) and envelope.session != self.session:
            raise BackendLost("The backend was started anew since you connected.", hint="Connect again.")
        return handler(message)


def answer_waiting(socket: zmq.Socket[bytes], answering: Answering) -> Iterator[tuple[bytes, Message]]:
    """Answer the requests that wait on a ROUTER socket, up to AT_ONCE; yields whom, and with what."""
    for _ in range(AT_ONCE):
        try:
            route, *parts = socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return
        answer = answering.answer(parts)
        if send(socket, route.bytes, answer.parts):
            yield route.bytes, answer.message


def send(socket: zmq.Socket[bytes], route: bytes, parts: Sequence[Any]) -> bool:
    """Send to one client without waiting; one that does not read misses it. False where the client is gone."""
    try:
        socket.send_multipart([route, *parts], zmq.NOBLOCK, copy=False)
    except zmq.Again:
        log.info("a client does not read, and misses a message")
    except zmq.ZMQError as error:
        log.debug("a client is gone: %s", error)
        return False
    return True
