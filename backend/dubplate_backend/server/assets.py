# SPDX-License-Identifier: Apache-2.0
"""Shots, actors and outputs by id: a relative path beneath a folder that whoever started the backend has named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dubplate_backend.plates.store import STATE_FOLDER
from dubplate_backend.server.access import Access
from dubplate_shared.errors import InvalidInput

SHOT_SUFFIX = ".dubshot"
ACTOR_SUFFIX = ".dubactor"
MAX_ID_LENGTH = 512


@dataclass(frozen=True)
class Assets:
    """roots: where shots and actors lie.  output_root: beneath which plates may be written.

    access: who may use which actor; None for everybody.
    """

    roots: tuple[Path, ...]
    output_root: Path
    access: Access | None = None

    @property
    def state_folder(self) -> Path:
        """Where the backend keeps what is its own."""
        return self.output_root / STATE_FOLDER

    def shot(self, id: str) -> Path:
        """Folder of a shot package. Raises InvalidInput."""
        return self._find(id, SHOT_SUFFIX, "shot")

    def actor(self, id: str, user: str = "") -> Path:
        """Folder of an actor package.  user: who asks.  Raises InvalidInput, NotAllowed."""
        if self.access is not None:
            self.access.check(id, user)
        return self._find(id, ACTOR_SUFFIX, "actor")

    def output(self, id: str) -> Path:
        """Folder for plates, which need not exist yet; "." is the output root itself. Raises InvalidInput."""
        if id == ".":
            return self.output_root.resolve()
        path = _beneath(self.output_root, id, "output")
        if path.is_relative_to(self.state_folder.resolve()):
            raise InvalidInput(f"The output {id!r} is the backend's own folder.", hint="Choose another.")
        return path

    def _find(self, id: str, suffix: str, what: str) -> Path:
        if not id.endswith(suffix):
            raise InvalidInput(f"{id[:80]!r} is no {what} id.", hint=f"It ends in {suffix}.")
        found = [path for path in (_beneath(root, id, what) for root in self.roots) if path.is_dir()]
        if not found:
            raise InvalidInput(
                f"There is no {what} {id!r} beneath the backend's roots.",
                hint="Check the name, or start `dubplate serve` with --root FOLDER that holds it.",
            )
        if len(set(found)) > 1:
            raise InvalidInput(f"The {what} {id!r} lies beneath two roots.", hint="Rename one, or serve one root.")
        return found[0]


def _beneath(root: Path, id: str, what: str) -> Path:
    """`root`/`id`, links followed. Raises InvalidInput for anything that is not plainly beneath `root`."""
    parts = PurePosixPath(id).parts
    plain = id and len(id) <= MAX_ID_LENGTH and id.isprintable() and not set(id) & set('\\:*?"<>|')
    if not plain or id.startswith("/") or any(part in ("..", "~") for part in parts) or not parts:
        raise InvalidInput(
            f"{id[:80]!r} is no {what} id.",
            hint="Ids are relative paths with forward slashes beneath the backend's folders, without '..'.",
        )
    root = root.resolve()
    path = (root / Path(*parts)).resolve()
    if not path.is_relative_to(root) or path == root:
        raise InvalidInput(
            f"The {what} {id!r} leads out of the folder it is served from.",
            hint="Put it there itself instead of a link, or serve its folder with --root.",
        )
    return path
