# SPDX-License-Identifier: Apache-2.0
"""What the backend tells without being asked: events from any thread, numbered, to whoever listens."""

from __future__ import annotations

import logging
import threading

import zmq

from dubplate_shared.error_info import MAX_DETAIL_LENGTH
from dubplate_shared.messages import Log, Message
from dubplate_shared.protocol import pack
from dubplate_shared.validation import to_envelope

QUEUE_LENGTH = 1000  # events waiting for the control thread; beyond it news is dropped, and the gap in numbers shows it


class Events:
    """Numbered events, safe to publish from any thread; the control thread sends them out.

    Nobody waits for a listener: a slow one misses news, sees the gap in the numbers and asks for the jobs' state.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], *, session: str) -> None:
        self._session = session
        self._lock = threading.Lock()  # sockets may change thread only across a full fence
        self._sequence = 0
        self.outlet = context.socket(zmq.PULL)
        self.outlet.setsockopt(zmq.RCVHWM, QUEUE_LENGTH)
        self.outlet.bind("inproc://events")
        self._inlet = context.socket(zmq.PUSH)
        self._inlet.setsockopt(zmq.SNDHWM, QUEUE_LENGTH)
        self._inlet.connect("inproc://events")

    @property
    def sequence(self) -> int:
        """The last event's number."""
        with self._lock:
            return self._sequence

    def publish(self, message: Message) -> None:
        """Say it to all listeners; never waits."""
        with self._lock:
            self._sequence += 1
            parts = pack(to_envelope(message, id=str(self._sequence), session=self._session))
            try:
                self._inlet.send_multipart(parts, zmq.NOBLOCK)
            except zmq.Again:
                return

    def close(self) -> None:
        with self._lock:
            self._inlet.close(linger=0)
            self.outlet.close(linger=0)


class EventLog(logging.Handler):
    """Tells listeners what the backend's log warns of."""

    def __init__(self, events: Events) -> None:
        super().__init__(logging.WARNING)
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()[:MAX_DETAIL_LENGTH]  # without the traceback, which stays in the log
        self._events.publish(Log("error" if record.levelno >= logging.ERROR else "warning", text))
