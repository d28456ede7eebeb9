# SPDX-License-Identifier: GPL-3.0-or-later
"""The head of the shot as numbers (head.npz), for whoever solves on it; read once and again when the file changes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import bpy

from dubplate_shared.errors import InvalidInput
from dubplate_shared.rig import Rig
from dubplate_shared.shot import HeadIdentity

from .shot_link import ShotLink

_HEADS_KEPT = 4  # of 15 MB each: the actors of a scene


def load_rig(armature: bpy.types.Object) -> Rig:
    """The rig that `armature` was built from.  Raises InvalidInput, HeadModelMismatch."""
    link = ShotLink.of(armature)
    path = link.package() / "head.npz"
    try:
        changed_ns = path.stat().st_mtime_ns
    except OSError as error:
        raise InvalidInput(f"{path} is not there.", hint="Track the shot again, or put the file back.") from error
    rig = _read(path, changed_ns)
    link.head.require(HeadIdentity(rig.kind, rig.sha256), f"The head of {link.name}")
    return rig


@lru_cache(maxsize=_HEADS_KEPT)
def _read(path: Path, _changed_ns: int) -> Rig:
    return Rig.load(path)
