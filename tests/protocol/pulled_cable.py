# SPDX-License-Identifier: Apache-2.0
"""A network between client and backend that can be cut and mended: it passes bytes on, port by port."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Mapping

CHUNK_BYTES = 65536
LOOK_S = 0.02


class Proxy:
    """endpoints: where clients reach the backend's sockets through it. Use as a context manager."""

    def __init__(self, endpoints: Mapping[str, str]) -> None:
        self._targets: dict[socket.socket, tuple[str, int]] = {}
        self.endpoints: dict[str, str] = {}
        for name, endpoint in endpoints.items():
            host, port = endpoint.removeprefix("tcp://").split(":")
            listener = socket.create_server(("127.0.0.1", 0))
            self._targets[listener] = (host, int(port))
            self.endpoints[name] = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        self._pairs: dict[socket.socket, socket.socket] = {}
        self.silent = False  # nothing passes, and nobody is told: a cable that was pulled
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        for each in (*self._pairs, *self._targets):
            each.close()

    def _run(self) -> None:
        while not self._ending.wait(LOOK_S if self.silent else 0):
            if self.silent:
                continue
            ready, _, _ = select.select([*self._targets, *self._pairs], [], [], LOOK_S)
            for each in ready:
                if each in self._targets:
                    self._join(each.accept()[0], self._targets[each])
                elif each in self._pairs:
                    self._pass_on(each)

    def _join(self, near: socket.socket, target: tuple[str, int]) -> None:
        try:
            far = socket.create_connection(target)
        except OSError:
            near.close()
            return
        self._pairs |= {near: far, far: near}

    def _pass_on(self, source: socket.socket) -> None:
        try:
            data = source.recv(CHUNK_BYTES)
            self._pairs[source].sendall(data)
        except OSError:
            data = b""
        if not data:
            for each in (self._pairs.pop(source), source):
                self._pairs.pop(each, None)
                each.close()
