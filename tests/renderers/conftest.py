# SPDX-License-Identifier: Apache-2.0
"""A small shot and an actor learnt from it in a few steps, once for the folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubplate_backend.head.load import load_head
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.source import ShotPlates
from dubplate_backend.renderers.neural_texture.renderer import NeuralTextureRenderer
from dubplate_backend.renderers.neural_texture.weights import load_weights
from dubplate_backend.training.adapt import adapt
from dubplate_shared.shot import Shot
from small_shot import QUICK, TINY, write_small_shot


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="session")
def small_shot(head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Shot:
    return write_small_shot(tmp_path_factory.mktemp("small_shot"), head)


@pytest.fixture(scope="session")
def actor(small_shot: Shot, head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NAME.dubactor of the tiny size, after enough steps that sound, texture and reference all matter."""
    out = tmp_path_factory.mktemp("actor") / "small.dubactor"
    adapt([small_shot], out, head=head, preset=TINY, iterations=30, settings=QUICK, say=lambda text: None)
    return out


@pytest.fixture(scope="session")
def renderer(actor: Path, head: HeadModel) -> NeuralTextureRenderer:
    return NeuralTextureRenderer(TINY, *load_weights(actor, TINY), head)


@pytest.fixture(scope="session")
def plates(small_shot: Shot) -> ShotPlates:
    return ShotPlates(small_shot)
