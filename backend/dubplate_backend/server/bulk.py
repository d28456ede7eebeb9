# SPDX-License-Identifier: Apache-2.0
"""The bulk thread: takes in what previews are wanted, and sends their pictures while everything else goes on."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy.typing as npt
import zmq

from dubplate_backend.server.answering import Answering, Caller, answer_waiting
from dubplate_backend.server.previews import Previews
from dubplate_backend.server.processes import is_running
from dubplate_backend.server.rates import BULK_BURST, BULK_REQUESTS_A_SECOND, Rates
from dubplate_backend.server.stream import Stream
from dubplate_shared.errors import InvalidInput, OutputNotWritable
from dubplate_shared.messages import (
    BulkCredit,
    BulkOpen,
    BulkOpened,
    Message,
    Picture,
    PreviewCancel,
    PreviewDraw,
    PreviewOver,
    PreviewWarm,
)
from dubplate_shared.protocol import pack
from dubplate_shared.ring import MEMORY_FOLDER, PREFIX, SUFFIX, Ring
from dubplate_shared.validation import to_envelope

LEAST_RING_BYTES = 16 * 1024 * 1024  # less is no gain over the socket
MOST_RINGS = 16
MOST_STREAMS = 256
POLL_MS = 100
CROWDED_POLL_MS = 2  # while somebody has credit and takes nothing
PROBE_S = 5.0  # how often a stream is told again that it stands, which shows whether its client still does

log = logging.getLogger("dubplate.server")


class Bulk(threading.Thread):
    """Owns the bulk socket from start() until stop(). `requests` counts what it took in."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        socket: zmq.Socket[bytes],
        *,
        session: str,
        previews: Previews,
        took: Callable[[zmq.Frame], None] = lambda frame: None,
    ) -> None:
        """took: told of every message that was taken in."""
        super().__init__(name="dubplate-bulk", daemon=True)
        self._socket = socket
        self._session = session
        self._previews = previews
        previews.deliver = self._deliver
        self._answering = Answering(
            session,
            {
                BulkOpen: self._open,
                BulkCredit: self._credit,
                PreviewDraw: self._draw,
                PreviewCancel: self._cancel,
                PreviewWarm: lambda request, caller: previews.warm(caller, request),
            },
            Rates(rate=BULK_REQUESTS_A_SECOND, burst=BULK_BURST),
            took=took,
        )
        self._streams: dict[bytes, Stream] = {}
        self._probed_s = time.monotonic()
        self._drawn: queue.SimpleQueue[tuple[bytes, Picture | PreviewOver, npt.NDArray[Any] | None]]
        self._drawn = queue.SimpleQueue()
        self._lock = threading.Lock()  # sockets may change thread only across a full fence
        self._outlet = context.socket(zmq.PULL)
        self._outlet.bind("inproc://drawn")
        self._inlet = context.socket(zmq.PUSH)
        self._inlet.connect("inproc://drawn")
        self._ending = threading.Event()
        self.requests = 0

    def stop(self) -> None:
        """End the thread and let go of all streams."""
        self._ending.set()
        if self.ident is not None:
            self.join()
        for stream in self._streams.values():
            stream.close()
        with self._lock:
            self._inlet.close(linger=0)
            self._outlet.close(linger=0)

    def run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._outlet, zmq.POLLIN)
        wait_ms = POLL_MS
        while not self._ending.is_set():
            poller.poll(wait_ms)
            for _ in answer_waiting(self._socket, self._answering):
                self.requests += 1
            self._take_drawn()
            self._probe()
            # Everybody's turn: one that takes nothing holds nobody up.
            crowded = [not stream.pump(self._sender(route)) for route, stream in [*self._streams.items()]]
            wait_ms = CROWDED_POLL_MS if any(crowded) else POLL_MS

    def _deliver(self, route: bytes, item: Picture | PreviewOver, array: npt.NDArray[Any] | None) -> None:
        """From any thread: what a preview has drawn, or how it ended."""
        self._drawn.put((route, item, array))
        with self._lock:
            if not self._inlet.closed:
                with suppress(zmq.Again):  # it has been woken up often enough
                    self._inlet.send(b"", zmq.NOBLOCK)

    def _take_drawn(self) -> None:
        while self._outlet.poll(0, zmq.POLLIN):
            self._outlet.recv()
        while not self._drawn.empty():
            route, item, array = self._drawn.get()
            stream = self._streams.get(route)
            if stream is None:
                continue
            if isinstance(item, Picture):
                assert array is not None
                stream.put(item, array)
            else:
                stream.end(item)
            if stream.overfull:
                log.info("a client asks for previews and takes none: its stream is closed")
                self._forget(route)

    def _probe(self) -> None:
        now_s = time.monotonic()
        if now_s - self._probed_s >= PROBE_S:
            self._probed_s = now_s
            for route, stream in [*self._streams.items()]:
                self._sender(route)(_opened(stream))

    def _sender(self, route: bytes) -> Any:
        def send(message: Message) -> bool:
            parts = pack(to_envelope(message, session=self._session))
            try:
                self._socket.send_multipart([route, *parts], zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return False
            except zmq.ZMQError as error:
                log.debug("a client is gone: %s", error)
                self._forget(route)
            return True

        return send

    def _forget(self, route: bytes) -> None:
        self._previews.forget(route)
        stream = self._streams.pop(route, None)
        if stream is not None:
            stream.close()

    def _open(self, request: BulkOpen, caller: Caller) -> BulkOpened:
        if caller.route not in self._streams and len(self._streams) >= MOST_STREAMS:
            raise InvalidInput(f"{MOST_STREAMS} clients take pictures already.", hint="Close some, and connect again.")
        old = self._streams.pop(caller.route, None)
        if old is not None:
            old.close()
        rings = sum(stream.ring is not None for stream in self._streams.values())
        ring = new_ring(request.ring) if request.ring and rings < MOST_RINGS else None
        self._streams[caller.route] = Stream(request.credit, ring)
        return _opened(self._streams[caller.route])

    def _credit(self, request: BulkCredit, caller: Caller) -> None:
        if caller.route in self._streams:
            self._streams[caller.route].give(request.credit)

    def _draw(self, request: PreviewDraw, caller: Caller) -> None:
        if caller.route not in self._streams:
            raise InvalidInput("No pictures can come yet.", hint="Send bulk.open first.")
        self._previews.draw(caller, request)

    def _cancel(self, request: PreviewCancel, caller: Caller) -> None:
        self._previews.cancel(caller.route, request.generation)


def _opened(stream: Stream) -> BulkOpened:
    ring = stream.ring
    return BulkOpened(stream.granted, "" if ring is None else str(ring.path), 0 if ring is None else ring.size)


def new_ring(size: int) -> Ring | None:
    """A ring of `size` bytes, or as much less as there is room for; None where that is too little."""
    while size >= LEAST_RING_BYTES:
        try:
            return Ring.create(size)
        except OutputNotWritable as error:
            log.info("%s", error.message)
            size //= 2
    return None


def remove_abandoned_rings(folder: Path = MEMORY_FOLDER) -> int:
    """Remove rings whose backend was killed before a client had reached them; how many."""
    removed = 0
    for path in folder.glob(f"{PREFIX}*{SUFFIX}"):
        pid = path.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdecimal() and not is_running(int(pid)):
            try:
                path.unlink()
            except OSError:  # another user's
                continue
            removed += 1
    return removed
