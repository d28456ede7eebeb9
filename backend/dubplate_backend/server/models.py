# SPDX-License-Identifier: Apache-2.0
"""What the backend keeps in memory between jobs: the head model, loaded once."""

from __future__ import annotations

import threading
from pathlib import Path

from dubplate_backend.head.load import load_head
from dubplate_backend.head.model import HeadModel
from dubplate_shared.actor import ActorInfo
from dubplate_shared.shot import HeadIdentity, Shot


class Models:
    """head: what --head says, None for $DUBPLATE_HEAD or the stand-in. Safe from any thread."""

    def __init__(self, head: str | None) -> None:
        self._spec = head
        self._lock = threading.Lock()
        self._head: HeadModel | None = None

    @property
    def head(self) -> HeadModel:
        with self._lock:
            if self._head is None:
                self._head = load_head(self._spec)
            return self._head

    @property
    def device(self) -> str:
        """What renders run on, such as "cpu"."""
        return str(self.head.template.device)

    @property
    def head_identity(self) -> HeadIdentity:
        return HeadIdentity(self.head.kind, self.head.sha256)

    def shot(self, path: Path) -> Shot:
        """A shot package made with this head model. Raises InvalidInput, HeadModelMismatch."""
        shot = Shot.load(path)
        self.head_identity.require(shot.info.head, f"Shot {shot.info.name}")
        return shot

    def actor(self, path: Path) -> ActorInfo:
        """An actor learnt on this head model. Raises InvalidInput, HeadModelMismatch."""
        actor = ActorInfo.load(path)
        self.head_identity.require(actor.head, f"Actor {actor.name}")
        return actor
