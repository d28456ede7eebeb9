# SPDX-License-Identifier: Apache-2.0
"""One shot taken the whole way, once for all pipeline tests: the man of the development clips, or the synthetic
actor.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubplate_backend.head.load import load_head
from dubplate_backend.head.model import HeadModel
from dubplate_shared.shot import Shot

FRAMES = 150
ITERATIONS = 330  # of the draft preset: about three minutes on two cores
CLIP = Path(os.environ.get("DUBPLATE_CLIPS", Path(__file__).parents[3] / "shared" / "clips")) / "kitchen_man_25fps.mp4"


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="session")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the backend may read."""
    return tmp_path_factory.mktemp("assets")


@pytest.fixture(scope="session")
def shot(assets: Path, head: HeadModel) -> Shot:
    """The tracked shot; frames 1090-1120 exist in either."""
    from dubplate_backend.plates.footage import Footage
    from dubplate_backend.plates.movie import write_movie
    from dubplate_backend.synthetic.shot import make_synthetic_video
    from dubplate_backend.tracking.track_shot import track_shot

    video = assets / "footage.mp4"
    if CLIP.exists():
        with Footage.open(CLIP) as footage:
            write_movie(video, footage.iter(0, FRAMES), footage.rate, CLIP, quality=12)
    else:
        make_synthetic_video(video, seconds=FRAMES / 25, size=512, seed=1, head=head)
    return track_shot(video, assets / "shot.dubshot", head=head, preview=False)


@pytest.fixture(scope="session")
def actor(assets: Path, shot: Shot, head: HeadModel) -> Path:
    from dubplate_backend.renderers.presets import preset
    from dubplate_backend.training.adapt import adapt

    folder = assets / "person.dubactor"
    adapt([shot], folder, head=head, preset=preset("draft"), iterations=ITERATIONS, seed=7)
    return folder


@pytest.fixture(scope="session")
def plates_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the backend may write."""
    return tmp_path_factory.mktemp("plates")


@pytest.fixture(scope="session")
def connection(assets: Path, plates_root: Path) -> Iterator[Path]:
    """A real backend in a process of its own."""
    from blender_addon.connection.client import start_backend

    backend = start_backend(sys.executable, roots=[assets], output_root=plates_root)
    yield backend.connection_file
    backend.stop()
