# SPDX-License-Identifier: Apache-2.0
"""Clips that take a while to draw, kept in the cache until the code that draws them changes."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from dubplate_backend import synthetic
from dubplate_backend.head.load import cache_folder
from dubplate_shared.files import atomic_folder

_DRAWING = (Path(synthetic.__file__).parent, Path(__file__).parent)
_OWN_SOURCES = ("truth_motion.py", "standin_clip.py", "ict_head.py", "ict_skin.py", "ict_clip.py")


def kept_clip(name: str, recipe: object, make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills, from the cache where one of this recipe and this code is there.

    name: of the clip; older ones of that name are removed.   recipe: what `repr` says all about.
    """
    folder = cache_folder() / "truth" / f"{name}-{_key(recipe)}"
    if not folder.is_dir():
        for older in folder.parent.glob(f"{name}-*"):
            shutil.rmtree(older, ignore_errors=True)
        with atomic_folder(folder) as temporary:
            make(temporary)
    return folder


def _key(recipe: object) -> str:
    digest = hashlib.sha256(repr(recipe).encode())
    synthetic_room, here = _DRAWING
    for source in (*sorted(synthetic_room.glob("*.py")), *(here / name for name in _OWN_SOURCES)):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
