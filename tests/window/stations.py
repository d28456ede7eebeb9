# SPDX-License-Identifier: Apache-2.0
"""What an artist does from import to plates. Each station is turns of Blender's loop: it yields seconds to wait."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import bpy

from window.hand import Hand
from window.stopwatch import Stopwatch, redraw_ms

PACKAGE = "bl_ext.user_default.dubplate"
JAW = 'pose.bones["jaw"].rotation_euler'
CONNECT_S = 400.0  # a busy machine reads torch from a cold disk
RENDER_S = 600.0
IMPORT_S = 5.0
UNDO = True  # an operator's second argument: push undo, as a button of Blender's does
LOWER_LIP = 17  # MediaPipe's number of the lower lip's middle
PULL_PX = 25
PREVIEW_S = 240.0
MOST_OFF = 0.04  # of a colour on the screen, 0 to 1


def add_on(name: str) -> ModuleType:
    """A module of the installed add-on."""
    return sys.modules[f"{PACKAGE}.{name}"]


def head() -> bpy.types.Object:
    return next(thing for thing in bpy.context.scene.objects if thing.name.startswith("HEAD_"))


def jaw(frame: int) -> float:
    """The opening in radians that the jaw's curve has, or the bone where it has none."""
    bpy.context.scene.frame_set(frame)
    posed = head().evaluated_get(bpy.context.evaluated_depsgraph_get())
    return float(posed.pose.bones["jaw"].rotation_euler[0])


def install(hand: Hand, job: dict, measured: dict) -> Iterator[float]:
    """The zip was installed by Blender's own command; its panel is there."""
    assert PACKAGE in bpy.context.preferences.addons, "the extension is not enabled"
    bpy.context.preferences.addons[PACKAGE].preferences.python = job["python"]
    measured["Blender"] = bpy.app.version_string
    for thing in list(bpy.data.objects):
        bpy.data.objects.remove(thing)
    view = hand.area("VIEW_3D")
    view.spaces.active.show_region_ui = True
    yield 0.5
    hand.region(part="UI").active_panel_category = "Dubplate"
    yield from hand.picture("installed")


def import_shot(hand: Hand, job: dict, measured: dict) -> Iterator[float]:
    start_s = time.process_time()  # other programs' work is not the import's
    with hand.at():
        assert bpy.ops.dubplate.import_shot("EXEC_DEFAULT", UNDO, filepath=job["shot"]) == {"FINISHED"}
    seconds, scene = time.process_time() - start_s, bpy.context.scene
    measured["import"] = f"{scene.frame_end - scene.frame_start + 1} frames in {seconds:.2f} s of the processor"
    assert seconds < IMPORT_S
    with hand.at():
        scene.dubplate.actor, scene.dubplate.output = job["actor"], job["output"]
        bpy.ops.ed.undo_push(message="Choose actor and output")
    yield from hand.picture("imported")


def connect(hand: Hand, job: dict, measured: dict) -> Iterator[float]:
    """The add-on starts its backend with the Python of the preferences."""
    monitor = add_on("monitor")
    start_s = time.monotonic()
    with hand.at():
        assert bpy.ops.dubplate.connect() == {"FINISHED"}
    yield from hand.until(lambda: monitor.session().hello is not None, CONNECT_S, "the backend answers")
    measured["connect"] = f"{time.monotonic() - start_s:.1f} s, {monitor.session().hello.device}"
    yield from hand.picture("connected")


def key(hand: Hand, job: dict, measured: dict) -> Iterator[float]:
    """Open the jaw further on a frame, and key it."""
    frame = bpy.context.scene.frame_start + 10
    before = jaw(frame)
    with hand.at():
        bone = head().pose.bones["jaw"]
        bone.rotation_euler[0] = before + 0.2
        bone.keyframe_insert("rotation_euler", frame=frame)
        bpy.ops.ed.undo_push(message="Key the jaw")
    assert abs(jaw(frame) - before - 0.2) < 1e-5
    measured["jaw"] = f"{before:.3f} to {before + 0.2:.3f} rad"
    yield from hand.picture("keyed")
    yield from hand.press("ctrl+z")
    yield from hand.until(lambda: abs(jaw(frame) - before) < 1e-6, 5.0, "Ctrl Z takes the key back")


def preview(hand: Hand, job: dict, measured: dict) -> Iterator[float]:
    """The camera view shows the face as the backend draws it, and another one once the jaw is keyed."""
    scene, settings = bpy.context.scene, bpy.context.window_manager.dubplate_preview
    frame = scene.frame_start + 10
    scene.frame_set(frame)
    settings.mode = "DUBBED"
    yield from hand.until(lambda: drawn(frame), PREVIEW_S, "the first preview")
    yield from hand.until(lambda: finished(frame), PREVIEW_S, "the preview is finished")
    yield from hand.picture("preview")
    measured["colours on the screen"] = f"off by {colours_off(hand):.3f} at most"
    before = picture()
    watch = Stopwatch(PACKAGE)
    start_s = time.monotonic()
    with hand.at():
        bone = head().pose.bones["jaw"]
        bone.rotation_euler[0] += 0.15
        bone.keyframe_insert("rotation_euler", frame=frame)
        bpy.ops.ed.undo_push(message="Key the jaw")
    yield from hand.until(lambda: drawn(frame), PREVIEW_S, "the preview of the key")
    measured["from key to picture"] = f"{time.monotonic() - start_s:.2f} s, {live().seconds:.2f} s of it drawing"
    yield from hand.until(lambda: finished(frame), PREVIEW_S, "that preview is finished")
    changed = abs(picture() - before).max()
    assert changed > 0.1, f"the preview does not show the key: it changed by {changed:.3f}"
    yield from hand.picture("preview_of_the_key")
    for mode in ("WIPE", "SIDE", "DIFFERENCE"):
        settings.mode = mode
        scene.frame_set(frame)
        yield from hand.until(lambda: finished(frame), PREVIEW_S, mode)
        yield from hand.picture(f"preview_{mode.lower()}")
    settings.mode = "DUBBED"
    yield from scrub(measured)
    measured.update(watch.told())
    measured["redraw of the window"] = f"{redraw_ms(hand.window):.0f} ms by the wall's clock"
    assert not watch.slow(), watch.slow()
    settings.mode = "OFF"
    yield from hand.press("ctrl+z")


def colours_off(hand: Hand) -> float:
    """How far the screen is from the preview's colours, at four places near the corners of its picture."""
    (placed,) = add_on("preview.lives").placed(bpy.context, bpy.context.scene.frame_current)
    height, width = placed.rgba.shape[:2]
    (left, top), _, (right, bottom), _ = placed.corners
    with hand.at():
        matrix = add_on("preview.overlay").scene_to_region(bpy.context)
    worst = 0.0
    for across, down in ((0.08, 0.3), (0.92, 0.3), (0.08, 0.6), (0.92, 0.6)):
        wanted = placed.rgba[round(down * height), round(across * width), :3]
        seen = matrix @ (left + across * (right - left), top + down * (bottom - top), 1.0)
        found = hand.colour(*hand.on_screen((seen[0], seen[1])))
        worst = max(worst, float(abs(wanted - found).max()))
    assert worst < MOST_OFF, f"the screen shows other colours than the preview has: {worst:.2f} off"
    return worst


def scrub(measured: dict) -> Iterator[float]:
    """A hundred frames, five at each turn of Blender's: never more than one picture is drawn and one waits."""
    scene, most = bpy.context.scene, 0
    for step in range(100):
        scene.frame_set(scene.frame_start + step % (scene.frame_end - scene.frame_start + 1))
        most = max(most, live().outstanding)
        if step % 5 == 4:
            yield 0.01
    measured["scrubbed 100 frames"] = f"{most} pictures under way at most"
    assert most <= 2, most


def live() -> object:
    """The head's preview."""
    return add_on("preview.lives").live_of(bpy.context)


def pictures_now(frame: int) -> object:
    return live().cache.get(frame, live().rows.digest(frame))


def drawn(frame: int) -> bool:
    found = pictures_now(frame)
    assert found is None or not found.error, found.error
    return found is not None and found.best is not None


def finished(frame: int) -> bool:
    return drawn(frame) and pictures_now(frame).finished


def picture() -> object:
    """What lies over the camera view: float32 [h, w, 4]."""
    (placed,) = add_on("preview.lives").placed(bpy.context, bpy.context.scene.frame_current)
    return placed.rgba


def drag_lips(hand: Hand, job: dict, measured: dict) -> Iterator[float]:
    """With the tool from the panel the mouse pulls the lower lip down; controls are solved and keyed; Ctrl Z."""
    frame = bpy.context.scene.frame_start + 10
    before = lip(frame)
    with hand.at():
        bpy.ops.wm.tool_set_by_id(name="dubplate.drag_lips_object")
    yield 0.5
    start = hand.seen_at(before)
    yield from hand.press_button(start)
    yield from hand.pull(start, (start[0], start[1] + PULL_PX))
    yield from hand.picture("dragging")
    yield from hand.let_go()
    after = lip(frame)
    arrived = hand.seen_at(after)
    measured["pulled"] = f"{PULL_PX} px, arrived {arrived[1] - start[1]} px lower"
    assert abs(arrived[1] - start[1] - PULL_PX) <= 3, (start, arrived)
    bpy.context.scene.frame_set(frame + 1)
    assert close(lip(frame), after), "the drag is not keyed"
    yield from hand.picture("dragged")
    yield from hand.press("ctrl+z")
    yield from hand.until(lambda: close(lip(frame), before), 10.0, "Ctrl Z takes it back")
    with hand.at():
        bpy.ops.wm.tool_set_by_id(name="builtin.select_box")


def lip(frame: int) -> tuple[float, float, float]:
    """Where the middle of the lower lip is in the scene."""
    landmarks = sys.modules["dubplate_shared.landmarks"]
    bpy.context.scene.frame_set(frame)
    positions = add_on("controls.drag").LipDrag(head(), frame).world_positions()
    return tuple(map(float, positions[landmarks.LIPS.index(LOWER_LIP)]))


def close(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Within a micrometre."""
    return all(abs(a - b) < 1e-6 for a, b in zip(one, other, strict=True))


def layers(hand: Hand, job: dict, measured: dict) -> Iterator[float]:
    """Another take goes beneath the offsets, a stretch of what was filmed over it, and two undos take all back."""
    scene = bpy.context.scene
    frames = range(scene.frame_start, scene.frame_end + 1, 7)
    with hand.at():
        bone = head().pose.bones["jaw"]
        bone.rotation_euler[0] += 0.1
        bone.keyframe_insert("rotation_euler", frame=scene.frame_start + 10)
        bpy.ops.ed.undo_push(message="Key the jaw")
    before = [jaw(frame) for frame in frames]
    middle = (scene.frame_start + scene.frame_end) // 2
    with hand.at():
        assert bpy.ops.dubplate.load_take("EXEC_DEFAULT", UNDO, take=job["take"]) == {"FINISHED"}
        done = bpy.ops.dubplate.patch_range("EXEC_DEFAULT", UNDO, take="tracked", first=middle, last=middle + 5)
        assert done == {"FINISHED"}
    assert [jaw(frame) for frame in frames] != before
    yield from hand.scroll_sidebar(8)
    yield from hand.picture("layers")
    yield from hand.scroll_sidebar(-8)
    for _ in range(2):
        yield from hand.press("ctrl+z")
    yield from hand.until(lambda: [jaw(frame) for frame in frames] == before, 10.0, "Ctrl Z takes the layers back")


def render(hand: Hand, job: dict, measured: dict) -> Iterator[float]:
    """Five frames become plates while the window stays free."""
    monitor, settings = add_on("monitor"), bpy.context.scene.dubplate
    first = bpy.context.scene.frame_start
    settings.frames, settings.version = f"{first}-{first + 4}", 1
    start_s = time.monotonic()
    with hand.at():
        assert bpy.ops.dubplate.render_range() == {"FINISHED"}
    yield from hand.until(lambda: monitor.status().progress > 0.3, RENDER_S, "the render goes on")
    yield from hand.picture("rendering")
    yield from hand.until(lambda: not monitor.is_rendering(), RENDER_S, "the render ends")
    assert monitor.status().stage == "Finished", monitor.status().error
    assert len(plates(job, 1)) == 5
    measured["five frames"] = f"{time.monotonic() - start_s:.1f} s"
    yield from hand.picture("rendered")


def cancel(hand: Hand, job: dict, measured: dict) -> Iterator[float]:
    """A long render stops where it is told to, and what is written stays."""
    monitor, settings = add_on("monitor"), bpy.context.scene.dubplate
    settings.frames, settings.version = "", 2
    with hand.at():
        assert bpy.ops.dubplate.render_range() == {"FINISHED"}
    yield from hand.until(lambda: bool(plates(job, 2)), RENDER_S, "the first plate")
    start_s = time.monotonic()
    with hand.at():
        assert bpy.ops.dubplate.cancel() == {"FINISHED"}
    yield from hand.until(lambda: not monitor.is_rendering(), 30.0, "the render stops")
    measured["cancelled"] = f"after {time.monotonic() - start_s:.2f} s, {len(plates(job, 2))} plates are kept"
    assert monitor.status().stage == "Cancelled"
    yield from hand.picture("cancelled")


def kill(hand: Hand, job: dict, measured: dict) -> Iterator[float]:
    """A backend that is killed in the middle of a render is started again, and the render ends."""
    monitor, settings = add_on("monitor"), bpy.context.scene.dubplate
    first = bpy.context.scene.frame_start
    settings.frames, settings.version = f"{first}-{first + 9}", 3
    with hand.at():
        assert bpy.ops.dubplate.render_range() == {"FINISHED"}
    yield from hand.until(lambda: bool(plates(job, 3)), RENDER_S, "the first plate")
    start_s = time.monotonic()
    os.kill(monitor.session()._backend.process.pid, signal.SIGKILL)
    yield from hand.until(lambda: monitor.session().hello is None, 10.0, "the loss is noticed")
    measured["noticed"] = f"{time.monotonic() - start_s:.2f} s"
    yield from hand.picture("lost")
    yield from hand.until(lambda: not monitor.is_rendering(), RENDER_S, "the render goes on and ends")
    measured["over"] = f"{time.monotonic() - start_s:.1f} s after the kill"
    assert len(plates(job, 3)) == 10, monitor.status().error
    yield from hand.picture("went_on")


def plates(job: dict, version: int) -> list[Path]:
    """Those that stand; a killed backend leaves a hidden one, half written."""
    return sorted((Path(job["output"]) / f"v{version:03d}").glob("demo_dub_*.exr"))


STATIONS = (install, import_shot, connect, key, drag_lips, preview, layers, render, cancel, kill)
ALWAYS = (install, import_shot, connect)
