# SPDX-License-Identifier: Apache-2.0
"""The live preview: real keys, a real backend, and the pixels that come of them; nothing waits for anything."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ticking import tick_until

from dubplate_shared.messages import Stage
from dubplate_shared.tiles import Pixels
from dubplate_shared.track import Track


@pytest.fixture
def live(bpy, scene):
    """The preview of the imported head, connected and drawn once."""
    from blender_addon.preview import lives

    bpy.context.window_manager.dubplate_preview.mode = "DUBBED"
    tick_until(lambda: crop_of(lives.live_of(bpy.context)) is not None)
    return lives.live_of(bpy.context)


def crop_of(live):
    """The face crop of the frame at hand, drawn from its curves of now; None while it is not there."""
    found = live.cache.get(live.frame, live.rows.digest(live.frame))
    return found.stages.get(Stage.CROP) if found else None


def settle(live) -> None:
    """Until nothing is on its way, nothing is unread and the frame is finished."""
    tick_until(lambda: not live.outstanding and not live.rows.pending and finished(live))


def finished(live) -> bool:
    found = live.cache.get(live.frame, live.rows.digest(live.frame))
    return found is not None and found.finished


def open_jaw(bpy, frame: int, radians: float) -> None:
    """Key the jaw further open on one frame, and let Blender evaluate it, as an artist's drag does."""
    from blender_addon.curves import channels
    from blender_addon.layers.offsets import add_offsets
    from blender_addon.scene.shot_link import find_head

    head = find_head(bpy.context)
    add_offsets(head, range(frame, frame + 1), {channels.JAW[0]: np.array([radians])})
    head.update_tag(refresh={"TIME"})
    bpy.context.view_layer.update()


def test_a_head_that_is_renamed_is_still_previewed(bpy, scene, live):
    from blender_addon.preview import lives
    from blender_addon.scene.shot_link import find_head

    find_head(bpy.context).name = "Hero, take two"
    open_jaw(bpy, scene.frame_current, 0.3)
    tick_until(lambda: crop_of(live) is not None)
    assert lives.live_of(bpy.context) is live


def test_a_key_that_moves_is_drawn_and_an_undone_one_is_there_at_once(bpy, scene, live):
    before = crop_of(live).array
    open_jaw(bpy, scene.frame_current, 0.3)
    assert crop_of(live) is None and live.outstanding >= 1, "asked for at once, by the handler"
    tick_until(lambda: crop_of(live) is not None)
    edited = crop_of(live).array
    assert not np.array_equal(before, edited)
    settle(live)
    open_jaw(bpy, scene.frame_current, -0.3)
    assert np.array_equal(crop_of(live).array, before) and not live.outstanding, "no picture is drawn twice"


def test_a_pose_counts_before_it_is_keyed(bpy, scene, live):
    """While a point is dragged nothing is keyed yet, and the preview follows all the same."""
    from blender_addon.scene.shot_link import find_head

    before = crop_of(live).array
    find_head(bpy.context).pose.bones["jaw"].rotation_euler[0] += 0.3
    bpy.context.view_layer.update()
    assert crop_of(live) is None
    tick_until(lambda: crop_of(live) is not None)
    assert not np.array_equal(before, crop_of(live).array)


def test_undo_takes_the_picture_back_without_a_drawing(bpy, scene, live):
    settle(live)
    before = crop_of(live).array
    bpy.ops.ed.undo_push(message="before")
    open_jaw(bpy, live.frame, 0.3)
    bpy.ops.ed.undo_push(message="jaw")
    tick_until(lambda: crop_of(live) is not None)
    assert not np.array_equal(crop_of(live).array, before)
    settle(live)
    bpy.ops.ed.undo()
    assert np.array_equal(crop_of(live).array, before) and not live.outstanding


class Crops:
    """Hears of every face crop that comes."""

    def __init__(self) -> None:
        self.frames: list[int] = []

    def take(self, event: object) -> None:
        if isinstance(event, Pixels) and event.header.stage == Stage.CROP:
            self.frames.append(event.header.frame)

    def look(self) -> float:
        return 1.0

    def lost(self) -> None:
        pass


def test_scrubbing_a_hundred_frames_leaves_no_queue_and_the_last_one_is_drawn(bpy, scene, live):
    """Of what is asked for while another is drawn only the newest waits: the frames between are never drawn."""
    from blender_addon import monitor

    crops = Crops()
    monitor.listen(crops)
    try:
        for step in range(100):
            # The last one comes once: one that came before may be drawn already.
            scene.frame_set(1020 if step == 99 else 1002 + step % 18)
            monitor._tick()
            scene.view_layers[0].update()
        at_the_end = len(crops.frames)
        tick_until(lambda: crop_of(live) is not None)
    finally:
        monitor.unlisten(crops)
    assert live.frame == scene.frame_current == crops.frames[-1]
    # One that was drawn as the last was asked for, and at most one that began before the backend had heard of it.
    assert len(crops.frames) - at_the_end <= 3
    assert at_the_end < 19


def states_of(live) -> dict:
    return dict(live.states())


def test_an_edit_makes_only_the_frames_of_its_influence_stale(bpy, scene, live):
    """Drawn ahead, all of a short range play without the backend; a key then reaches two frames to either side."""
    from blender_addon.preview.cache import FrameState

    settings = bpy.context.window_manager.dubplate_preview
    scene.frame_start, scene.frame_end = 1003, 1011
    settings.ahead = True
    tick_until(lambda: all(states_of(live)[frame] == FrameState.DRAWN for frame in range(1003, 1012)))
    settings.ahead = False
    tick_until(lambda: not live.outstanding)  # the last frame's picture is there before its request is answered
    for frame in range(1003, 1012):
        scene.frame_set(frame)
        assert crop_of(live) is not None and live.outstanding == 0, "played from what is kept"
    scene.frame_set(1003)
    open_jaw(bpy, 1008, 0.2)
    tick_until(lambda: not live.rows.pending)
    stale = [frame for frame, state in live.states() if state == FrameState.STALE]
    assert stale == [1006, 1007, 1008, 1009, 1010]


@pytest.fixture
def moved(scene, assets):
    """Moves the head in the shot's track, as a repair does; what was there before comes back, as undoing one does."""
    package = assets / "small.dubshot"
    kept = {name: (package / name).read_bytes() for name in ("track.npz", "crop.npz")}
    times = {name: (package / name).stat() for name in kept}

    def back() -> None:
        for name, content in kept.items():
            (package / name).write_bytes(content)
            os.utime(package / name, ns=(times[name].st_atime_ns, times[name].st_mtime_ns))

    def move(metres: float) -> None:
        track = Track.load(package / "track.npz")
        replace(track, translation=track.translation + np.float32([metres, 0, 0])).save(package / "track.npz")

    yield move, back
    back()


def test_a_track_that_is_repaired_makes_previews_stale_and_undoing_it_finds_them_again(bpy, scene, live, moved):
    """The curves may be the same: pictures are drawn from where the head is, too."""
    from blender_addon.preview.cache import FrameState

    move, back = moved
    settle(live)
    first, drawn_before = live.frame, crop_of(live).array
    scene.frame_set(first + 6)
    settle(live)
    assert states_of(live)[first] == FrameState.DRAWN and live.cache.filmed(first) is not None
    move(0.02)
    assert bpy.ops.dubplate.read_shot_again() == {"FINISHED"}
    tick_until(lambda: FrameState.STALE in states_of(live).values())
    assert states_of(live)[first] == FrameState.STALE and live.cache.filmed(first) is None
    assert states_of(live)[first + 3] == FrameState.UNDRAWN
    scene.frame_set(first)
    settle(live)
    assert states_of(live)[first] == FrameState.DRAWN and not np.array_equal(crop_of(live).array, drawn_before)
    back()
    assert bpy.ops.dubplate.read_shot_again() == {"FINISHED"}
    tick_until(lambda: crop_of(live) is not None and np.array_equal(crop_of(live).array, drawn_before))
    settle(live)
    assert live.cache.filmed(first) is not None


def test_the_preview_stands_behind_the_head_where_that_is_chosen(bpy, scene, live):
    settings = bpy.context.window_manager.dubplate_preview
    settle(live)
    settings.place = "BACKGROUND"
    image = bpy.data.images["Dubplate Preview"]
    assert any(background.image == image for background in scene.camera.data.background_images)
    pixels = np.zeros(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    pixels = pixels.reshape(image.size[1], image.size[0], 4)[::-1]
    header, rgb = (found := live.shown(live.frame).best).header, found.array.astype(np.float32)
    there = pixels[header.y : header.y + rgb.shape[0], header.x : header.x + rgb.shape[1]]
    light = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    assert (there[..., 3] == 1).all() and np.abs(there[..., :3] - light).max() < 1e-3
    assert pixels[0, 0, 3] == 0, "elsewhere the plate is seen"
    settings.mode = "OFF"
    assert "Dubplate Preview" not in bpy.data.images
    assert [background.source for background in scene.camera.data.background_images] == ["MOVIE_CLIP"]


def test_a_picture_lies_where_it_belongs_in_a_scene_of_another_size(bpy, scene, live):
    from blender_addon.preview import lives

    (whole,) = lives.placed(bpy.context, live.frame)
    scene.render.resolution_x //= 2
    scene.render.resolution_y //= 2
    (half,) = lives.placed(bpy.context, live.frame)
    assert np.allclose(2 * half.corners, whole.corners) and half.rgba.shape == whole.rgba.shape


def test_two_heads_are_finished_both_and_one_that_cannot_be_read_does_not_hold_up_the_other(bpy, scene, live, assets):
    from blender_addon import monitor
    from blender_addon.preview import lives
    from blender_addon.scene.import_shot import import_shot
    from blender_addon.scene.shot_link import find_head

    settings, broken = bpy.context.window_manager.dubplate_preview, find_head(bpy.context)
    second = Path(shutil.copytree(assets / "small.dubshot", assets / "second.dubshot"))
    try:
        bpy.context.view_layer.objects.active = import_shot(second)
        settings.mode, settings.ahead = "WIPE", True  # and then there is always more to draw
        other = lives.live_of(bpy.context)
        assert other is not live and len(lives.lives) == 2
        for frame in (1005, 1010):
            scene.frame_set(frame)
            tick_until(lambda: finished(live) and finished(other))
        del broken["expression_007"]
        broken.update_tag()
        scene.frame_set(1015)
        deadline_s = time.monotonic() + 60
        while not finished(other):
            assert time.monotonic() < deadline_s, "the other head's preview stands still"
            monitor._tick()
            time.sleep(0.02)
        assert live.frame != 1015
    finally:
        settings.ahead = False
        shutil.rmtree(second)


def test_keys_flip_and_change_what_is_seen_and_push_no_undo(bpy, scene, live):
    from blender_addon.preview import lives

    settings = bpy.context.window_manager.dubplate_preview
    settle(live)
    (dub,) = lives.placed(bpy.context, live.frame)
    bpy.ops.dubplate.preview_flip()
    (filmed,) = lives.placed(bpy.context, live.frame)
    assert np.array_equal(filmed.rgba[..., :3], live.cache.filmed(live.frame).array.astype(np.float32))
    bpy.ops.dubplate.preview_flip()
    assert lives.placed(bpy.context, live.frame)[0] is not filmed and not np.array_equal(dub.rgba, filmed.rgba)
    seen = []
    for _ in range(4):
        bpy.ops.dubplate.preview_next()
        seen.append(settings.mode)
    assert seen == ["WIPE", "SIDE", "DIFFERENCE", "DUBBED"]
    for name in ("toggle", "flip", "next", "clear"):
        assert "UNDO" not in getattr(getattr(bpy.types, f"DUBPLATE_OT_preview_{name}"), "bl_options", ())


def test_what_cannot_be_drawn_is_said_with_its_frame(bpy, scene, live, assets):
    from blender_addon import monitor
    from blender_addon.preview.cache import FrameState

    settle(live)
    weights = assets / "untaught.dubactor" / "generator.safetensors"
    content = weights.read_bytes()
    weights.unlink()
    try:
        scene.frame_set(1015)
        deadline_s = time.monotonic() + 60
        while states_of(live)[1015] != FrameState.FAILED:
            assert time.monotonic() < deadline_s
            monitor._tick()
            time.sleep(0.01)
    finally:
        weights.write_bytes(content)
    assert "weights cannot be read" in live.error.message
    assert bpy.ops.dubplate.preview_clear() == {"FINISHED"}
    tick_until(lambda: crop_of(live) is not None)


def test_a_backend_of_our_own_that_is_killed_is_started_again_and_the_preview_goes_on(
    bpy, scene, assets, backend_python, tmp_path, monkeypatch
):
    """What was drawn is still there; what is asked for next is drawn by the next backend."""
    from blender_addon import monitor, request
    from blender_addon.preview import lives

    monkeypatch.setattr(request, "preference", lambda _context, name: backend_python if name == "python" else "")
    scene.dubplate.connection, scene.dubplate.output = "", str(tmp_path)
    bpy.context.window_manager.dubplate_preview.mode = "DUBBED"
    live = lives.live_of(bpy.context)
    tick_until(lambda: crop_of(live) is not None)
    first, before = monitor.session()._backend.process, crop_of(live).array
    first.kill()
    first.wait()
    said = ""
    deadline_s = time.monotonic() + 120
    while not said or monitor.session().hello is None:
        assert time.monotonic() < deadline_s
        monitor._tick()
        said = said or monitor.status().error
        if said and monitor.session().hello is None:
            assert monitor.status().fix == "dubplate.connect"
        time.sleep(0.02)
    assert "broke" in said and not monitor.status().error, "said, and over once it is back"
    assert monitor.session()._backend.process.pid != first.pid
    assert np.array_equal(crop_of(live).array, before)
    open_jaw(bpy, scene.frame_current, 0.2)
    tick_until(lambda: crop_of(live) is not None)
