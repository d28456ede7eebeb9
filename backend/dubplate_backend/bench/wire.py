# SPDX-License-Identifier: Apache-2.0
"""The wire beside the least that could do its work: pictures against a copy in memory and against bare sockets.

Every way carries the same 66 MB picture from another process into a buffer of this one.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib.util import find_spec
from statistics import median, quantiles
from typing import Any

import numpy as np
import zmq

from dubplate_backend.bench.figure import Figure
from dubplate_backend.bench.stage import Stage
from dubplate_backend.bench.wire_peers import BYTES, GIGA, SESSION, picture
from dubplate_backend.bench.wire_receiver import Receiver, dealer, token_options
from dubplate_shared.messages import Ping, Pong
from dubplate_shared.protocol import Envelope, pack, unpack
from dubplate_shared.tiles import TILE_BYTES
from dubplate_shared.validation import from_envelope, to_envelope

RING_BYTES = 256 * 1024 * 1024  # three pictures and some
OF_BARE = "of a bare PUSH/PULL (goal: 0.9)"
PICTURES = 10  # a round
ROUNDS = 4
PAIRS = 4  # of processes
SETTLE_S = 0.15
PINGS = 400
PING_PAUSE_S = 0.002
PING_LIMIT_MS = 20.0
KEYFRAMES = (250, 120)
TAKES = 600  # 72 MB: more than any cache
PASSES = 12  # over the takes

_Way = AbstractContextManager[Callable[[], object]]


def wire(stage: Stage) -> Iterator[Figure]:
    """GB/s of every way, pings while pictures come, and the cost of keyframes."""
    pairs = 1 if stage.quick else PAIRS
    speed = _side_by_side({"copy": _copied, "ring": lambda: _streamed(ring_bytes=RING_BYTES)}, pairs)
    yield Figure("wire.memcpy", speed["copy"], "GB/s")
    yield Figure("wire.shared_memory", speed["ring"], "GB/s", speed["ring"] / speed["copy"], "of memcpy (goal: 0.8)")
    speed = _side_by_side({"raw": _raw, "bare": _pushed, "tiles": _streamed}, pairs)
    raw = speed["raw"]
    yield Figure("wire.tcp.raw", raw, "GB/s")
    yield Figure("wire.tcp.bare", speed["bare"], "GB/s", speed["bare"] / raw, "of raw TCP")
    yield Figure("wire.tcp.tiles", speed["tiles"], "GB/s", speed["tiles"] / speed["bare"], OF_BARE)
    keys = _Keys()
    speed = _side_by_side({"bare": lambda: _pushed(keys), "tiles": lambda: _streamed(keys=keys)}, pairs)
    yield Figure("wire.curve.bare", speed["bare"], "GB/s", speed["bare"] / raw, "of raw TCP")
    yield Figure("wire.curve.tiles", speed["tiles"], "GB/s", speed["tiles"] / speed["bare"], OF_BARE)
    if find_spec("grpc") is None:
        print("wire.grpc: not installed (pip install 'dubplate[bench]')", file=sys.stderr)
    else:
        speed = _side_by_side({"call": _called}, pairs)
        yield Figure("wire.grpc", speed["call"], "GB/s", speed["call"] / raw, "of raw TCP")
    yield from _pings(stage)
    yield from _keyframes()


# --- ways --------------------------------------------------------------------------------------------------------


def _side_by_side(ways: Mapping[str, Callable[[], _Way]], pairs: int) -> dict[str, float]:
    """GB/s of each way over all its rounds. The ways take turns, so that other work on the machine meets them alike.
    All is begun anew `pairs` times: where a process's memory lies makes it a fifth faster or slower all its life.
    """
    seconds = dict.fromkeys(ways, 0.0)
    for _ in range(pairs):
        with ExitStack() as stack:
            takers = {name: stack.enter_context(way()) for name, way in ways.items()}
            for _ in range(ROUNDS):
                for name, take in takers.items():
                    time.sleep(SETTLE_S)  # the way before still fills its queue
                    take()  # what had come while the others had their turn
                    start = time.perf_counter()
                    for _ in range(PICTURES):
                        take()
                    seconds[name] += time.perf_counter() - start
    return {name: pairs * ROUNDS * PICTURES * BYTES / passed / GIGA for name, passed in seconds.items()}


@contextmanager
def _copied() -> Iterator[Callable[[], object]]:
    source, target = (picture().reshape(-1).view(np.uint8) for _ in range(2))
    yield lambda: np.copyto(target, source)


@contextmanager
def _streamed(*, ring_bytes: int = 0, keys: _Keys | None = None) -> Iterator[Callable[[], object]]:
    """Dubplate's own way: ring or tiles, credit, headers and all."""
    secret = keys.server_secret if keys else ""
    with _peer("stream", ring_bytes=ring_bytes, server_secret=secret) as told, _context() as context:
        yield Receiver(dealer(context, told["endpoint"], keys.options if keys else {}), ring_bytes).next


@contextmanager
def _pushed(keys: _Keys | None = None) -> Iterator[Callable[[], object]]:
    """The same tiles over PUSH and PULL, copied into place."""
    secret = keys.server_secret if keys else ""
    with _peer("push", tile_bytes=TILE_BYTES, server_secret=secret) as told, _context() as context:
        pull = context.socket(zmq.PULL)
        pull.setsockopt(zmq.RCVHWM, 8)
        for name, value in (keys.options if keys else {}).items():
            pull.setsockopt(getattr(zmq, name), value)
        pull.connect(told["endpoint"])
        target = np.empty(BYTES, np.uint8)

        def one() -> None:
            offset = 0
            while offset < BYTES:
                tile = np.frombuffer(pull.recv(copy=False), np.uint8)
                target[offset : offset + tile.size] = tile
                offset += tile.size

        yield one


@contextmanager
def _raw() -> Iterator[Callable[[], object]]:
    with _peer("raw") as told, socket.create_connection(("127.0.0.1", told["port"])) as peer:
        target = memoryview(np.empty(BYTES, np.uint8))

        def one() -> None:
            offset = 0
            while offset < BYTES:
                offset += peer.recv_into(target[offset:])

        yield one


@contextmanager
def _called() -> Iterator[Callable[[], object]]:
    import grpc

    with _peer("grpc") as told:
        options = [("grpc.max_receive_message_length", -1)]
        with grpc.insecure_channel(f"127.0.0.1:{told['port']}", options=options) as channel:
            call = channel.unary_unary("/dubplate.Bench/Picture")
            target = np.empty(BYTES, np.uint8)

            def one() -> None:
                target[:] = np.frombuffer(call(b""), np.uint8)

            yield one


# --- pings and keyframes -----------------------------------------------------------------------------------------


def _pings(stage: Stage) -> Iterator[Figure]:
    """How long a ping takes while another process takes large pictures over the bulk socket as fast as they come."""
    with _peer("server") as told, _context() as context:
        control = dealer(context, told["endpoints"]["control"], token_options(told["token"]))

        def ping() -> float:
            start = time.perf_counter()
            control.send_multipart(pack(to_envelope(Ping(), id="p", session=SESSION)))
            answer = from_envelope(unpack(control.recv_multipart()))
            assert isinstance(answer, Pong)
            took_s = time.perf_counter() - start
            time.sleep(PING_PAUSE_S)
            return 1e3 * took_s

        alone = [ping() for _ in range(PINGS // 4)]
        with _peer("take", endpoint=told["endpoints"]["bulk"], token=told["token"]) as taking:
            loaded = [ping() for _ in range(PINGS // 4 if stage.quick else PINGS)]
        yield Figure("wire.ping.alone.median", median(alone), "ms")
        yield Figure("wire.ping.loaded.median", median(loaded), "ms")
        p99 = quantiles(loaded, n=100)[-1]
        yield Figure("wire.ping.loaded.p99", p99, "ms", p99 / PING_LIMIT_MS, "of the limit, 20 ms")
        yield Figure("wire.ping.load", taking["gigabytes_s"], "GB/s")


def _keyframes() -> Iterator[Figure]:
    """Keyframes of 250 frames packed and unpacked, beside copying them. Takes in memory, too many for the caches."""
    random = np.random.default_rng(2)
    takes = [random.random(KEYFRAMES, np.float32) for _ in range(TAKES)]
    target = np.empty_like(takes[0])
    sent = [Envelope("job.submit", "1", SESSION, body={"take": "edit"}, arrays={"curves": take}) for take in takes]

    work: dict[str, Callable[[int], object]] = {
        "copy": lambda at: np.copyto(target, takes[at]),
        "in_cache": lambda at: np.copyto(target, takes[0]),
        "message": lambda at: unpack(pack(sent[at])),  # not kept: living messages would be searched for garbage
    }
    passes: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(PASSES):  # in turns, as the ways above
        for name, one in work.items():
            start = time.perf_counter()
            deque(map(one, range(TAKES)), maxlen=0)
            passes[name].append(1e6 * (time.perf_counter() - start) / TAKES)
    copy, hot, message = (median(passes[name]) for name in work)
    yield Figure("wire.keyframes.memcpy", copy, "us")
    yield Figure("wire.keyframes.memcpy.in_cache", hot, "us")
    yield Figure("wire.keyframes.message", message, "us", message / copy, "times memcpy (goal: 2)")


# --- the other process -------------------------------------------------------------------------------------------


class _Keys:
    """Of both sides, for this run.  options: of the client's sockets."""

    def __init__(self) -> None:
        (public, secret), (own_public, own_secret) = zmq.curve_keypair(), zmq.curve_keypair()
        self.server_secret = secret.decode()
        self.options = {"CURVE_SERVERKEY": public, "CURVE_PUBLICKEY": own_public, "CURVE_SECRETKEY": own_secret}


@contextmanager
def _context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        yield context
    finally:
        context.destroy(linger=0)


@contextmanager
def _peer(way: str, **parameters: object) -> Iterator[dict[str, Any]]:
    """The other process, and what it tells of itself."""
    command = [sys.executable, "-m", "dubplate_backend.bench.wire_peers", way, json.dumps(parameters)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
