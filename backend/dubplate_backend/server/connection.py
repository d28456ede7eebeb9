# SPDX-License-Identifier: Apache-2.0
"""The backend's four sockets: where they listen, behind which door, and with which limits."""

from __future__ import annotations

import ipaddress
import socket as network
from dataclasses import dataclass

import zmq

from dubplate_backend.server.admission import Door
from dubplate_shared.connection import SOCKETS
from dubplate_shared.errors import BackendUnreachable, InvalidInput
from dubplate_shared.protocol import MAX_CONTROL_BYTES, SOCKET_OPTIONS

LOOPBACK = "127.0.0.1"
LARGE = ("rpc", "bulk")  # take messages of MAX_BUFFER_BYTES a part, the others of MAX_CONTROL_BYTES
LAST_PORT = 65535


@dataclass(frozen=True)
class Sockets:
    """Bound sockets and where clients reach them."""

    rpc: zmq.Socket[bytes]
    control: zmq.Socket[bytes]
    events: zmq.Socket[bytes]
    bulk: zmq.Socket[bytes]
    endpoints: dict[str, str]

    def close(self) -> None:
        for name in SOCKETS:
            getattr(self, name).close(linger=0)


def check_address(address: str, *, keys: bool) -> str:
    """`address` if the backend may listen there: the loopback, or with keys any. Raises InvalidInput."""
    try:
        loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        loopback = address == "localhost"
    if not loopback and not keys:
        raise InvalidInput(
            f"The backend does not listen on {address} without keys: anybody on that network could render with your"
            " actors.",
            hint=f"Give --keys (see `dubplate keys --help`), or leave --bind at {LOOPBACK} and reach it from elsewhere"
            " through an SSH tunnel.",
        )
    return LOOPBACK if address == "localhost" else address


def listen(
    context: zmq.Context[zmq.Socket[bytes]], door: Door, address: str = LOOPBACK, *, first_port: int | None = None
) -> Sockets:
    """Bind the sockets to `address`. first_port: of four in a row, free ones where there is none.

    Raises InvalidInput, BackendUnreachable.
    """
    address = check_address(address, keys=door.keys is not None)
    if first_port is not None and not 1 <= first_port <= LAST_PORT - len(SOCKETS) + 1:
        raise InvalidInput(f"{first_port} is no first of four ports.", hint="Name one such as 40060.")
    found = {name: _router(context, door, large=name in LARGE) for name in SOCKETS}
    sockets = Sockets(**found, endpoints={})
    try:
        for offset, (name, socket) in enumerate(found.items()):
            host = f"[{address}]" if ":" in address else address
            socket.setsockopt(zmq.IPV6, int(":" in address))
            socket.bind(f"tcp://{host}:{'*' if first_port is None else first_port + offset}")
            bound = socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
            sockets.endpoints[name] = _reachable(bound)
    except zmq.ZMQError as error:
        sockets.close()
        raise BackendUnreachable(
            f"Cannot listen on {address}: {error}.", hint="Is that address this machine's, and the port free?"
        ) from error
    return sockets


def _reachable(endpoint: str) -> str:
    """An endpoint as others can reach it: one bound to all addresses goes by this machine's name."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return f"tcp://{network.gethostname()}:{port}" if host in ("0.0.0.0", "[::]") else endpoint


def _router(context: zmq.Context[zmq.Socket[bytes]], door: Door, *, large: bool) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.ROUTER)
    for name, value in SOCKET_OPTIONS.items():
        socket.setsockopt(getattr(zmq, name), value)
    if not large:
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_CONTROL_BYTES)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # else a full or vanished client loses messages silently
    socket.setsockopt(zmq.ROUTER_HANDOVER, 0)  # else one client can take over another's name
    door.secure(socket)
    return socket
