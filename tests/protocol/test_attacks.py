# SPDX-License-Identifier: Apache-2.0
"""Peers that mean harm, against a backend in a process of its own: none gets in, none costs it 10 MB."""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zmq
from hostile import HOSTILE, header
from small_backend import RawSocket

from blender_addon.connection.client import BackendProcess, Client, start_backend
from dubplate_backend.server.answering import REFUSALS_A_SECOND
from dubplate_shared.connection import SOCKETS, Connection
from dubplate_shared.protocol import MAX_BUFFER_BYTES, Envelope, pack

MIB = 1 << 20
MOST_GROWTH_BYTES = 10 * 1000 * 1000
GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00"  # ZMTP 3.0, ZeroMQ RFC 23: signature and version
DROPPED_AFTER_S = 3.0  # HANDSHAKE_IVL is 1 s
ENDLESS_BYTES = 1024 * MIB

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[BackendProcess]:
    backend = start_backend(sys.executable, roots=[root], output_root=tmp_path_factory.mktemp("attacked"))
    with Client.connect(backend.connection_file) as client:
        client.load_shot("man.dubshot")  # what it needs anyway is in memory
    yield backend
    backend.stop()


@pytest.fixture
def connection(backend: BackendProcess) -> Connection:
    return Connection.read(backend.connection_file)


def memory_bytes(backend: BackendProcess, what: str) -> int:
    """what: VmRSS, the memory it holds now, or VmHWM, the most since `forget_peak`."""
    lines = Path(f"/proc/{backend.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def forget_peak(backend: BackendProcess) -> None:
    Path(f"/proc/{backend.process.pid}/clear_refs").write_text("5")  # proc(5): resets VmHWM


def dialled(connection: Connection, name: str) -> socket.socket:
    host, port = connection.endpoints[name].removeprefix("tcp://").split(":")
    return socket.create_connection((host, int(port)), timeout=DROPPED_AFTER_S)


def greeted(connection: Connection, name: str, mechanism: bytes) -> socket.socket:
    """A peer that has exchanged greetings and goes on as it likes."""
    peer = dialled(connection, name)
    peer.sendall(GREETING[:10] + b"\x03\x00" + mechanism.ljust(20, b"\0") + b"\0" + bytes(31))
    return peer


def command(name: bytes, body: bytes) -> bytes:
    content = bytes([len(name)]) + name + body
    return b"\x06" + struct.pack(">Q", len(content)) + content


def grew_bytes(backend: BackendProcess, attack: Callable[[], None], what: str = "VmHWM") -> int:
    """How much memory an attack takes: at its worst moment, or what it leaves behind."""
    forget_peak(backend)
    before = memory_bytes(backend, "VmRSS")
    attack()
    return memory_bytes(backend, what) - before


def sent_until_dropped(peer: socket.socket, data: bytes, most_bytes: int, most_s: float = DROPPED_AFTER_S) -> int:
    """Send `data` again and again until the other side closes; how much went out."""
    sent = 0
    deadline_s = time.monotonic() + most_s
    with suppress(OSError):
        while sent < most_bytes and time.monotonic() < deadline_s:
            sent += peer.send(data)
    return sent


def ended(peer: socket.socket) -> bool:
    """Whether the other side has closed, or does so soon."""
    peer.settimeout(DROPPED_AFTER_S)
    try:
        while peer.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def test_the_hostile_corpus_is_refused_in_under_10_mb(backend, connection):
    def attack() -> None:
        for name in SOCKETS:
            raw = RawSocket(connection, name)
            for parts in HOSTILE.values():
                if parts:
                    raw.send(parts)
                    assert raw.answer().type == "error"
            raw.close()

    assert len(HOSTILE) >= 25
    attack()  # the interpreter's own pools fill once
    assert grew_bytes(backend, attack) < MOST_GROWTH_BYTES


def endless_multipart(peer: socket.socket) -> None:
    """Message frames, each with more to come, as a peer that was let in would send them."""
    frame = b"\x01\xff" + bytes(255)
    sent_until_dropped(peer, frame * 256, 64 * MIB)


def wait_for(peer: socket.socket, word: bytes) -> None:
    came = b""
    while word not in came:
        came += (more := peer.recv(4096))
        assert more, f"{word!r} did not come"


def let_in(connection: Connection, name: str) -> socket.socket:
    """A peer with the token, past the handshake (ZMTP 3.0 PLAIN, ZeroMQ RFC 24)."""
    peer = greeted(connection, name, b"PLAIN")
    told = connection.credentials(None)
    user, password = told["PLAIN_USERNAME"], told["PLAIN_PASSWORD"]
    peer.sendall(command(b"HELLO", bytes([len(user)]) + user + bytes([len(password)]) + password))
    wait_for(peer, b"WELCOME")
    peer.sendall(command(b"INITIATE", b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"))
    wait_for(peer, b"READY")
    return peer


SHORT, LONG = b"\x01\xff" + bytes(255), b"\x03" + struct.pack(">Q", MIB) + bytes(MIB)


@pytest.mark.parametrize(("name", "part"), [*((name, SHORT) for name in SOCKETS), ("bulk", LONG)])
def test_a_message_without_an_end_of_one_who_was_let_in_is_cut_off(backend, connection, name, part):
    with let_in(connection, name) as peer, Client.connect(backend.connection_file) as client:
        peer.settimeout(0.5)  # where nothing is taken in any more
        assert sent_until_dropped(peer, part * max(1, MIB // len(part)), ENDLESS_BYTES) < ENDLESS_BYTES / 4
        assert ended(peer)
        assert client.ping(), "nobody else is cut off"


def test_who_sends_the_longest_messages_there_may_be_one_after_the_other_is_not_cut_off(backend, connection):
    raw = RawSocket(connection, "rpc")
    for number in range(8):
        envelope = Envelope("shot.load", str(number), connection.session, body={"shot": "man.dubshot"})
        curves = {name: np.zeros(MAX_BUFFER_BYTES - 1024, np.uint8) for name in "ab"}
        raw.send([bytes(part) for part in pack(replace(envelope, arrays=curves))])
        assert raw.answer(30_000).type == "shot.loaded"
    raw.close()


def huge_handshake(peer: socket.socket) -> None:
    """A handshake command that says it has 4 GB, and as much of it as is taken."""
    with suppress(OSError):
        peer.sendall(b"\x06" + struct.pack(">Q", 1 << 32))
    sent_until_dropped(peer, bytes(MIB), 64 * MIB)


def large_hello(peer: socket.socket) -> None:
    """A PLAIN hello of a name of 255 bytes and a password of 255, which nobody has."""
    peer.sendall(command(b"HELLO", b"\xff" + b"u" * 255 + b"\xff" + b"p" * 255))
    sent_until_dropped(peer, bytes(MIB), 64 * MIB)


def silence(peer: socket.socket) -> None:
    """Nothing more."""


def metadata(peer: socket.socket) -> None:
    """A READY of thousands of properties before any hello."""
    one = b"\x03abc" + struct.pack(">I", 100) + bytes(100)
    with suppress(OSError):
        peer.sendall(command(b"READY", one * 5000))
    sent_until_dropped(peer, bytes(MIB), 8 * MIB)


@pytest.mark.parametrize("mechanism", [b"NULL", b"PLAIN", b"CURVE"])
@pytest.mark.parametrize("attack", [endless_multipart, huge_handshake, large_hello, silence, metadata])
def test_a_peer_that_was_not_let_in_is_dropped_in_under_10_mb(backend, connection, attack, mechanism):
    peers = [greeted(connection, name, mechanism) for name in SOCKETS]

    def all_at_once() -> None:
        for peer in peers:
            attack(peer)
        assert all(ended(peer) for peer in peers)

    assert grew_bytes(backend, all_at_once) < MOST_GROWTH_BYTES
    for peer in peers:
        peer.close()
    with Client.connect(backend.connection_file) as client:
        assert client.ping()


def test_bytes_that_are_no_zmq_and_peers_that_say_nothing_do_no_harm(backend, connection):
    def attack() -> None:
        with ExitStack() as stack:
            silent = [stack.enter_context(dialled(connection, name)) for name in SOCKETS for _ in range(50)]
            for name in SOCKETS:
                for junk in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 9 + b"\x7f" + b"\x03" * 60, os.urandom(4096)):
                    stack.enter_context(dialled(connection, name)).sendall(junk)
            with Client.connect(backend.connection_file) as client:
                assert client.ping()
            for peer in silent:
                with suppress(ConnectionError):
                    while peer.recv(4096):
                        pass

    attack()
    assert grew_bytes(backend, attack) < MOST_GROWTH_BYTES


def test_too_many_parts_of_one_who_was_let_in_are_dropped_as_they_come(backend, connection):
    def attack() -> None:
        raw = RawSocket(connection, "rpc")
        for count in (100, 2000, 20_000):
            raw.send([header(), *[b"x"] * count])
            assert raw.answer().type == "error"
        raw.send([header(type="job.submit"), *[bytes(MAX_BUFFER_BYTES // 4)] * 8])
        assert raw.answer().type == "error"
        raw.close()

    attack()
    assert grew_bytes(backend, attack, "VmRSS") < MOST_GROWTH_BYTES


def test_one_who_asks_too_fast_is_told_so_and_others_are_served(backend, connection):
    flood, count = RawSocket(connection, "control"), 4000
    flood.socket.setsockopt(zmq.RCVHWM, 0)
    request = header(session=connection.session)
    answers: list[str] = []
    begun_s = time.monotonic()
    with Client.connect(backend.connection_file) as client:
        for number in range(count):
            flood.send([request])
            while flood.socket.poll(0):
                answers.append(flood.answer().type)
            if number % 1000 == 0:
                started_s = time.monotonic()
                assert client.ping()
                assert time.monotonic() - started_s < 1.0
    while flood.socket.poll(500):
        answers.append(flood.answer().type)
    assert answers.count("pong") >= 2000 and "error" in answers
    told = REFUSALS_A_SECOND * (1 + time.monotonic() - begun_s)
    assert answers.count("error") <= told + 1, "what comes too fast is let go of, and seldom told so"
    time.sleep(0.1)
    assert flood.ask("ping").type == "pong", "and is answered again when it has waited"
    flood.close()
