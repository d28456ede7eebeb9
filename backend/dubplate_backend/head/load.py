# SPDX-License-Identifier: Apache-2.0
"""Loading head models: the stand-in, built once and cached, or the user's own FLAME files."""

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import platformdirs
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.head.standin.build import VERSION, build_arrays, recipe_sha256, recipe_source_sha256
from dubplate_shared.controls import CONTROL_NAMES
from dubplate_shared.errors import DubplateError, OutputNotWritable
from dubplate_shared.files import load_npz, save_npz

STANDIN = "standin"
MASK_PREFIX = "mask_"


def load_head(spec: str | None = None) -> HeadModel:
    """A head model by name or path.

    spec: "standin"; or a path to FLAME's generic_model.pkl, flame2023.pkl or an npz export, or to the folder that holds
    one; None: $DUBPLATE_HEAD, or the stand-in where that is not set.
    Raises InvalidInput where the file is none of these.
    """
    spec = spec or os.environ.get("DUBPLATE_HEAD") or STANDIN
    if spec == STANDIN:
        return load_standin()
    from dubplate_backend.head.flame import load_flame

    return load_flame(Path(spec))


def load_standin() -> HeadModel:
    """The stand-in, from the cache or built in seconds.  An unreadable or foreign cache is built anew."""
    sha256 = recipe_sha256()
    path = standin_cache()
    try:
        return _standin_from(load_npz(path), sha256)
    except (DubplateError, KeyError, TypeError, ValueError):
        arrays = build_arrays()
        with suppress(OutputNotWritable):  # costs seconds at the next start, no more
            save_npz(path, arrays)
        return _standin_from(arrays, sha256)


def standin_cache() -> Path:
    """The file that keeps the built stand-in; another recipe has another name."""
    return cache_folder() / f"{VERSION.replace('/', '-')}-{recipe_source_sha256()[:16]}.npz"


def cache_folder() -> Path:
    """$DUBPLATE_CACHE, or the user's cache folder."""
    chosen = os.environ.get("DUBPLATE_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("dubplate", appauthor=False))


def _standin_from(arrays: dict[str, np.ndarray], sha256: str) -> HeadModel:
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    masks = {
        name.removeprefix(MASK_PREFIX): tensors.pop(name) for name in list(tensors) if name.startswith(MASK_PREFIX)
    }
    controls = dict(
        zip(CONTROL_NAMES, zip(tensors.pop("control_expression"), tensors.pop("control_jaw"), strict=True), strict=True)
    )
    return HeadModel(kind=STANDIN, sha256=sha256, masks=masks, controls=controls, **tensors)
