# SPDX-License-Identifier: Apache-2.0
"""A real backend on real sockets with its shots and actors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_backend import Backend, RawSocket, running, write_empty_shot, write_random_actor

from blender_addon.connection.client import Client
from dubplate_backend.server.models import Models
from dubplate_shared.actor import ActorInfo
from dubplate_shared.connection import SOCKETS, Connection
from dubplate_shared.shot import HeadIdentity
from small_shot import write_small_shot


@pytest.fixture(scope="session")
def models() -> Models:
    """The stand-in head, loaded once."""
    return Models(None)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory, models: Models) -> Path:
    """man: a shot without its footage, and an actor without its weights, so that rendering them fails by name.

    stranger: both of another head model.
    """
    root = tmp_path_factory.mktemp("root")
    write_empty_shot(root / "man.dubshot", models.head_identity)
    write_empty_shot(root / "stranger.dubshot", HeadIdentity("flame2023", "ab" * 32))
    for name, head in (("man", models.head_identity), ("stranger", HeadIdentity("flame2023", "ab" * 32))):
        (root / f"{name}.dubactor").mkdir()
        ActorInfo(name, "neural_texture", "draft", head).save(root / f"{name}.dubactor")
    return root


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory, models: Models) -> Path:
    """A root with small.dubshot, footage and all, and small.dubactor of the draft size."""
    root = tmp_path_factory.mktemp("studio")
    write_small_shot(root, models.head)
    write_random_actor(root / "small.dubactor", models.head)
    return root


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, models: Models, root: Path) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("backend"), models, root) as backend:
        yield backend


@pytest.fixture
def client(backend: Backend) -> Iterator[Client]:
    with backend.connect() as client:
        yield client


@pytest.fixture(params=SOCKETS)
def raw(request: pytest.FixtureRequest, backend: Backend) -> Iterator[RawSocket]:
    """A raw socket to each of the sockets that take requests."""
    socket = RawSocket(Connection.read(backend.connection_file), request.param)
    yield socket
    socket.close()
