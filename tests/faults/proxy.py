# SPDX-License-Identifier: Apache-2.0
"""A network between client and backend that can be cut: a port for each of the backend's, a thread a connection."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
from pathlib import Path

from dubplate_shared.connection import Connection


class Network:
    """Use as a context manager. connection_file: of the backend as it is reached through this network."""

    def __init__(self, connection_file: Path, folder: Path) -> None:
        self._connection = Connection.read(connection_file)
        self._listeners: list[socket.socket] = []
        self._wires: list[socket.socket] = []
        self._lock = threading.Lock()
        self.whole = True
        self.connection_file = folder / "through-the-network.json"
        endpoints = {}
        for name, endpoint in self._connection.endpoints.items():
            listener = socket.create_server(("127.0.0.1", 0))
            self._listeners.append(listener)
            endpoints[name] = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
            there = int(endpoint.rpartition(":")[2])
            threading.Thread(target=self._accept, args=(listener, there), daemon=True).start()
        dataclasses.replace(self._connection, endpoints=endpoints).write(self.connection_file)

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        for listener in self._listeners:
            listener.close()
        self.cut()

    def cut(self) -> None:
        """Break all connections, and let none come about until `mend`."""
        with self._lock:
            self.whole = False
            for wire in self._wires:
                with contextlib.suppress(OSError):
                    wire.shutdown(socket.SHUT_RDWR)
                wire.close()
            self._wires.clear()

    def mend(self) -> None:
        self.whole = True

    def _accept(self, listener: socket.socket, there: int) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = listener.accept()
                if not self.whole:
                    here.close()
                    continue
                beyond = socket.create_connection(("127.0.0.1", there))
                with self._lock:
                    self._wires += [here, beyond]
                for pair in ((here, beyond), (beyond, here)):
                    threading.Thread(target=_carry, args=pair, daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
