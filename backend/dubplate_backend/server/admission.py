# SPDX-License-Identifier: Apache-2.0
"""Who may come in: asked by libzmq at every handshake, before a peer can send anything (ZAP, ZeroMQ RFC 27).

pyzmq's own authenticator writes passwords into its debug log and compares them byte by byte, so this answers instead.
"""

from __future__ import annotations

import hmac
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.utils.z85

from dubplate_shared.connection import USER
from dubplate_shared.errors import DubplateError
from dubplate_shared.keys import PUBLIC_SUFFIX, KeyPair, PublicKey

DOMAIN = b"dubplate"
ENDPOINT = "inproc://zeromq.zap.01"
VERSION = b"1.0"
POLL_MS = 100

log = logging.getLogger("dubplate.server")


@dataclass(frozen=True)
class KeyRing:
    """The backend's pair, and the folder of the public keys that may come in; read anew at every handshake."""

    pair: KeyPair
    allowed: Path

    def user(self, public: str) -> str | None:
        """The name of an allowed key, None for any other."""
        for path in sorted(self.allowed.glob(f"*{PUBLIC_SUFFIX}")):
            try:
                key = PublicKey.read(path)
            except DubplateError as error:
                log.warning("%s", error.message)
                continue
            if hmac.compare_digest(key.public.encode(), public.encode()):
                return key.name
        return None


@dataclass(frozen=True)
class Door:
    """What a peer must show: the token on the loopback, or a key of `keys` where there are any."""

    token: str
    keys: KeyRing | None = None

    def secure(self, socket: zmq.Socket[bytes]) -> None:
        """Make a socket ask at every handshake."""
        socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        if self.keys is None:
            socket.setsockopt(zmq.PLAIN_SERVER, 1)
        else:
            socket.setsockopt(zmq.CURVE_SERVER, 1)
            socket.setsockopt(zmq.CURVE_SECRETKEY, self.keys.pair.secret.encode())

    def user(self, mechanism: bytes, credentials: Sequence[bytes]) -> str | None:
        """Who comes in with these credentials, None for nobody."""
        if mechanism == b"PLAIN" and self.keys is None and len(credentials) == 2:
            return USER if hmac.compare_digest(credentials[1], self.token.encode()) else None
        if mechanism == b"CURVE" and self.keys is not None and len(credentials) == 1 and len(credentials[0]) == 32:
            return self.keys.user(zmq.utils.z85.encode(credentials[0]).decode())
        return None


class Admission(threading.Thread):
    """Answers for a context's sockets from start() until stop(); it must run before they are bound."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], door: Door) -> None:
        super().__init__(name="dubplate-admission", daemon=True)
        self._door = door
        self._socket = context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(ENDPOINT)
        self._ending = threading.Event()

    def stop(self) -> None:
        """End the thread and close its socket."""
        self._ending.set()
        if self.ident is not None:
            self.join()
        self._socket.close(linger=0)

    def run(self) -> None:
        while not self._ending.is_set():
            if self._socket.poll(POLL_MS):
                self._socket.send_multipart(self._answer(self._socket.recv_multipart()))

    def _answer(self, asked: Sequence[bytes]) -> list[bytes]:
        if len(asked) < 6 or asked[0] != VERSION:
            return [VERSION, asked[1] if len(asked) > 1 else b"", b"500", b"No question that is known.", b"", b""]
        _, request, domain, address, _, mechanism, *credentials = asked
        user = self._door.user(mechanism, credentials) if domain == DOMAIN else None
        if user is None:
            log.info("a peer at %s was not admitted", address.decode(errors="replace")[:60])
            return [VERSION, request, b"400", b"Not admitted", b"", b""]
        return [VERSION, request, b"200", b"OK", user.encode(), b""]
