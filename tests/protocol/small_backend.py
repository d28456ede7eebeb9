# SPDX-License-Identifier: Apache-2.0
"""A real backend in this process, small shots for it, and a raw socket for clients that misbehave."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import zmq

from blender_addon.connection.client import Client
from dubplate_backend.head.model import HeadModel
from dubplate_backend.renderers.neural_texture.generator import Generator
from dubplate_backend.renderers.neural_texture.weights import save_weights
from dubplate_backend.renderers.presets import DRAFT
from dubplate_backend.server.assets import Assets
from dubplate_backend.server.models import Models
from dubplate_backend.server.server import Server
from dubplate_shared.actor import ActorInfo
from dubplate_shared.connection import Connection
from dubplate_shared.protocol import Envelope, pack, unpack
from dubplate_shared.shot import HeadIdentity, PlateSource, Rate, ShotInfo, write_shot
from dubplate_shared.track import Track

FRAMES = 20


@dataclass(frozen=True)
class Backend:
    """A running backend and the folders that it serves."""

    server: Server
    connection_file: Path
    root: Path
    output: Path

    def connect(self) -> Client:
        return Client.connect(self.connection_file, name="tests")


@contextmanager
def running(folder: Path, models: Models, root: Path) -> Iterator[Backend]:
    """A backend in this process, answering on a thread of its own."""
    backend = Backend(
        Server(assets=Assets((root,), folder / "plates"), models=models, connection_file=folder / "connection.json"),
        folder / "connection.json",
        root,
        folder / "plates",
    )
    with backend.server as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield backend
        finally:
            server.end()
            thread.join()


def write_empty_shot(path: Path, head: HeadIdentity) -> None:
    count = FRAMES

    def zeros(*shape: int) -> np.ndarray:
        return np.zeros(shape, np.float32)

    track = Track(
        frame=np.arange(1001, 1001 + count, dtype=np.int32),
        time=np.arange(count) / 25,
        shape=zeros(300),
        expression=zeros(count, 100),
        jaw=zeros(count, 3),
        neck=zeros(count, 3),
        eyes=zeros(count, 6),
        eyelids=zeros(count, 2),
        rotation=zeros(count, 3),
        translation=zeros(count, 3) + np.float32([0, 0, 1]),
        intrinsics=zeros(count, 4) + np.float32([100, 100, 32, 24]),
        distortion=zeros(8),
        lighting=zeros(count, 9, 3),
        texture=zeros(4),
        confidence=zeros(count),
        landmarks_px=zeros(count, 468, 2),
        projected_px=zeros(count, 468, 2),
        landmark_index=np.arange(468, dtype=np.int32),
    )
    info = ShotInfo(
        "man", count, Rate(25), 64, 48, PlateSource("video", "man.mp4", "srgb_rec709_display"), head
    )  # fmt: skip
    write_shot(path, info, track, zeros(count, 2, 3), None)


def write_random_actor(folder: Path, head: HeadModel) -> None:
    """An actor of the draft size who was never taught: its weights are noise, drawn and composited like any other's."""
    generator = Generator(DRAFT)
    noise = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weights in generator.parameters():
            weights += 0.05 * torch.randn(weights.shape, generator=noise)
    texels = torch.randn(DRAFT.texture_channels, DRAFT.texture_size, DRAFT.texture_size, generator=noise)
    folder.mkdir()
    save_weights(folder, texels, generator)
    ActorInfo(folder.stem, "neural_texture", DRAFT.name, HeadIdentity(head.kind, head.sha256)).save(folder)


class RawSocket:
    """A DEALER that sends whatever it is told."""

    def __init__(self, connection: Connection, name: str, credentials: Mapping[str, bytes] | None = None) -> None:
        """credentials: libzmq options, else what the connection file gives."""
        self.connection = connection
        self.name = name
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        for option, value in (connection.credentials(None) if credentials is None else credentials).items():
            self.socket.setsockopt(getattr(zmq, option), value)
        self.socket.connect(connection.endpoints[name])

    @property
    def harmless(self) -> tuple[str, dict[str, object]]:
        """A request that its socket answers, and the answer is no refusal: type and body."""
        requests = {"rpc": ("hello", {}), "control": ("ping", {}), "events": ("listen", {})}
        return requests.get(self.name, ("bulk.open", {"credit": 1000}))

    def send(self, parts: Sequence[bytes]) -> None:
        self.socket.send_multipart(parts)

    def answer(self, timeout_ms: int = 5000) -> Envelope:
        assert self.socket.poll(timeout_ms), "no answer"
        return unpack(self.socket.recv_multipart())

    def ask(self, type: str, *, timeout_ms: int = 5000, **changes: object) -> Envelope:
        """Send a well-formed request but for `changes` of its envelope; the answer."""
        connection = self.connection
        fields = {"type": type, "id": "7", "session": connection.session} | changes
        self.send([bytes(part) for part in pack(Envelope(**fields))])
        return self.answer(timeout_ms)

    def close(self) -> None:
        self._context.destroy(linger=0)
