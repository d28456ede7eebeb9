# SPDX-License-Identifier: Apache-2.0
"""A small shot and its crops, once for the folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubplate_backend.head.load import load_head
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.source import ShotPlates
from dubplate_backend.renderers.neural_texture.geometry import HeadGeometry
from dubplate_backend.speech.sound import audio
from dubplate_backend.texture.mipmaps import MipLayout
from dubplate_backend.training.dataset import ShotCrops, build_crops
from dubplate_shared.progress import never
from dubplate_shared.shot import Shot
from small_shot import QUICK, TINY, write_small_shot


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="session")
def small_shot(head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Shot:
    return write_small_shot(tmp_path_factory.mktemp("small_shot"), head)


@pytest.fixture(scope="session")
def crops_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crops")


@pytest.fixture(scope="session")
def crops(small_shot: Shot, head: HeadModel, crops_folder: Path) -> ShotCrops:
    return build_crops(
        small_shot,
        crops_folder,
        geometry=HeadGeometry(head, TINY.crop_size),
        preset=TINY,
        plates=ShotPlates(small_shot).net,
        sound=audio(small_shot.audio_path()),
        held_out=QUICK.held_out,
        reference_choices=2,
        stop=never,
    )


@pytest.fixture(scope="session")
def layout(head: HeadModel) -> MipLayout:
    return MipLayout.of(head, TINY.texture_size)
