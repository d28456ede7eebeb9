# SPDX-License-Identifier: Apache-2.0
"""The live preview in Blender, headless and over the loopback, with the draft renderer: each figure beside its goal.

Overhead is the wall's time from key to pixels without what the backend spent drawing; our own callbacks are counted by
the processor's time.

Blender runs as a child (scripts/bench_in_blender.py), for the backend never imports it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import torch

from dubplate_backend.bench.figure import Figure
from dubplate_backend.bench.stage import Stage
from dubplate_backend.renderers.presets import DRAFT
from dubplate_shared.errors import DubplateError
from dubplate_shared.shot import Shot, write_shot
from dubplate_shared.track import Track

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "bench_in_blender.py"
LONG = 1500  # frames
EDITS, QUICK_EDITS = 30, 8
OVERHEAD_MS, CALLBACK_MS, FIRST_S, IMPORT_S = 30.0, 16.0, 1.0, 5.0  # goals
TIMEOUT_S = 600.0


def preview(stage: Stage) -> Iterator[Figure]:
    """Latency from key to pixels, callbacks, the queue while scrubbing, first preview, import."""
    if find_spec("bpy") is None:
        print("preview: bpy is not installed (scripts/setup)", file=sys.stderr)
        return
    found = _in_blender(stage)
    overhead = [whole - drawing for whole, drawing in zip(found["edit_s"], found["drawing_s"], strict=True)]
    yield _goal("preview.edit.overhead.least", 1e3 * min(overhead), "ms", OVERHEAD_MS)
    yield _goal("preview.edit.overhead.median", 1e3 * median(overhead), "ms", OVERHEAD_MS)
    yield _goal("preview.edit.overhead.most", 1e3 * max(overhead), "ms", OVERHEAD_MS)
    yield Figure("preview.edit.drawing.median", 1e3 * median(found["drawing_s"]), "ms")
    yield _goal("preview.first", found["first_s"], "s", FIRST_S)
    cold_s = found["first_cold_s"]
    yield Figure("preview.first.unwarmed", cold_s, "s", cold_s / found["first_s"], "of the one with all loaded ahead")
    yield _goal("preview.import.1500", found["import_s"], "s", IMPORT_S)
    for name in ("handler", "tick"):
        yield _goal(f"preview.{name}.median", 1e3 * median(found[f"{name}_s"]), "ms", CALLBACK_MS)
        yield _goal(f"preview.{name}.most", 1e3 * max(found[f"{name}_s"]), "ms", CALLBACK_MS)
    for name in ("keep", "look_dubbed", "look_wipe", "look_side", "look_difference"):
        yield _goal(f"preview.crop512.{name}", 1e3 * found[f"{name}_s"], "ms", CALLBACK_MS)
    yield Figure("preview.scrub100.drawn", found["scrubbed_drawn"], "frames")
    yield _goal("preview.scrub100.queue", max(0, found["scrubbed_queue"]), "frames", 1.0)


def _goal(name: str, value: float, unit: str, goal: float) -> Figure:
    return Figure(name, value, unit, value / goal, f"of the goal, {goal:g} {unit}")


def _in_blender(stage: Stage) -> dict:
    work = {
        "shot": str(_with_rig(stage).path),
        "long_shot": str(_long(stage).path),
        "actor": str(stage.untaught(DRAFT)),
        "python": sys.executable,
        "out": str(stage.folder / "plates"),
        "edits": QUICK_EDITS if stage.quick else EDITS,
    }
    done = subprocess.run(
        [sys.executable, str(SCRIPT), json.dumps(work)], capture_output=True, text=True, timeout=TIMEOUT_S
    )
    told = [line.removeprefix("bench: ") for line in done.stdout.splitlines() if line.startswith("bench: ")]
    if not told:
        raise DubplateError(
            f"Blender measured nothing: {done.stderr[-2000:]}", hint="Is bpy installed (scripts/setup)?"
        )
    return json.loads(told[-1])


def _with_rig(stage: Stage) -> Shot:
    """The stage's shot with its head, as Blender wants it."""
    shot = stage.shot
    if shot.rig is None:
        stage.head.rig(torch.from_numpy(shot.track.shape)).save(shot.path / "head.npz")
    return Shot.load(shot.path)


def _long(stage: Stage) -> Shot:
    """The same performance again and again, LONG frames of it."""
    shot = _with_rig(stage)
    rows = np.arange(LONG) % len(shot.track)
    per_frame = {
        name: value[rows]
        for name, value in vars(shot.track).items()
        if isinstance(value, np.ndarray) and value.ndim and len(value) == len(shot.track)
    }
    numbers = {"frame": shot.info.first_frame + np.arange(LONG), "time": np.arange(LONG) / shot.info.rate.fps}
    track: Track = replace(shot.track, **{**per_frame, **numbers})
    info = replace(shot.info, frame_count=LONG, audio=())
    return write_shot(stage.folder / "long.dubshot", info, track, shot.crop[rows], shot.rig)
