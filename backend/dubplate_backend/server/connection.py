# SPDX-License-Identifier: Apache-2.0
"""The backend's three sockets: where they listen, and with which limits."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

import zmq

from dubplate_shared.errors import BackendUnreachable, InvalidInput
from dubplate_shared.protocol import MAX_CONTROL_BYTES, SOCKET_OPTIONS

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Sockets:
    """Bound sockets and where clients reach them."""

    rpc: zmq.Socket[bytes]
    control: zmq.Socket[bytes]
    events: zmq.Socket[bytes]
    endpoints: dict[str, str]

    def close(self) -> None:
        for socket in (self.rpc, self.control, self.events):
            socket.close(linger=0)


def check_address(address: str) -> str:
    """`address` if the backend may listen there: the loopback only. Raises InvalidInput."""
    try:
        loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        loopback = address == "localhost"
    if not loopback:
        raise InvalidInput(
            f"The backend does not listen on {address}: anybody on that network could render with your actors.",
            hint=f"Leave --bind at {LOOPBACK} and reach it from elsewhere through an SSH tunnel.",
        )
    return LOOPBACK if address == "localhost" else address


def listen(context: zmq.Context[zmq.Socket[bytes]], address: str = LOOPBACK) -> Sockets:
    """Bind rpc, control and events to free ports of `address`. Raises InvalidInput, BackendUnreachable."""
    address = check_address(address)
    rpc = _router(context)
    control = _router(context)
    events = _router(context)
    for socket in (control, events):
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_CONTROL_BYTES)
    sockets = Sockets(rpc, control, events, {})
    host = f"[{address}]" if ":" in address else address
    try:
        for name, socket in (("rpc", rpc), ("control", control), ("events", events)):
            socket.setsockopt(zmq.IPV6, int(":" in address))
            socket.bind(f"tcp://{host}:*")
            sockets.endpoints[name] = socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
    except zmq.ZMQError as error:
        sockets.close()
        raise BackendUnreachable(
            f"Cannot listen on {address}: {error}.", hint="Is that address this machine's?"
        ) from error
    return sockets


def _router(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.ROUTER)
    for name, value in SOCKET_OPTIONS.items():
        socket.setsockopt(getattr(zmq, name), value)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # else a full or vanished client loses messages silently
    socket.setsockopt(zmq.ROUTER_HANDOVER, 0)  # else one client can take over another's name
    return socket
