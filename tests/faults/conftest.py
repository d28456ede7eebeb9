# SPDX-License-Identifier: Apache-2.0
"""A studio with a shot and an actor of the draft size, and real backends in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dubplate_backend.head.load import load_head
from dubplate_shared.shot import Shot
from faults.nursery import Nursery
from protocol.small_backend import write_random_actor
from small_shot import write_small_shot

ADAPTED_ITERATIONS = 30  # enough for weights that no seed gives


@pytest.fixture
def full(request: pytest.FixtureRequest) -> None:
    """For tests of the whole suite alone."""
    if not request.config.getoption("--full", default=False):
        pytest.skip("part of the whole suite: scripts/test_faults")


@pytest.fixture(scope="session")
def studio(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """small.dubshot, footage and all, and small.dubactor: random weights, or with --adapted learnt from the shot."""
    studio = tmp_path_factory.mktemp("studio")
    head = load_head()
    shot = write_small_shot(studio, head)
    if request.config.getoption("--adapted", default=False):
        _adapt(shot, studio / "small.dubactor")
    else:
        write_random_actor(studio / "small.dubactor", head)
    return studio


def _adapt(shot: Shot, folder: Path) -> None:
    from dubplate_backend.renderers.neural_texture.prior import shipped_prior
    from dubplate_backend.renderers.presets import DRAFT
    from dubplate_backend.training.adapt import adapt
    from dubplate_backend.training.settings import settings_from_prior

    adapt(
        [shot], folder, head=load_head(), preset=DRAFT, iterations=ADAPTED_ITERATIONS, prior=shipped_prior(DRAFT),
        settings=settings_from_prior(), consent={"status": "granted"},
    )  # fmt: skip


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with Nursery(tmp_path_factory.mktemp("backends")) as nursery:
        yield nursery
