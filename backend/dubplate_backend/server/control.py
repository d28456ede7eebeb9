# SPDX-License-Identifier: Apache-2.0
"""The control thread: pings and cancels are answered, and events sent out, while the others work."""

from __future__ import annotations

import hmac
import threading

import zmq

from dubplate_backend.server.answering import POLL_MS, Answering, answer_waiting, log
from dubplate_backend.server.connection import Sockets
from dubplate_backend.server.events import Events
from dubplate_shared.messages import Welcome

SUBSCRIBED = b"\x01"


class Control(threading.Thread):
    """Owns the control and events sockets from start() until stop(). `requests` counts what it answered."""

    def __init__(self, sockets: Sockets, events: Events, answering: Answering, *, topic: bytes) -> None:
        super().__init__(name="dubplate-control", daemon=True)
        self._sockets = sockets
        self._events = events
        self._answering = answering
        self._topic = topic
        self._ending = threading.Event()
        self.requests = 0

    def stop(self) -> None:
        """End the thread, with all events published so far sent out."""
        self._ending.set()
        self.join()

    def run(self) -> None:
        poller = zmq.Poller()
        for socket in (self._sockets.control, self._sockets.events, self._events.outlet):
            poller.register(socket, zmq.POLLIN)
        while not self._ending.is_set():
            poller.poll(POLL_MS)
            self.requests += answer_waiting(self._sockets.control, self._answering)
            self._admit_listeners()
            self._send_events()
        self._send_events()

    def _admit_listeners(self) -> None:
        """Agree to subscriptions that name the topic, which is as secret as the token, and greet them."""
        while self._sockets.events.poll(0, zmq.POLLIN):
            wish = b"".join(self._sockets.events.recv_multipart())
            if wish[:1] != SUBSCRIBED:
                continue
            if hmac.compare_digest(wish[1:], self._topic):
                self._sockets.events.setsockopt(zmq.SUBSCRIBE, self._topic)
                self._sockets.events.send_multipart(self._events.parts(Welcome()), zmq.NOBLOCK)
            else:
                log.info("refused a subscription to another topic")

    def _send_events(self) -> None:
        while self._events.outlet.poll(0, zmq.POLLIN):
            self._sockets.events.send_multipart(self._events.outlet.recv_multipart(), zmq.NOBLOCK)
