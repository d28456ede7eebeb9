# SPDX-License-Identifier: Apache-2.0
"""A head with exactly FLAME's counts and files, made once for the room's tests."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dubplate_backend.head.flame import load_flame
from dubplate_backend.head.load import load_standin
from dubplate_backend.head.model import HeadModel

sys.path.insert(0, str(Path(__file__).parents[1] / "head"))  # synthetic_flame.py, flame_files.py


@dataclass(frozen=True)
class Flame:
    """path: generic_model.pkl as a user has it.   arrays: what it holds, by FLAME's names.   head: as it is loaded."""

    path: Path
    arrays: dict[str, np.ndarray]
    head: HeadModel


@pytest.fixture(scope="session")
def standin() -> HeadModel:
    """The real stand-in, from the cache where it is there."""
    return load_standin()


@pytest.fixture(scope="session")
def flame(standin: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Flame:
    """FLAME 2020's file format, with a head in it whose every vertex is known."""
    from flame_files import write_pickle
    from synthetic_flame import synthetic_flame

    folder = tmp_path_factory.mktemp("flame")
    arrays = synthetic_flame(standin).arrays
    path = write_pickle(folder / "generic_model.pkl", arrays)
    return Flame(path, arrays, load_flame(path, standin, folder / "cache"))
