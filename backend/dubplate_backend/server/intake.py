# SPDX-License-Identifier: Apache-2.0
"""Cuts off who sends a message without an end: libzmq keeps what has come of it, and has no limit on its parts.

What a connection has received is known to the system (TCP_INFO), and what of it was taken in as whole messages to
whoever answers.  Linux alone tells both.
"""

from __future__ import annotations

import logging
import os
import socket as network
import struct
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

import zmq
from zmq.utils.monitor import recv_monitor_message

from dubplate_backend.server.connection import LARGE, Sockets
from dubplate_shared.connection import SOCKETS
from dubplate_shared.protocol import MAX_AHEAD_BYTES, MAX_CONTROL_AHEAD_BYTES

LOOK_MS = 10  # a sender gives a gigabyte a second and more, and this thread has to wait for its turn as well
IDLE_BYTES_S = 1000  # more than the heartbeats of a connection that says nothing else
BYTES_RECEIVED = 128  # offset in struct tcp_info, linux/tcp.h: since Linux 4.1
INFO_BYTES = BYTES_RECEIVED + 8

log = logging.getLogger("dubplate.server")


@dataclass
class _Peer:
    """A connection.  limit: bytes that may come between two messages.

    taken: messages; as the last of them was taken in, `received` bytes had come, at `since_s`.
    """

    limit: int
    taken: int
    received: int
    since_s: float


class Intake(threading.Thread):
    """Watches the connections of the backend's sockets from start() until stop()."""

    def __init__(self, sockets: Sockets) -> None:
        """To be made before anybody knows where the sockets listen."""
        super().__init__(name="dubplate-intake", daemon=True)
        self._sockets = [getattr(sockets, name) for name in SOCKETS]
        limits = [MAX_AHEAD_BYTES if name in LARGE else MAX_CONTROL_AHEAD_BYTES for name in SOCKETS]
        opened = [socket.get_monitor_socket(zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED) for socket in self._sockets]
        self._limits = dict(zip(opened, limits, strict=True))
        self._taken: Counter[int] = Counter()  # messages by file descriptor; each has one thread that counts it
        self._peers: dict[int, _Peer] = {}  # by file descriptor
        self._ending = threading.Event()

    def took(self, frame: zmq.Frame) -> None:
        """A whole message was taken in, which `frame` is of."""
        self._taken[int(frame.get(zmq.SRCFD))] += 1

    def stop(self) -> None:
        """End the thread; the sockets must be at rest."""
        self._ending.set()
        if self.ident is not None:
            self.join()
        for socket, monitor in zip(self._sockets, self._limits, strict=True):
            socket.disable_monitor()
            monitor.close(linger=0)

    def run(self) -> None:
        poller = zmq.Poller()
        for monitor in self._limits:
            poller.register(monitor, zmq.POLLIN)
        while not self._ending.is_set():
            for monitor, _ in poller.poll(LOOK_MS):
                self._note(monitor)
            if sys.platform == "linux":
                for handle, peer in [*self._peers.items()]:
                    self._look(handle, peer)

    def _note(self, monitor: zmq.Socket[bytes]) -> None:
        """Who has come and gone."""
        while monitor.poll(0):
            event = recv_monitor_message(monitor)
            handle = int(event["value"])
            if event["event"] == zmq.EVENT_ACCEPTED:
                self._peers[handle] = _Peer(self._limits[monitor], self._taken[handle], 0, time.monotonic())
            else:
                self._peers.pop(handle, None)

    def _look(self, handle: int, peer: _Peer) -> None:
        """Cut a connection off that is too far ahead. One that is gone already is passed over."""
        now_s = time.monotonic()
        with suppress(OSError), network.socket(network.AF_INET, network.SOCK_STREAM, 0, os.dup(handle)) as connection:
            info = connection.getsockopt(network.IPPROTO_TCP, network.TCP_INFO, INFO_BYTES)
            (received,) = struct.unpack_from("<Q", info, BYTES_RECEIVED)
            if self._taken[handle] != peer.taken:
                peer.taken, peer.received, peer.since_s = self._taken[handle], received, now_s
            elif received - peer.received > peer.limit + IDLE_BYTES_S * (now_s - peer.since_s):
                log.warning("a client was cut off: its message has no end")
                del self._peers[handle]
                connection.shutdown(network.SHUT_RDWR)
