# SPDX-License-Identifier: Apache-2.0
"""What the tests need that only the backend can make: `python write_assets.py FOLDER`, with the backend's Python.

small.dubshot with its plate and voice; untaught.dubactor, whose weights are as they were before any learning;
standin.npz, the rig of an invented person, and flame.npz, of a head of FLAME's files and counts whose joints move with
expression; day.mp4, fifty frames that grow brighter.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "head"))

from flame_files import dumps_python2
from synthetic_flame import synthetic_flame

from dubplate_backend.head.flame import load_flame
from dubplate_backend.head.load import load_head, load_standin
from dubplate_backend.head.model import HeadModel
from dubplate_backend.plates.movie import write_movie
from dubplate_backend.renderers.neural_texture.generator import Generator
from dubplate_backend.renderers.neural_texture.weights import save_weights
from dubplate_backend.renderers.presets import DRAFT
from dubplate_shared.actor import ActorInfo
from dubplate_shared.shot import HeadIdentity, Rate
from small_shot import write_small_shot


def write_assets(folder: Path) -> None:
    head = load_head()
    shot = write_small_shot(folder, head)
    head.rig(torch.from_numpy(shot.track.shape)).save(shot.path / "head.npz")
    head.rig(torch.linspace(-1, 1, 300)).save(folder / "standin.npz")
    write_flame_rig(folder)
    write_untaught_actor(folder / "untaught.dubactor", head)
    frames = [np.full((360, 640, 3), 4 * index, np.uint8) for index in range(50)]
    write_movie(folder / "day.mp4", frames, Rate(25), speed="ultrafast")


def write_flame_rig(folder: Path) -> None:
    standin, model = load_standin(), folder / "flame2020"
    model.mkdir()
    (model / "generic_model.pkl").write_bytes(dumps_python2(synthetic_flame(standin).arrays))
    load_flame(model, standin, folder / "cache").rig(torch.zeros(300)).save(folder / "flame.npz")


def write_untaught_actor(actor: Path, head: HeadModel) -> None:
    actor.mkdir()
    torch.manual_seed(1)
    texels = torch.randn(DRAFT.texture_channels, DRAFT.texture_size, DRAFT.texture_size)
    save_weights(actor, texels, Generator(DRAFT))
    ActorInfo(actor.stem, "neural_texture", DRAFT.name, HeadIdentity(head.kind, head.sha256)).save(actor)


if __name__ == "__main__":
    write_assets(Path(sys.argv[1]))
