# SPDX-License-Identifier: Apache-2.0
"""The live preview: real keys, a real backend, and the pixels that come of them; nothing waits for anything."""

from __future__ import annotations

import numpy as np
import pytest
from ticking import tick_until

from dubplate_shared.messages import Stage
from dubplate_shared.tiles import Pixels


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
            scene.frame_set(1002 + step % 19)
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
