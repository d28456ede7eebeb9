# SPDX-License-Identifier: Apache-2.0
"""A small shot, and an actor of the draft size whose weights are as they are before training: a real renderer, and
quick.  What it draws is no face, which is all the same to compositing, hashes and files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from dubplate_backend.head.load import load_head
from dubplate_backend.head.model import HeadModel
from dubplate_backend.renderers.neural_texture.generator import Generator
from dubplate_backend.renderers.neural_texture.weights import save_weights
from dubplate_backend.renderers.presets import DRAFT
from dubplate_backend.rendering import RenderReport, render_shot
from dubplate_shared.actor import ActorInfo
from dubplate_shared.files import atomic_folder
from dubplate_shared.shot import HeadIdentity, Shot
from small_shot import write_small_shot

FRAMES = (1010, 1011, 1012, 1013)  # 1012 shows no face
NO_FACE_FRAME = 1012


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="session")
def shot(head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Shot:
    return write_small_shot(tmp_path_factory.mktemp("shot"), head)


@pytest.fixture(scope="session")
def actor(head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_actor(tmp_path_factory.mktemp("actor") / "small.dubactor", HeadIdentity(head.kind, head.sha256))


def write_actor(folder: Path, head: HeadIdentity) -> Path:
    """An actor package of the draft size, its weights from a fixed seed."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        texels = torch.rand(DRAFT.texture_channels, DRAFT.texture_size, DRAFT.texture_size) - 0.5
        generator = Generator(DRAFT)
    with atomic_folder(folder) as temporary:
        save_weights(temporary, texels, generator)
        ActorInfo(name="small", renderer="neural_texture", preset="draft", head=head).save(temporary)
    return folder


@pytest.fixture(scope="session")
def rendered(shot: Shot, actor: Path, head: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> RenderReport:
    """FRAMES of what was filmed, with preview and sheet. To be read only."""
    out = tmp_path_factory.mktemp("out")
    return render_shot(
        shot=shot,
        take=shot.take("tracked"),
        actor_path=actor,
        head=head,
        frames=FRAMES,
        out=out,
        settings={"sheet": True},
    )


@pytest.fixture
def copied(rendered: RenderReport, tmp_path: Path) -> Iterator[Path]:
    """An output folder with the same plates, to be changed."""
    target = tmp_path / "v001"
    target.mkdir()
    for file in rendered.folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    yield tmp_path
