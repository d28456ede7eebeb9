# SPDX-License-Identifier: Apache-2.0
"""A client's end of the bulk socket for the wire's benchmark: it takes pictures in and gives their credit back."""

from __future__ import annotations

from collections.abc import Mapping

import zmq

from dubplate_shared.connection import USER
from dubplate_shared.messages import BulkCredit, BulkOpen, BulkOpened, Message, Picture, PictureTile
from dubplate_shared.preview_messages import MAX_CREDIT_BYTES
from dubplate_shared.protocol import SOCKET_OPTIONS, pack, unpack
from dubplate_shared.ring import Ring
from dubplate_shared.tiles import Assembly
from dubplate_shared.validation import from_envelope, to_envelope

SESSION = "bench"
RECEIVE_TIMEOUT_MS = 30_000


def dealer(context: zmq.Context[zmq.Socket[bytes]], endpoint: str, options: Mapping[str, bytes]) -> zmq.Socket[bytes]:
    """A connected socket as the protocol wants it.  options: that let it in, by libzmq's names."""
    socket = context.socket(zmq.DEALER)
    for name, value in [*SOCKET_OPTIONS.items(), *options.items()]:
        socket.setsockopt(getattr(zmq, name), value)
    socket.connect(endpoint)
    return socket


def token_options(token: str) -> dict[str, bytes]:
    """What a client on the loopback shows at the door."""
    return {"PLAIN_USERNAME": USER.encode(), "PLAIN_PASSWORD": token.encode()}


class Receiver:
    """A client's end of the bulk socket."""

    def __init__(self, dealer: zmq.Socket[bytes], ring_bytes: int = 0) -> None:
        self._dealer = dealer
        dealer.setsockopt(zmq.RCVTIMEO, RECEIVE_TIMEOUT_MS)
        self.send(BulkOpen(MAX_CREDIT_BYTES, ring_bytes))
        opened = self.receive()
        assert isinstance(opened, BulkOpened)
        self._granted = opened.credit
        self._assembly = Assembly(Ring.attach(opened.ring, opened.ring_bytes) if opened.ring else None)

    def send(self, message: Message) -> None:
        self._dealer.send_multipart(pack(to_envelope(message, session=SESSION)), copy=False)

    def receive(self) -> Message:
        return from_envelope(unpack(self._dealer.recv_multipart(copy=False)))

    def next(self) -> None:
        """Take in one picture."""
        while True:
            message = self.receive()
            if isinstance(message, Picture):
                self._assembly.begin(message)
            elif isinstance(message, PictureTile):
                whole = self._assembly.add(message)
                if due := self._assembly.credit_due(self._granted):
                    self.send(BulkCredit(due))
                if whole is not None:
                    return
