# SPDX-License-Identifier: Apache-2.0
"""A hand on Blender's window: mouse and keys by xdotool, pictures of the screen, and areas to act in."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import bpy
from bpy_extras.view3d_utils import location_3d_to_region_2d

PATCH_PX = 2
SETTLE_S = 0.4  # in which Blender draws what was done; GL is the processor's


class Hand:
    """pictures: the folder for what `picture` takes."""

    def __init__(self, pictures: Path) -> None:
        self._pictures = pictures

    @property
    def window(self) -> bpy.types.Window:
        return bpy.context.window_manager.windows[0]

    def area(self, kind: str) -> bpy.types.Area:
        """The largest area that shows `kind`."""
        areas = [area for area in self.window.screen.areas if area.type == kind]
        return max(areas, key=lambda area: area.width * area.height)

    def region(self, kind: str = "VIEW_3D", part: str = "WINDOW") -> bpy.types.Region:
        return next(region for region in self.area(kind).regions if region.type == part)

    def at(self, kind: str = "VIEW_3D") -> AbstractContextManager:
        """What operators see when the mouse is over that area."""
        area = self.area(kind)
        return bpy.context.temp_override(window=self.window, area=area, region=self.region(kind))

    def until(self, done: Callable[[], bool], seconds: float, what: str) -> Iterator[float]:
        """Turns of Blender's loop until `done`. Raises AssertionError."""
        deadline_s = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline_s, f"{what}: not within {seconds:g} s"
            yield 0.02

    def picture(self, name: str) -> Iterator[float]:
        """NAME.png of the whole screen, once it is drawn."""
        yield SETTLE_S
        subprocess.run(["import", "-window", "root", str(self._pictures / f"{name}.png")], check=True)

    def colour(self, x: int, y: int) -> list[float]:
        """Of a few pixels of the screen, y down: red, green and blue, 0 to 1."""
        patch = f"{2 * PATCH_PX}x{2 * PATCH_PX}+{x - PATCH_PX}+{y - PATCH_PX}"
        taken = ["import", "-window", "root", "-crop", patch, "-depth", "8", "rgb:-"]
        data = subprocess.run(taken, check=True, capture_output=True).stdout
        return [sum(data[channel::3]) / (len(data) / 3) / 255 for channel in range(3)]

    def on_screen(self, point: tuple[float, float], kind: str = "VIEW_3D") -> tuple[int, int]:
        """Pixels of the screen, y down, of a point of a region, y up."""
        region = self.region(kind)
        return round(region.x + point[0]), round(self.window.height - region.y - point[1])

    def seen_at(self, world: tuple[float, float, float]) -> tuple[int, int]:
        """Where on the screen the 3D view shows a point."""
        space = self.area("VIEW_3D").spaces.active
        found = location_3d_to_region_2d(self.region(), space.region_3d, world)
        assert found is not None, "the point is behind the camera"
        return self.on_screen((found.x, found.y))

    def move(self, x: int, y: int) -> Iterator[float]:
        xdotool("mousemove", str(x), str(y))
        yield 0.1

    def press_button(self, at: tuple[int, int]) -> Iterator[float]:
        yield from self.move(*at)
        xdotool("mousedown", "1")
        yield 0.2

    def pull(self, start: tuple[int, int], end: tuple[int, int], steps: int = 8) -> Iterator[float]:
        """Move as a hand does, in between too."""
        for step in range(1, steps + 1):
            yield from self.move(*(round(a + (b - a) * step / steps) for a, b in zip(start, end, strict=True)))
        yield SETTLE_S

    def let_go(self) -> Iterator[float]:
        xdotool("mouseup", "1")
        yield SETTLE_S

    def scroll_sidebar(self, notches: int) -> Iterator[float]:
        """Turn the wheel over the 3D view's sidebar; downwards where above 0."""
        region = self.region(part="UI")
        yield from self.move(region.x + region.width // 3, self.window.height - region.y - region.height // 2)
        for _ in range(abs(notches)):
            xdotool("click", "5" if notches > 0 else "4")
            yield 0.05

    def press(self, keys: str, over: str = "VIEW_3D") -> Iterator[float]:
        """A key, such as ctrl+z, with the mouse over an area."""
        region = self.region(over)
        yield from self.move(*self.on_screen((region.width // 2, region.height // 2), over))
        xdotool("key", keys)
        yield SETTLE_S


def xdotool(*arguments: str) -> None:
    subprocess.run(["xdotool", *arguments], check=True)
