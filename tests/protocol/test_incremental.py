# SPDX-License-Identifier: Apache-2.0
"""An edit draws the frames that it touches and no other, without one nothing is drawn, and work of two is done once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_backend import Backend, running

from dubplate_backend.renderers.neural_texture.renderer import NeuralTextureRenderer
from dubplate_backend.server.models import Models
from dubplate_shared.messages import JobFrame, JobInfo
from dubplate_shared.shot import Shot

FRAMES = "1001-1020"
NO_FACE = 1012
WORK = {
    "shot": "small.dubshot", "actor": "small.dubactor", "frames": FRAMES, "take": "edit",
    "settings": {"background_test": False},
}  # fmt: skip


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory, models: Models, studio: Path) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("incremental"), models, studio) as backend:
        yield backend


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every frame that the network draws from now on."""
    frames: list[int] = []
    draw = NeuralTextureRenderer.drawn

    def counted(self: NeuralTextureRenderer, batch: object) -> list:
        found = draw(self, batch)
        frames.extend(frame.frame for frame in found)
        return found

    monkeypatch.setattr(NeuralTextureRenderer, "drawn", counted)
    return frames


@pytest.fixture(scope="module")
def curves(studio: Path) -> dict[str, np.ndarray]:
    shot = Shot.load(studio / "small.dubshot")
    return {"expression": shot.track.expression, "jaw": shot.track.jaw}


def render(backend: Backend, output: str, curves: dict[str, np.ndarray], told: list[object] | None = None) -> JobInfo:
    with backend.connect() as client:
        job = client.submit(**WORK, **curves, output=output)
        return client.wait(job, None if told is None else told.append, timeout=120)


def files(backend: Backend, output: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (backend.output / output / "v001").iterdir()}


def test_one_key_draws_the_frames_of_its_influence_and_the_whole_is_as_if_all_were_drawn(backend, curves, drawn):
    render(backend, "a", curves)
    every = sorted(drawn)
    assert every == [frame for frame in range(1001, 1021) if frame != NO_FACE]
    before = files(backend, "a")
    drawn.clear()
    render(backend, "a", curves)
    assert drawn == [] and files(backend, "a") == before, "plates, pictures and manifest stay as they are"

    jaw = curves["jaw"].copy()
    jaw[5, 0] += 0.1  # a key on 1006
    edited = {**curves, "jaw": jaw}
    told: list[object] = []
    render(backend, "a", edited, told)
    assert sorted(drawn) == [1004, 1005, 1006, 1007, 1008]
    kept = {event.frame: event.kept for event in told if isinstance(event, JobFrame)}
    assert len(kept) == 20 and [frame for frame in kept if not kept[frame]] == sorted(drawn)

    drawn.clear()
    (backend.server._assets.state_folder / "plates").rename(backend.output / "aside")  # nothing to take from
    render(backend, "b", edited)
    assert sorted(drawn) == every
    whole, parts = files(backend, "b"), files(backend, "a")
    plates = [name for name in whole if re.search(r"\.\d+\.exr$", name)]
    assert len(plates) == 20 and all(whole[name] == parts[name] for name in plates)


def test_the_same_work_of_two_clients_at_once_is_drawn_once(backend, curves, drawn):
    jaw = curves["jaw"] + np.float32([0.03, 0, 0])
    with backend.connect() as one, backend.connect() as other:
        jobs = [
            (client, client.submit(**WORK, expression=curves["expression"], jaw=jaw, output=output))
            for client, output in ((one, "one"), (other, "other"))
        ]
        for client, job in jobs:
            client.wait(job, timeout=120)
    assert sorted(drawn) == [frame for frame in range(1001, 1021) if frame != NO_FACE]
    found = [
        {name: data for name, data in files(backend, output).items() if name.endswith(".exr")}
        for output in ("one", "other")
    ]
    assert found[0] == found[1] and len(found[0]) == 20


def test_what_each_stage_took_is_told_of_a_job(backend, curves):
    info = render(backend, "a", curves)
    assert {"checking", "pictures"} <= info.stages.keys() and all(seconds >= 0 for seconds in info.stages.values())
    assert info.manifest == "a/v001/manifest.json"
