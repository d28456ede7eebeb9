# SPDX-License-Identifier: Apache-2.0
"""A real clip tracked once for all tests of this room, and short cuts of the development clips."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from dubplate_backend.head.load import load_head
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.footage import Footage
from dubplate_backend.plates.movie import write_movie
from dubplate_backend.tracking.track_shot import track_shot
from dubplate_shared.shot import Shot
from footage import clip

GRID_FRAMES = 16
GRID_START = 20  # from there on he speaks


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return load_head("standin")


@pytest.fixture(scope="session")
def speaker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two thirds of a second of a speaking face, 360 x 288, with sound."""
    path = tmp_path_factory.mktemp("footage") / "speaker.mp4"
    source = clip("grid_bbaf2n.mpg")
    footage = Footage.open(source)
    write_movie(path, islice(footage.iter(GRID_START), GRID_FRAMES), footage.rate, source, quality=12)
    return path


@pytest.fixture(scope="session")
def moment(speaker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its first few frames, without sound: what is quick to track."""
    path = tmp_path_factory.mktemp("footage") / "moment.mp4"
    write_movie(path, islice(Footage.open(speaker), 4), Footage.open(speaker).rate, quality=12)
    return path


@pytest.fixture(scope="session")
def speaker_shot(speaker: Path, head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Shot:
    """That clip, tracked."""
    return track_shot(speaker, tmp_path_factory.mktemp("shots") / "speaker.dubshot", head=head, first_frame=1009)
