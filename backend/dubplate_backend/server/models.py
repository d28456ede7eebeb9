# SPDX-License-Identifier: Apache-2.0
"""What the backend keeps in memory between jobs: the head model, shots and actors, each loaded once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

from dubplate_backend.head.load import load_head
from dubplate_backend.head.model import HeadModel
from dubplate_backend.renderers.base import Renderer
from dubplate_backend.renderers.load import load_renderer
from dubplate_backend.renderers.neural_texture.drawing import drawing_device
from dubplate_shared.actor import ActorInfo
from dubplate_shared.shot import HeadIdentity, Shot

KEPT_SHOTS = 4
KEPT_RENDERERS = 2
SHOT_FILES = ("shot.json", "track.npz", "crop.npz", "head.npz")  # takes are read when they are asked for

Value = TypeVar("Value")


class Models:
    """head: what --head says, None for $DUBPLATE_HEAD or the stand-in. Safe from any thread."""

    def __init__(self, head: str | None) -> None:
        self._spec = head
        self._lock = threading.Lock()
        self._head: HeadModel | None = None
        self._shots: _Kept[Shot] = _Kept(KEPT_SHOTS)
        self._renderers: _Kept[Renderer] = _Kept(KEPT_RENDERERS)

    @property
    def head(self) -> HeadModel:
        with self._lock:
            if self._head is None:
                self._head = load_head(self._spec)
            return self._head

    @property
    def device(self) -> str:
        """What renders run on, such as "cpu"."""
        return str(drawing_device())

    @property
    def head_identity(self) -> HeadIdentity:
        return HeadIdentity(self.head.kind, self.head.sha256)

    def shot(self, path: Path) -> Shot:
        """A shot made with this head model, read again where it has changed. Raises InvalidInput, HeadModelMismatch."""
        shot = self._shots.get(_state(path, [path / name for name in SHOT_FILES]), lambda: Shot.load(path))
        self.head_identity.require(shot.info.head, f"Shot {shot.info.name}")
        return shot

    def actor(self, path: Path) -> ActorInfo:
        """An actor learnt on this head model. Raises InvalidInput, HeadModelMismatch."""
        actor = ActorInfo.load(path)
        self.head_identity.require(actor.head, f"Actor {actor.name}")
        return actor

    def renderer(self, path: Path) -> Renderer:
        """An actor's renderer, loaded again where its folder has changed. Raises InvalidInput, HeadModelMismatch."""
        return self._renderers.get(_state(path, sorted(path.iterdir())), lambda: load_renderer(path, self.head))


class _Kept(Generic[Value]):
    """The few values used last, by the state of the files they came from."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, Value] = OrderedDict()

    def get(self, state: Hashable, load: Callable[[], Value]) -> Value:
        with self._lock:
            value = self._values[state] if state in self._values else load()
            self._values[state] = value
            self._values.move_to_end(state)
            while len(self._values) > self._most:
                self._values.popitem(last=False)
            return value


def _state(folder: Path, files: list[Path]) -> Hashable:
    """Folder, and each file's name, size and time of change: another state means other content."""
    facts = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    return (str(folder), *facts)
