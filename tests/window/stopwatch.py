# SPDX-License-Identifier: Apache-2.0
"""How long the add-on's callbacks keep Blender waiting. Watched from outside by sys.monitoring: nothing is wrapped."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from types import CodeType

import bpy

MOST_S = 0.016  # a frame of a screen that shows sixty a second
_TOOL = sys.monitoring.PROFILER_ID
# What Blender calls of the add-on by itself, besides its panels.
CALLBACKS = {
    "monitor": ("_tick",),
    "preview.director": ("_on_frame", "_on_update"),
    "preview.overlay": ("_draw",),
    "preview.strip": ("_draw",),
}


class Stopwatch:
    """seconds: of each callback, by name; of the processor, for other programs' work is not ours."""

    def __init__(self, package: str) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._names: dict[CodeType, str] = {}
        self._begun: dict[CodeType, float] = {}
        events = sys.monitoring.events
        sys.monitoring.use_tool_id(_TOOL, "dubplate")
        sys.monitoring.register_callback(_TOOL, events.PY_START, self._start)
        sys.monitoring.register_callback(_TOOL, events.PY_RETURN, self._end)
        for name, code in _callbacks(package):
            self._names[code] = name
            sys.monitoring.set_local_events(_TOOL, code, events.PY_START | events.PY_RETURN)

    def clear(self) -> None:
        """Count from now on."""
        self.seconds.clear()

    def slow(self) -> dict[str, float]:
        """The callbacks whose every twentieth call or more took too long, with the time of that one."""
        high = {name: sorted(times)[int(0.95 * (len(times) - 1))] for name, times in self.seconds.items()}
        return {name: seconds for name, seconds in high.items() if seconds > MOST_S}

    def told(self) -> dict[str, str]:
        """A line for each callback."""
        return {
            name: f"{1000 * sorted(times)[len(times) // 2]:.1f} ms at the median, {1000 * max(times):.1f} at most, "
            f"of {len(times)}"
            for name, times in sorted(self.seconds.items())
        }

    def _start(self, code: CodeType, _offset: int) -> None:
        self._begun[code] = time.thread_time()

    def _end(self, code: CodeType, _offset: int, _value: object) -> None:
        begun = self._begun.pop(code, None)
        if begun is not None:
            self.seconds[self._names[code]].append(time.thread_time() - begun)


def _callbacks(package: str) -> list[tuple[str, CodeType]]:
    found = []
    for module, names in CALLBACKS.items():
        loaded = sys.modules.get(f"{package}.{module}")
        found += [(f"{module}.{name}", getattr(loaded, name).__code__) for name in names if loaded is not None]
    for name in dir(bpy.types):
        panel = getattr(bpy.types, name)
        if name.startswith("DUBPLATE_PT_"):
            found.append((f"{name}.draw", panel.draw.__code__))
    return found


def redraw_ms(window: bpy.types.Window) -> float:
    """What Blender itself needs to draw the whole window once, by the wall's clock."""
    start_s = time.perf_counter()
    with bpy.context.temp_override(window=window):
        bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)
    return 1000 * (time.perf_counter() - start_s)
