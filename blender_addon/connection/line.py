# SPDX-License-Identifier: GPL-3.0-or-later
"""The line to a backend: its four sockets, who answers what, and whether it still lives. No bpy, no threads."""

from __future__ import annotations

import itertools
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import reduce
from operator import or_
from types import MappingProxyType
from typing import TypeVar

import zmq
from zmq.utils.monitor import recv_monitor_message

from dubplate_shared.connection import Connection
from dubplate_shared.error_info import ErrorInfo, NotAdmitted
from dubplate_shared.errors import BackendLost, DubplateError
from dubplate_shared.keys import KeyPair
from dubplate_shared.messages import (
    BulkCredit,
    BulkOpened,
    Hello,
    HelloAck,
    Listen,
    Message,
    Outcome,
    Ping,
    Pong,
    PreviewOver,
    Refusal,
    Welcome,
)
from dubplate_shared.protocol import MAX_CONTROL_BYTES, SOCKET_OPTIONS, Envelope, ProtocolError, pack, unpack
from dubplate_shared.tiles import Pixels
from dubplate_shared.validation import from_envelope, to_envelope
from dubplate_shared.versions import OLDEST_VERSION, PROTOCOL_VERSION, Versions, agree

from .pictures import Pictures

PING_INTERVAL_S = 0.5
SILENT_AFTER_S = 2.0  # no pong for so long after a ping: with the interval, said aloud within 3 s
GIVEN_UP_AFTER_S = 30.0  # silent though the connection stands: busy inside native code, or stuck
STEP_MS = 50
START_AGAIN = "Start it again, connect, and submit the same work: plates already written are whole."
LINE_ENDS: Mapping[int, str] = MappingProxyType(
    {
        zmq.Event.DISCONNECTED: "The connection to the backend broke: it has ended or hangs.",
        zmq.Event.CONNECT_RETRIED: "Nobody listens there.",
        zmq.Event.HANDSHAKE_FAILED_NO_DETAIL: "What listens there is no Dubplate backend.",
        zmq.Event.HANDSHAKE_FAILED_PROTOCOL: "What listens there is no Dubplate backend.",
        zmq.Event.HANDSHAKE_FAILED_AUTH: "The backend does not let this client in.",
    }
)
AT_ONCE = 64  # messages of pictures taken in before the other sockets are looked at again
PREVIEW = "preview-"  # begins the id of a preview's request; its generation follows

Reply = TypeVar("Reply", bound=Message)


class Line:
    """Sockets to one backend; connects when made. Call `pump` often: it takes in, pings, and looks at the connection.

    version: of the protocol, as agreed on.  events: what came, oldest first, for the owner to take.  pictures: the
    stream of them once it stands open.  beat: the last Pong.  responsive: False while a pong is
    owed for longer than SILENT_AFTER_S though the connection stands.  missed: events were dropped; the owner sets
    it back.  lost: why the line is dead, "" while it lives.
    """

    def __init__(self, connection: Connection, keys: KeyPair | None = None) -> None:
        """keys: this client's, for a backend on a network. Raises InvalidInput where it needs them and has none."""
        self.version = PROTOCOL_VERSION
        self.events: list[Message | Pixels] = []
        self.pictures: Pictures | None = None
        self.beat: Pong | None = None
        self.responsive = True
        self.missed = False
        self.lost = ""
        self._connection = connection
        self._numbers = itertools.count(1)
        self._awaited: set[str] = set()
        self._replies: dict[str, Message] = {}
        self._sequence = 0  # number of the last event seen
        self._promised = 0  # number of the last event by the last pong
        self._ping_id = ""
        self._pinged_s = time.monotonic()
        self._refused = False
        self._credentials = connection.credentials(keys)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._rpc = self._socket()
        self._control = self._socket()
        self._control.setsockopt(zmq.MAXMSGSIZE, MAX_CONTROL_BYTES)
        self._news = self._socket()
        self._bulk = self._socket()
        self._monitor = self._control.get_monitor_socket(reduce(or_, LINE_ENDS))
        self._poller = zmq.Poller()
        for socket in (self._rpc, self._control, self._news, self._bulk, self._monitor):
            self._poller.register(socket, zmq.POLLIN)
        # Leaving the interpreter with sends in flight aborts the process, so the sockets are closed first in any case.
        self.close = weakref.finalize(self, _close, self._context)
        self._sockets = {"rpc": self._rpc, "control": self._control, "events": self._news, "bulk": self._bulk}
        for name, socket in self._sockets.items():
            socket.connect(connection.endpoints[name])

    def send(self, message: Message) -> str:
        """Send a request; its id. Raises BackendLost, ProtocolError for one beyond the limits."""
        id = str(next(self._numbers))
        self._send(message, id)
        self._awaited.add(id)
        return id

    def tell(self, message: Message, id: str = "") -> None:
        """Send what has no reply; a refusal of `preview-N` comes as the end of preview N. Raises BackendLost."""
        self._send(message, id)

    def reply(self, id: str) -> Message | None:
        """The answer to a request, once; None while it is on its way. Raises what the backend refused with."""
        message = self._replies.pop(id, None)
        if isinstance(message, Refusal):
            raise message.error.exception()
        return message

    def forget(self, id: str) -> None:
        """Nobody waits for this answer any more."""
        self._awaited.discard(id)
        self._replies.pop(id, None)

    def pump(self, timeout_ms: int) -> None:
        """Take in whatever has come, waiting for it at most `timeout_ms`. Never raises for a dead line: see `lost`."""
        self._poller.poll(timeout_ms)
        for socket in (self._rpc, self._control):
            for envelope in _received(socket):
                self._take_reply(envelope)
        for envelope in _received(self._news):
            if envelope.type in (Welcome.TYPE, Refusal.TYPE):
                self._take_reply(envelope)
            else:
                self._take_event(envelope)
        for envelope in itertools.islice(_received(self._bulk), AT_ONCE):
            self._take_bulk(envelope)
        if self.pictures is not None and not self.lost and (credit := self.pictures.owed()):
            self._send(BulkCredit(credit), "")
        self._watch()
        self._keep_pinging()

    def check(self) -> None:
        """Raise BackendLost if the line is dead, NotAdmitted if it never came to live."""
        if self._refused:
            raise NotAdmitted(
                self.lost,
                hint="Connect through the connection file that the running backend has written; over a network, have"
                " your public key allowed there (`dubplate keys allow`).",
            )
        if self.lost:
            raise BackendLost(self.lost, hint=START_AGAIN)

    def _socket(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.DEALER)
        for name, value in [*SOCKET_OPTIONS.items(), *self._credentials.items()]:
            socket.setsockopt(getattr(zmq, name), value)
        return socket

    def _send(self, message: Message, id: str) -> None:
        socket = self._sockets[message.SOCKET]
        session = "" if isinstance(message, Hello) else self._connection.session
        parts = pack(to_envelope(message, id=id, session=session, version=self.version))
        deadline_s = time.monotonic() + SILENT_AFTER_S
        while not socket.poll(STEP_MS, zmq.POLLOUT):  # at once, but for the first, which waits for the connection
            self._watch()
            self.check()
            if time.monotonic() > deadline_s:
                raise BackendLost("The backend takes no requests.", hint=START_AGAIN)
        socket.send_multipart(parts, zmq.NOBLOCK, copy=False)

    def _take_reply(self, envelope: Envelope) -> None:
        try:
            message = from_envelope(envelope)
        except ProtocolError as error:
            message = Refusal(ErrorInfo.of(error))
        if isinstance(message, Pong):
            # What the pong before promised has come by now, or never will.
            self.missed |= self._sequence < self._promised
            self.beat, self._promised, self.responsive = message, message.sequence, True
        if isinstance(message, Welcome):
            self._sequence = message.sequence
        if envelope.id == self._ping_id:
            self._ping_id = ""
        elif envelope.id in self._awaited:
            self._awaited.discard(envelope.id)
            self._replies[envelope.id] = message

    def _take_event(self, envelope: Envelope) -> None:
        if envelope.session != self._connection.session or not envelope.id.isdecimal():
            return
        number = int(envelope.id)
        with suppress(ProtocolError):  # a newer backend may tell things that this side does not know
            self.events.append(from_envelope(envelope))
        self.missed |= number > self._sequence + 1
        self._sequence = max(number, self._sequence)

    def _take_bulk(self, envelope: Envelope) -> None:
        if envelope.type in (BulkOpened.TYPE, Refusal.TYPE):
            self._take_opened(envelope)
        elif self.pictures is not None:
            try:
                news = self.pictures.take(from_envelope(envelope))
            except DubplateError:  # a newer backend may send what this side does not know
                news = None
            if news is not None:
                self.events.append(news)

    def _take_opened(self, envelope: Envelope) -> None:
        """An answer on the bulk socket; a preview that was refused is over."""
        generation = envelope.id.removeprefix(PREVIEW)
        if envelope.id.startswith(PREVIEW) and generation.isdecimal():
            with suppress(ProtocolError):
                refusal = from_envelope(envelope)
                if isinstance(refusal, Refusal):
                    self.events.append(PreviewOver(int(generation), Outcome.FAILED, refusal.error))
        else:
            self._take_reply(envelope)

    def _watch(self) -> None:
        """Look at the connection itself: a killed process closes it, a stopped one misses libzmq's heartbeats."""
        while self._monitor.poll(0):
            what = recv_monitor_message(self._monitor)["event"]
            self._refused |= what == zmq.Event.HANDSHAKE_FAILED_AUTH and not self.lost
            self.lost = self.lost or LINE_ENDS.get(what, "")

    def _keep_pinging(self) -> None:
        now_s = time.monotonic()
        silent_s = now_s - self._pinged_s
        if self._ping_id:
            self.responsive = silent_s <= SILENT_AFTER_S
            if silent_s > GIVEN_UP_AFTER_S:
                self.lost = self.lost or f"The backend has been silent for {silent_s:.0f} s."
        elif silent_s >= PING_INTERVAL_S and not self.lost and self._control.poll(0, zmq.POLLOUT):
            self._ping_id, self._pinged_s = f"ping-{next(self._numbers)}", now_s
            self._send(Ping(), self._ping_id)


def greet(line: Line, name: str, timeout: float) -> HelloAck:
    """Hello both ways, and listen to the events before anything can cause one. Raises ProtocolMismatch, BackendLost."""
    hello = exchange(line, Hello(client=name, oldest=OLDEST_VERSION), HelloAck, timeout)
    line.version = agree(Versions.told(hello.protocol, hello.agreed), own_name="the client", their_name="the backend")
    exchange(line, Listen(), Welcome, timeout)
    return hello


def exchange(line: Line, message: Message, kind: type[Reply], timeout: float) -> Reply:
    """A request and its answer, blocking. Raises what the backend refused with, BackendLost."""
    return answered(line, line.send(message), message, kind, timeout)


def answered(line: Line, id: str, message: Message, kind: type[Reply], timeout: float) -> Reply:
    """The answer to a message that was sent under `id`, blocking. Raises as `exchange`."""
    deadline_s = time.monotonic() + timeout
    while (reply := line.reply(id)) is None:
        line.check()
        if time.monotonic() > deadline_s:
            line.forget(id)
            raise BackendLost(f"The backend did not answer {message.TYPE} in {timeout:g} s.", hint=START_AGAIN)
        line.pump(STEP_MS)
    if not isinstance(reply, kind):
        raise ProtocolError(f"The backend answered {message.TYPE} with {reply.TYPE}.", hint="Update both sides.")
    return reply


def _received(socket: zmq.Socket[bytes]) -> Iterator[Envelope]:
    """All messages that wait on a socket; what is no message is passed over."""
    while True:
        try:
            parts = socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return
        with suppress(ProtocolError):
            yield unpack(parts)


def _close(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    context.destroy(linger=0)
