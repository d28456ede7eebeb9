# SPDX-License-Identifier: Apache-2.0
"""Runs in Blender: passes the stations one after the other, between the turns of its own loop, and quits."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import bpy

from window.hand import Hand
from window.stations import ALWAYS, STATIONS

STEP_S = 0.05  # between two turns of a station


def main(job: dict) -> None:
    bpy.context.preferences.view.show_splash = False
    bpy.app.timers.register(turns(job).__next__, first_interval=1.0, persistent=True)


def turns(job: dict) -> Iterator[float]:
    """Every turn says after how many seconds it wants the next."""
    only = [name for name in job["only"].split(",") if name]
    hand = Hand(Path(job["screenshots"]))
    results: list[dict] = []
    for station in STATIONS:
        if not only or station.__name__ in only or station in ALWAYS:
            yield from passed(station, hand, job, results)
            Path(job["result"]).write_text(json.dumps(results), encoding="utf-8")
            if results[-1]["error"]:
                yield from hand.picture("failed")
                break
    bpy.ops.wm.quit_blender()
    yield 1.0


def passed(station: Callable[..., Iterator[float]], hand: Hand, job: dict, results: list[dict]) -> Iterator[float]:
    """Pass one station, and note what came of it."""
    start_s, error = time.monotonic(), ""
    measured: dict[str, object] = {}
    try:
        for wait_s in station(hand, job, measured):
            yield wait_s or STEP_S
    except Exception:
        error = traceback.format_exc()
    seconds = time.monotonic() - start_s
    results.append({"name": station.__name__, "seconds": seconds, "measured": measured, "error": error})


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[sys.argv.index("--") + 1]).read_text(encoding="utf-8")))
