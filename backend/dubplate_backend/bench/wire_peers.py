# SPDX-License-Identifier: Apache-2.0
"""The other process of the wire's benchmark: it sends pictures by the way that it is told, until it is killed or who
has started it has ended in whatever way: its standard input ends with him.

`python -m dubplate_backend.bench.wire_peers WAY PARAMETERS`; it prints one line of JSON that says where it sends from.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import zmq

from dubplate_backend.bench.wire_receiver import SESSION, Receiver, dealer, token_options
from dubplate_backend.server.admission import Admission, Door
from dubplate_backend.server.answering import Answering, Caller, answer_waiting
from dubplate_backend.server.bulk import Bulk
from dubplate_backend.server.connection import listen
from dubplate_backend.server.control import Control
from dubplate_backend.server.events import Events
from dubplate_backend.server.previews import Previews
from dubplate_backend.server.stream import Stream
from dubplate_shared.messages import (
    BulkCredit,
    BulkOpen,
    BulkOpened,
    Listen,
    Message,
    Picture,
    Ping,
    Pong,
    PreviewDraw,
    Stage,
    Welcome,
)
from dubplate_shared.progress import Stop
from dubplate_shared.protocol import SOCKET_OPTIONS, pack
from dubplate_shared.ring import Ring
from dubplate_shared.tiles import tiles_of
from dubplate_shared.validation import to_envelope

PICTURE_SHAPE = (2160, 3840, 4)  # UHD RGBA of half floats: 66 MB
BYTES = int(np.prod(PICTURE_SHAPE)) * 2
GIGA = 1e9
LOOK_S = 1.0  # over which a load is measured

Array = npt.NDArray[Any]


def picture() -> Array:
    """Pixels of a plate's size, none of them zero."""
    return (
        np.random.default_rng(1).integers(1, 255, (*PICTURE_SHAPE[:2], 2 * PICTURE_SHAPE[2]), np.uint8).view(np.float16)
    )


def main(arguments: list[str]) -> None:
    way, parameters = arguments[0], json.loads(arguments[1])
    ways = {
        "stream": send_stream, "push": send_push, "raw": send_raw, "server": serve, "take": take, "grpc": serve_grpc,
    }  # fmt: skip
    threading.Thread(target=_end_with_the_input, daemon=True).start()
    ways[way](**parameters)


def _end_with_the_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # the main thread is inside libzmq or a socket


def tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def send_stream(*, ring_bytes: int, server_secret: str = "") -> None:
    """Dubplate's own sender, on a ROUTER, to one client after the other."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router = context.socket(zmq.ROUTER)
    for name, value in SOCKET_OPTIONS.items():
        router.setsockopt(getattr(zmq, name), value)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)  # as the backend's own: else tiles beyond the mark are lost
    _encrypt(router, server_secret)
    router.bind("tcp://127.0.0.1:*")
    streams: dict[bytes, Stream] = {}
    pixels = picture()

    def open_stream(request: BulkOpen, caller: Caller) -> BulkOpened:
        stream = streams[caller.route] = Stream(request.credit, Ring.create(ring_bytes) if ring_bytes else None)
        ring = stream.ring
        return BulkOpened(stream.granted, str(ring.path) if ring else "", ring.size if ring else 0)

    def more(request: BulkCredit, caller: Caller) -> None:
        streams[caller.route].give(request.credit)

    answering = Answering(SESSION, {BulkOpen: open_stream, BulkCredit: more})
    tell(endpoint=router.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode())
    while True:
        router.poll(1000)
        for _ in answer_waiting(router, answering):
            pass
        for route, stream in streams.items():

            def send(message: Message, route: bytes = route) -> bool:
                try:
                    router.send_multipart(
                        [route, *pack(to_envelope(message, session=SESSION))], zmq.NOBLOCK, copy=False
                    )
                except zmq.Again:
                    return False
                return True

            while stream.pump(send) and stream.idle:  # the next picture follows at once
                stream.put(Picture(0, 1, 1, Stage.PLATE, "", ()), pixels)
                if not stream.pump(send) or not stream.idle:
                    break


def send_push(*, tile_bytes: int, server_secret: str = "") -> None:
    """The same bytes in the same tiles with nothing around them."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    push = context.socket(zmq.PUSH)
    push.setsockopt(zmq.SNDHWM, 8)
    _encrypt(push, server_secret)
    push.bind("tcp://127.0.0.1:*")
    pixels = picture()
    tell(endpoint=push.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode())
    while True:
        for _, tile in tiles_of(pixels, tile_bytes):
            push.send(tile.data, copy=False)


def send_raw() -> None:
    """The same bytes through a socket of the system."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        tell(port=server.getsockname()[1])
        while True:
            peer, _ = server.accept()
            pixels = memoryview(picture().reshape(-1).view(np.uint8))
            try:
                while True:
                    peer.sendall(pixels)
            except OSError:
                peer.close()


class _Ready:
    """Stands in for the drawing: every preview is the same large picture, at once."""

    def __init__(self) -> None:
        self._pixels = picture()

    def stages(self, request: PreviewDraw, caller: Caller, stop: Stop) -> Iterator[tuple[Picture, Array]]:
        yield Picture(0, request.generation, request.frame, Stage.PLATE, "", ()), self._pixels

    def close(self) -> None:
        """Nothing to let go of."""


def serve() -> None:
    """A backend's threads and sockets behind their door, which send large pictures and answer pings."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    door = Door("token")
    Admission(context, door).start()
    sockets = listen(context, door)
    events = Events(context, session=SESSION)
    listening = Answering(SESSION, {Listen: lambda request, caller: Welcome(0)})
    Control(sockets, events, control=Answering(SESSION, {Ping: lambda *_: Pong()}), listening=listening).start()
    previews = Previews(_Ready())  # type: ignore[arg-type]
    previews.start()
    Bulk(context, sockets.bulk, session=SESSION, previews=previews).start()
    tell(endpoints=sockets.endpoints, token="token")
    threading.Event().wait()


def take(*, endpoint: str, token: str) -> None:
    """A client that asks a server for one large picture after the other."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    receiver = Receiver(dealer(context, endpoint, token_options(token)))
    started_s, told = time.perf_counter(), False
    for number in itertools.count(1):
        receiver.send(PreviewDraw(number, "shot", "actor", 1))
        receiver.next()
        passed_s = time.perf_counter() - started_s
        if not told and passed_s > LOOK_S:
            told = True
            tell(gigabytes_s=number * BYTES / passed_s / GIGA)


def serve_grpc() -> None:
    """The same bytes as replies to unary calls of gRPC."""
    from concurrent.futures import ThreadPoolExecutor

    import grpc

    data = picture().tobytes()
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: data)
    options = [("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(1), options=options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("dubplate.Bench", {"Picture": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    tell(port=port)
    while True:
        time.sleep(60)


def _encrypt(sender: zmq.Socket[bytes], secret: str) -> None:
    if secret:
        sender.setsockopt(zmq.CURVE_SERVER, 1)
        sender.setsockopt(zmq.CURVE_SECRETKEY, secret.encode())


if __name__ == "__main__":
    main(sys.argv[1:])
