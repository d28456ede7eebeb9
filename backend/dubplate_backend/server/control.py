# SPDX-License-Identifier: Apache-2.0
"""The control thread: pings and cancels are answered, and events sent out, while the others work."""

from __future__ import annotations

import sys
import threading

import zmq

from dubplate_backend.server.answering import POLL_MS, Answering, answer_waiting, send
from dubplate_backend.server.connection import Sockets
from dubplate_backend.server.events import Events
from dubplate_shared.messages import Welcome

# How long a thread may hold the interpreter that another waits for: Python's own 5 ms, times the threads that compute,
# are what a ping would wait.
SWITCH_S = 0.001


class Control(threading.Thread):
    """Owns the control and events sockets from start() until stop(). `requests` counts what it answered."""

    def __init__(self, sockets: Sockets, events: Events, *, control: Answering, listening: Answering) -> None:
        """control, listening: who answers on the control and on the events socket."""
        super().__init__(name="dubplate-control", daemon=True)
        self._sockets = sockets
        self._events = events
        self._control = control
        self._listening = listening
        self._listeners: set[bytes] = set()
        self._ending = threading.Event()
        self.requests = 0

    def stop(self) -> None:
        """End the thread, with all events published so far sent out."""
        self._ending.set()
        self.join()

    def run(self) -> None:
        sys.setswitchinterval(SWITCH_S)
        poller = zmq.Poller()
        for socket in (self._sockets.control, self._sockets.events, self._events.outlet):
            poller.register(socket, zmq.POLLIN)
        while not self._ending.is_set():
            poller.poll(POLL_MS)
            for _ in answer_waiting(self._sockets.control, self._control):
                self.requests += 1
            self._admit_listeners()
            self._send_events()
        self._send_events()

    def _admit_listeners(self) -> None:
        for route, answer in answer_waiting(self._sockets.events, self._listening):
            self.requests += 1
            if isinstance(answer, Welcome):
                self._listeners.add(route)

    def _send_events(self) -> None:
        """To everybody who listens; who reads too slowly misses some, and who is gone is forgotten."""
        while self._events.outlet.poll(0, zmq.POLLIN):
            event = self._events.outlet.recv_multipart()
            self._listeners -= {route for route in self._listeners if not self._reaches(route, event)}

    def _reaches(self, route: bytes, event: list[bytes]) -> bool:
        return send(self._sockets.events, route, event)
