#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artist's side of `scripts/bench preview`, in Blender: import, first preview with and without what the backend
loads ahead, edits, scrubbing; times as JSON.

Called with one JSON argument: shot, long_shot, actor, python, out, edits.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import bpy
import numpy as np

import blender_addon
from blender_addon import monitor
from blender_addon.connection.backend_process import start_backend
from blender_addon.curves import channels
from blender_addon.layers.offsets import add_offsets
from blender_addon.preview import director, lives
from blender_addon.preview.cache import Cache, FramePictures
from blender_addon.preview.compare import Mode, arrange
from blender_addon.preview.live import Live
from blender_addon.scene.import_shot import import_shot
from blender_addon.scene.shot_link import find_head
from dubplate_shared.messages import Picture, Stage
from dubplate_shared.tiles import Pixels

TIMEOUT_S = 60.0
READY = "ready for previews"  # in the backend's log
SCRUBBED = 100
CROP = 512
ROUNDS = 20


def main(work: dict) -> dict:
    """Everything that is measured, by name; seconds: of the processor where our own callbacks are meant."""
    found: dict[str, object] = {"blender": bpy.app.version_string}
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    blender_addon.register()
    found["import_s"] = seconds(lambda: import_shot(work["long_shot"]))
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    import_shot(work["shot"])
    settings = bpy.context.scene.dubplate
    settings.actor, settings.output = work["actor"], work["out"]
    try:
        with backend(work) as log_file:
            until(monitor._tick, lambda: READY in log_file.read_text())
            found |= previews(work["edits"])
        with backend(work):
            found["first_cold_s"] = first_preview(monitor._tick)
    finally:
        blender_addon.unregister()
    return found | looks()


@contextmanager
def backend(work: dict) -> Iterator[Path]:
    """One that has loaded nothing yet, connected; its log."""
    process = start_backend(work["python"], roots=[Path(work["shot"]).parent], output_root=work["out"])
    try:
        bpy.context.scene.dubplate.connection = str(process.connection_file)
        monitor.connect(bpy.context)
        yield process.log_file
    finally:
        look("OFF")
        monitor.close_session()
        process.stop()


def first_preview(tick: Callable) -> float:
    """Seconds from switching it on to its pixels."""
    return seconds(lambda: (look("DUBBED"), until(tick, drawn)))


def previews(edits: int) -> dict[str, object]:
    """First picture, edits, scrubbing."""
    handlers = Stopwatch()
    director._HANDLERS = tuple((kind, handlers.timed(handler)) for kind, handler in director._HANDLERS)
    ticks = Stopwatch()
    tick = ticks.timed(monitor._tick)
    first_s = first_preview(tick)
    live = current()
    until(tick, lambda: not live.rows.pending)
    latencies, spent = [], []
    for index in range(edits):
        start_s = time.perf_counter()
        edit(0.01 * (index + 1))
        until(tick, drawn)
        latencies.append(time.perf_counter() - start_s)
        spent.append(live.seconds)
    crops = Crops()
    monitor.listen(crops)
    scene = bpy.context.scene
    first, count = live.rows.frames[0], len(live.rows.frames)
    live.cache.clear()
    for step in range(SCRUBBED):
        scene.frame_set(first + step % count)
        tick()
    at_the_end = crops.count
    until(tick, drawn)
    monitor.unlisten(crops)
    return {
        "first_s": first_s,
        "edit_s": latencies,
        "drawing_s": spent,
        "handler_s": handlers.seconds,
        "tick_s": ticks.seconds,
        "scrubbed_queue": crops.count - at_the_end - 1,
        "scrubbed_drawn": crops.count,
    }


def looks() -> dict[str, float]:
    """What a 512 px crop costs to keep and to turn into the picture to show, in each mode; medians."""
    rng = np.random.default_rng(1)
    matrix = (1 / CROP, 0.0, 0.0, 0.0, 1 / CROP, 0.0)
    crop = Pixels(Picture(1, 1, 1, Stage.CROP, "float16", (CROP, CROP, 4), matrix),
                  rng.random((CROP, CROP, 4)).astype(np.float16))  # fmt: skip
    filmed = Pixels(Picture(1, 1, 1, Stage.FILMED, "float16", (CROP, CROP, 3)),
                    rng.random((CROP, CROP, 3)).astype(np.float16))  # fmt: skip
    pictures = FramePictures(1, b"", {Stage.CROP: crop})
    cache = Cache(1 << 30)
    found = {"keep_s": median(lambda: cache.add(b"", crop))}
    for mode in (Mode.DUBBED, Mode.WIPE, Mode.SIDE, Mode.DIFFERENCE):
        found[f"look_{mode.lower()}_s"] = median(lambda mode=mode: arrange(mode, pictures, filmed))
    return found


class Stopwatch:
    """Counts what calls take of the processor: other programs' work is not theirs."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def timed(self, work: Callable) -> Callable:
        def measured(*arguments: object) -> object:
            start_s = time.thread_time()
            try:
                return work(*arguments)
            finally:
                self.seconds.append(time.thread_time() - start_s)

        return measured


class Crops:
    """Counts the face crops that come."""

    count = 0

    def take(self, event: object) -> None:
        self.count += isinstance(event, Pixels) and event.header.stage == Stage.CROP

    def look(self) -> float:
        return 1.0

    def lost(self) -> None:
        raise SystemExit("the backend was lost")


def look(mode: str) -> None:
    bpy.context.window_manager.dubplate_preview.mode = mode


def current() -> Live:
    live = lives.live_of(bpy.context)
    assert live is not None, monitor.status().error
    return live


def drawn() -> bool:
    live = current()
    return live.cache.get(live.frame, live.rows.digest(live.frame)) is not None


def edit(radians: float) -> None:
    """Key the jaw on the frame at hand, and let Blender evaluate it."""
    head, frame = find_head(bpy.context), bpy.context.scene.frame_current
    add_offsets(head, range(frame, frame + 1), {channels.JAW[0]: np.array([radians])})
    head.update_tag(refresh={"TIME"})
    bpy.context.view_layer.update()


def until(tick: Callable, done: Callable[[], bool]) -> None:
    """Do what Blender's timer does, at the intervals that it is told."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while not done():
        if time.monotonic() > deadline_s:
            raise SystemExit(f"nothing came in {TIMEOUT_S:g} s: {monitor.status().error}")
        wait_s = tick()
        if not done():
            time.sleep(min(wait_s or 0.0, 0.01))


def seconds(work: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    work()
    return time.perf_counter() - start_s


def median(work: Callable[[], object]) -> float:
    watch = Stopwatch()
    for _ in range(ROUNDS):
        watch.timed(work)()
    return float(np.median(watch.seconds))


if __name__ == "__main__":
    result = main(json.loads(sys.argv[1]))
    print(f"bench: {json.dumps(result)}", flush=True)
