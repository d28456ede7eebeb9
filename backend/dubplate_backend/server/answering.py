# SPDX-License-Identifier: Apache-2.0
"""One request in, one reply out, whatever the request: rate, version, type, then the work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import zmq

from dubplate_backend.server.rates import Rates
from dubplate_shared.error_info import ErrorInfo, TooManyRequests
from dubplate_shared.errors import BackendLost, DubplateError
from dubplate_shared.messages import Hello, Message, Refusal
from dubplate_shared.protocol import MAX_BUFFERS, MAX_MESSAGE_BYTES, Envelope, ProtocolError, pack, unpack
from dubplate_shared.validation import from_envelope, to_envelope
from dubplate_shared.versions import PROTOCOL_VERSION, Versions, agree

POLL_MS = 100  # how soon a loop sees that it should end
MAX_ID_LENGTH = 128  # of a request's id, as much as is given back
AT_ONCE = 64  # requests answered before the loop looks at its other duties
REFUSALS_A_SECOND = 10.0  # told to one client that asks too fast

log = logging.getLogger("dubplate.server")


@dataclass(frozen=True)
class Caller:
    """Who asks. route: of the connection on this socket.  user: the name of its key; on the loopback always the same.

    version: of the protocol, agreed on for this request.
    """

    route: bytes
    user: str = ""
    version: str = PROTOCOL_VERSION


Handler = Callable[[Any, Caller], Message | None]


@dataclass(frozen=True)
class Answering:
    """session: of this run of the backend.  handlers: by request type; each may raise, None is no reply.

    took: told of every message that was taken in, by a frame of it.

    What comes too fast is let go of unread: a flood costs others as little as can be. Now and then it is told so.
    """

    session: str
    handlers: Mapping[type[Message], Handler]
    rates: Rates = field(default_factory=Rates)
    refusals: Rates = field(default_factory=lambda: Rates(rate=REFUSALS_A_SECOND, burst=REFUSALS_A_SECOND))
    took: Callable[[zmq.Frame], None] = lambda frame: None

    def answer(self, caller: Caller, parts: Sequence[Any]) -> tuple[Message, str] | None:
        """The reply and the request's id. Never raises: what goes wrong is told to the asker."""
        id = ""
        allowed = self.rates.allows(caller.route)
        if not allowed and not self.refusals.allows(caller.route):
            return None
        try:
            request = unpack(parts)
            id = request.id[:MAX_ID_LENGTH]
            if not allowed:
                raise TooManyRequests("Requests come too fast.", hint="Ask again in a second, and less often.")
            reply = self._reply(request, caller)
            return None if reply is None else (reply, id)
        except DubplateError as error:
            log.info("refused", extra={"code": error.code})
            return Refusal(ErrorInfo.of(error)), id
        except Exception as error:  # the last line of defence: a defect in one request must not end the backend
            log.exception("a request failed")
            return Refusal(ErrorInfo.of(error)), id

    def _reply(self, envelope: Envelope, caller: Caller) -> Message | None:
        oldest = envelope.body.get("oldest", "") if envelope.type == Hello.TYPE else ""
        told = Versions.told(envelope.version, oldest if isinstance(oldest, str) else "")
        agreed = agree(told, own_name="the backend", their_name="the client")
        message = from_envelope(envelope)
        handler = self.handlers.get(type(message))
        if handler is None:
            raise ProtocolError(f"{envelope.type!r} is no request of this socket.")
        if not isinstance(message, Hello) and envelope.session != self.session:
            raise BackendLost("The backend was started anew since you connected.", hint="Connect again.")
        return handler(message, replace(caller, version=agreed))


def answer_waiting(socket: zmq.Socket[bytes], answering: Answering) -> Iterator[tuple[bytes, Message | None]]:
    """Answer the requests that wait on a ROUTER socket, up to AT_ONCE; yields whom, and with what."""
    for _ in range(AT_ONCE):
        try:
            route, *parts = receive(socket)
        except zmq.Again:
            return
        answering.took(route)
        caller = Caller(route.bytes, _user(parts[0]) if parts else "")
        answer = answering.answer(caller, parts)
        if answer is None:
            yield caller.route, None
        elif send(socket, caller.route, pack(to_envelope(answer[0], id=answer[1], session=answering.session))):
            yield caller.route, answer[0]


def receive(socket: zmq.Socket[bytes]) -> list[zmq.Frame]:
    """One message's parts, without waiting. What is beyond the limits is let go of as it comes, but for the part that
    shows it. Raises zmq.Again where none waits.
    """
    parts = [socket.recv(zmq.NOBLOCK, copy=False)]
    size, more = 0, parts[0].more
    while more:
        part = socket.recv(copy=False)
        more = part.more
        if size <= MAX_MESSAGE_BYTES and len(parts) <= MAX_BUFFERS + 2:
            parts.append(part)
            size += len(part)
    return parts


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


def _user(part: zmq.Frame) -> str:
    """Who was admitted on the connection that this part came by."""
    try:
        return str(part.get("User-Id"))
    except zmq.ZMQError:  # a socket without a door knows nobody
        return ""
