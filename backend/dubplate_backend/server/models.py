# SPDX-License-Identifier: Apache-2.0
"""What the backend keeps in memory between jobs: the head model, shots and actors, each loaded once."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch

from dubplate_backend.head.load import load_head
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.file_hashes import FileHashes
from dubplate_backend.renderers.base import Renderer
from dubplate_backend.renderers.load import load_renderer
from dubplate_backend.renderers.neural_texture.drawing import drawing_device
from dubplate_backend.rendering.memory import free_caches, tried_again
from dubplate_backend.server.consent import ConsentRule, check_consent
from dubplate_shared.actor import ActorInfo
from dubplate_shared.files import FileStates, states
from dubplate_shared.shot import HeadIdentity, Shot, shot_state

SHOTS_SHARE = 0.1  # of the budget; an hour's track is some 100 MB
# Of the machine's memory, or the GPU's: the rest is for what draws, and for other programs.
USUAL_SHARE = 0.25

Value = TypeVar("Value")


class Models:
    """head: what --head says, None for $DUBPLATE_HEAD or the stand-in. Safe from any thread.

    hashes: of files that are as they were.
    """

    def __init__(
        self, head: str | None, *, budget_bytes: int | None = None, consent: ConsentRule = ConsentRule.NOT_REFUSED
    ) -> None:
        """budget_bytes: what shots and actors may take together; a quarter of the device's memory unless told.

        consent: what an actor's record must say.
        """
        self.hashes = FileHashes()
        self._spec = head
        self._consent = consent
        self._lock = threading.Lock()
        self._head: HeadModel | None = None
        budget = usual_budget() if budget_bytes is None else budget_bytes
        self._shots: _Kept[Shot] = _Kept(int(budget * SHOTS_SHARE), _shot_bytes)
        self._renderers: _Kept[Renderer] = _Kept(int(budget * (1 - SHOTS_SHARE)), _renderer_bytes)

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
        shot = self._shots.get(path, shot_state(path), lambda: Shot.load(path))
        self.head_identity.require(shot.info.head, f"Shot {shot.info.name}")
        return shot

    def actor(self, path: Path) -> ActorInfo:
        """An actor learnt on this head model, whose person agrees.

        Raises InvalidInput, HeadModelMismatch, ConsentMissing.
        """
        actor = ActorInfo.load(path)
        self.head_identity.require(actor.head, f"Actor {actor.name}")
        check_consent(actor, self._consent)
        return actor

    def renderer(self, path: Path) -> Renderer:
        """An actor's renderer, loaded again where its folder has changed.

        Raises InvalidInput, HeadModelMismatch, ConsentMissing.
        """
        self.actor(path)

        def load() -> Renderer:
            return tried_again(lambda: load_renderer(path, self.head), self._make_room)

        return self._renderers.get(path, _actor_state(path), load)

    def warm(self, shot: Path, actor: Path) -> bool:
        """Load both as far as there is room beside what is loaded, nothing of which goes. Whether both are here.

        Raises InvalidInput, HeadModelMismatch, ConsentMissing, and what a want of memory raises.
        """
        self.actor(actor)
        if not self._shots.add(shot, shot_state(shot), lambda: Shot.load(shot)):
            return False
        self.shot(shot)  # of this head model
        return self._renderers.add(actor, _actor_state(actor), lambda: load_renderer(actor, self.head))

    def _make_room(self) -> None:
        self._renderers.clear()  # they may come back when it is their turn
        free_caches()

    def forget_deleted(self) -> None:
        """Let go of shots and actors whose folders are gone."""
        self._shots.forget_deleted()
        self._renderers.forget_deleted()


def usual_budget() -> int:
    """Bytes: a share of the device's memory."""
    if drawing_device().type == "cuda":
        return int(torch.cuda.get_device_properties(drawing_device()).total_memory * USUAL_SHARE)
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * USUAL_SHARE)
    return 4 << 30  # where the system does not say: a quarter of a small workstation's 16 GiB


@dataclass(frozen=True)
class _Held(Generic[Value]):
    state: Hashable
    value: Value
    bytes: int


class _Kept(Generic[Value]):
    """Values by folder, of the state of its files.

    Who was used longest ago goes where they take more than `most_bytes`; the one asked for last stays.
    """

    def __init__(self, most_bytes: int, size: Callable[[Value], int]) -> None:
        self._most_bytes = most_bytes
        self._size = size
        self._lock = threading.RLock()
        self._held: OrderedDict[Path, _Held[Value]] = OrderedDict()

    def get(self, path: Path, state: Hashable, load: Callable[[], Value]) -> Value:
        with self._lock:
            held = self._held.pop(path, None)
            if held is None or held.state != state:
                held = None  # an old one is let go of before the new one takes memory
                value = load()
                held = _Held(state, value, self._size(value))
            self._held[path] = held
            while len(self._held) > 1 and sum(each.bytes for each in self._held.values()) > self._most_bytes:
                self._held.popitem(last=False)
            return held.value

    def add(self, path: Path, state: Hashable, load: Callable[[], Value]) -> bool:
        """Load a value that nobody has asked for yet, if it fits beside the others. Whether it is held."""
        with self._lock:
            held = self._held.get(path)
            if held is not None and held.state == state:
                return True
            others = sum(each.bytes for other, each in self._held.items() if other != path)
            if others and others >= self._most_bytes:
                return False
            value = load()
            size = self._size(value)
            if others and others + size > self._most_bytes:
                return False
            self._held[path] = _Held(state, value, size)
            return True

    def clear(self) -> None:
        with self._lock:
            self._held.clear()

    def forget_deleted(self) -> None:
        with self._lock:
            for path in [path for path in self._held if not path.is_dir()]:
                del self._held[path]


def _shot_bytes(shot: Shot) -> int:
    arrays = [*vars(shot.track).values(), shot.crop]
    return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def _renderer_bytes(renderer: Renderer) -> int:
    return renderer.memory_bytes


def _actor_state(path: Path) -> FileStates:
    return states(sorted(path.iterdir()))
