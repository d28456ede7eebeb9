# SPDX-License-Identifier: Apache-2.0
"""Who may use which actor: a file that whoever starts the backend writes, read anew when it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubplate_shared.errors import InvalidInput, NotAllowed
from dubplate_shared.files import read_json

SCHEMA = "dubplate.access/1"
EVERYBODY = "*"


@dataclass(frozen=True)
class Access:
    """file: {"schema": "dubplate.access/1", "actors": {"man.dubactor": ["alice", "bob"], "*": ["carol"]}},
    names of keys by the actor's id.  Under "*" stand those who may use any actor, and the name "*" is everybody.
    """

    file: Path

    def validated(self) -> Access:
        """This, if its file can be read. Raises InvalidInput."""
        _actors(self.file)
        return self

    def check(self, actor: str, user: str) -> None:
        """Raises NotAllowed where `user` may not draw `actor` (an id), InvalidInput where the file is broken."""
        actors = _actors(self.file)
        allowed = {*actors.get(actor, ()), *actors.get(EVERYBODY, ())}
        if not allowed & {user, EVERYBODY}:
            raise NotAllowed(
                f"{user or 'Nobody'} may not use actor {actor!r}.",
                hint=f"Whoever runs the backend can allow it in {self.file.name}.",
            )


def _actors(file: Path) -> Mapping[str, list[str]]:
    content: Any = read_json(file, SCHEMA).get("actors")
    well_formed = isinstance(content, dict) and all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in content.values()
    )
    if not well_formed:
        raise InvalidInput(
            f"{file} has no map of actors to lists of names.", hint='Write {"actors": {"man.dubactor": ["alice"]}}.'
        )
    return dict(content)
