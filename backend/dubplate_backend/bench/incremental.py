# SPDX-License-Identifier: Apache-2.0
"""A shot of 250 frames rendered by a running backend, rendered again, and again after one key: what is drawn each time.

What was drawn is counted on the disk: a plate that a render replaced is another file.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from dubplate_backend.bench.figure import Figure
from dubplate_backend.bench.stage import Stage
from dubplate_backend.plates.store import STATE_FOLDER
from dubplate_backend.renderers.presets import DRAFT
from dubplate_backend.server.asking import Asking
from dubplate_backend.server.child import served
from dubplate_backend.synthetic.shot import make_synthetic_shot
from dubplate_shared.errors import DubplateError
from dubplate_shared.frames import format_frames
from dubplate_shared.messages import JobInfo, JobShow, JobState, JobSubmit
from dubplate_shared.shot import Shot

SECONDS, QUICK_SECONDS = 10.0, 2.0
SIZE = 256
KEYED = 100  # the frame, from the first, whose jaw gets a key
KEY_RAD = 0.1
AGAIN_S = 1.0  # goal of a render of nothing new
LOOK_S = 0.02


def incremental(stage: Stage) -> Iterator[Figure]:
    """Seconds and drawn frames of each render. Raises DubplateError where one fails."""
    shot = make_synthetic_shot(
        stage.folder / "whole.dubshot", seconds=QUICK_SECONDS if stage.quick else SECONDS, size=SIZE, seed=1,
        head=stage.head,
    )  # fmt: skip
    curves = {"expression": shot.track.expression, "jaw": shot.track.jaw}
    jaw = shot.track.jaw.copy()
    keyed = min(KEYED, len(jaw) // 2)
    jaw[keyed, 0] += KEY_RAD
    edited = {**curves, "jaw": jaw}
    plates, actor = stage.folder / "plates", stage.untaught(DRAFT).name
    with _backend(stage, plates, "first") as asking:
        whole_s, drawn = _render(asking, shot, actor, plates / "a", curves)
        yield Figure("incremental.whole", whole_s, "s")
        yield Figure("incremental.whole.drawn", len(drawn), "frames", len(drawn) / len(shot.track), "of the shot")
        again_s, drawn = _render(asking, shot, actor, plates / "a", curves)
        yield Figure("incremental.again", again_s, "s", again_s / AGAIN_S, f"of the goal, {AGAIN_S:g} s")
        yield Figure("incremental.again.drawn", len(drawn), "frames (goal: 0)")
        key_s, drawn = _render(asking, shot, actor, plates / "a", edited)
        yield Figure("incremental.key", key_s, "s", key_s / whole_s, "of the whole")
        reach = max(abs(frame - shot.info.first_frame - keyed) for frame in drawn)
        yield Figure("incremental.key.drawn", len(drawn), "frames", reach, "frames away from the key at most")
    (plates / STATE_FOLDER).rename(stage.folder / "aside")  # nothing to take from
    with _backend(stage, plates, "second") as asking:
        _render(asking, shot, actor, plates / "b", edited)
    one, other = (_plates(plates / output) for output in ("a", "b"))
    same = [name for name in one if one[name].read_bytes() == other[name].read_bytes()]
    yield Figure("incremental.key.same", len(same), "plates", len(same) / len(shot.track), "of the shot, drawn whole")


def _render(
    asking: Asking, shot: Shot, actor: str, out: Path, curves: Mapping[str, np.ndarray]
) -> tuple[float, list[int]]:
    """How long it took, and the frames whose plates are new."""
    before = {name: _identity(path) for name, path in _plates(out).items()}
    start = time.perf_counter()
    job = asking.ask(
        JobSubmit(
            key=str(uuid.uuid4()), shot=shot.path.name, actor=actor, output=out.name, take="edit",
            frames=format_frames(shot.frames), settings={"preview": False}, **curves,
        ),
        JobInfo,
    ).job  # fmt: skip
    while not JobState((info := asking.ask(JobShow(job), JobInfo)).state).final:
        time.sleep(LOOK_S)
    took_s = time.perf_counter() - start
    if info.state != JobState.FINISHED:
        raise DubplateError(f"The render ended as {info.state}: {info.error}.", hint="See the backend's log.")
    after = _plates(out)
    return took_s, sorted(
        int(name.split(".")[-2]) for name, path in after.items() if _identity(path) != before.get(name)
    )


def _plates(out: Path) -> dict[str, Path]:
    return {path.name: path for path in out.rglob("*.exr")}


def _identity(path: Path) -> tuple[int, int]:
    told = os.stat(path)
    return told.st_ino, told.st_mtime_ns


@contextmanager
def _backend(stage: Stage, plates: Path, name: str) -> Iterator[Asking]:
    connection, log = (stage.folder / f"{name}.{kind}" for kind in ("json", "log"))
    with served(stage.folder, plates, connection=connection, log=log), Asking(connection) as asking:
        yield asking
