# SPDX-License-Identifier: Apache-2.0
"""Shots and actors are loaded once, and who was used longest ago makes room."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from dubplate_backend.server import models as models_module
from dubplate_backend.server.models import SHOTS_SHARE, Models


@pytest.fixture
def actors(studio: Path, tmp_path: Path) -> list[Path]:
    return [Path(shutil.copytree(studio / "small.dubactor", tmp_path / f"{name}.dubactor")) for name in "abc"]


def test_actors_share_a_budget_and_the_one_used_longest_ago_goes(actors: list[Path]):
    one = Models(None, budget_bytes=0).renderer(actors[0]).memory_bytes
    models = Models(None, budget_bytes=int(2.5 * one / (1 - SHOTS_SHARE)))
    first, second = models.renderer(actors[0]), models.renderer(actors[1])
    assert models.renderer(actors[0]) is first and models.renderer(actors[1]) is second
    models.renderer(actors[0])
    models.renderer(actors[2])  # there is room for two
    assert models.renderer(actors[0]) is first and models.renderer(actors[1]) is not second


def test_a_deleted_actor_leaves_the_memory_and_a_changed_one_is_read_again(actors: list[Path]):
    models = Models(None)
    first = models.renderer(actors[0])
    (actors[0] / "actor.json").touch()
    assert models.renderer(actors[0]) is not first
    models.renderer(actors[1])
    shutil.rmtree(actors[1])
    models.forget_deleted()
    assert {path.name for path in models._renderers._held} == {"a.dubactor"}


def test_an_actor_that_does_not_fit_beside_the_others_is_loaded_in_their_place(actors: list[Path], monkeypatch):
    models = Models(None)
    models.renderer(actors[0])
    load, tries = models_module.load_renderer, []

    def short_of_memory(path: Path, head: object) -> object:
        tries.append(len(models._renderers._held))
        if models._renderers._held:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return load(path, head)

    monkeypatch.setattr(models_module, "load_renderer", short_of_memory)
    assert models.renderer(actors[1]) and tries == [1, 0]
