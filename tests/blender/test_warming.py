# SPDX-License-Identifier: Apache-2.0
"""A backend that is told what will be previewed as soon as head, shot, actor and connection are there."""

from __future__ import annotations

import json

import pytest
from ticking import tick_until

READY = "ready for previews"  # in the backend's log
LOOKS = 5


@pytest.fixture
def readied(backend):
    """How often the backend has made previews ready since the test began."""
    log_file = backend[0].log_file
    before = log_file.read_text().count(READY)
    return lambda: log_file.read_text().count(READY) - before


def tick() -> None:
    from blender_addon import monitor

    for _ in range(LOOKS):
        monitor._tick()


def test_it_is_told_once_and_nothing_is_drawn_for_the_artist(bpy, scene, readied):
    from blender_addon import monitor
    from blender_addon.preview import lives

    monitor.connect(bpy.context)
    tick_until(readied)
    tick()
    assert readied() == 1 and not lives.lives
    assert bpy.ops.dubplate.disconnect() == {"FINISHED"}
    tick()
    monitor.connect(bpy.context)
    tick_until(lambda: readied() == 2)


def test_it_is_told_when_the_actor_is_chosen_and_not_before(bpy, scene, readied):
    from blender_addon import monitor

    actor, scene.dubplate.actor = scene.dubplate.actor, ""
    monitor.connect(bpy.context)
    tick()
    assert readied() == 0 and not monitor.status().error
    scene.dubplate.actor = actor
    tick_until(readied)


def test_it_is_told_when_a_file_with_a_head_is_opened(bpy, scene, readied, tmp_path):
    from blender_addon import monitor

    connection = scene.dubplate.connection
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    bpy.context.scene.dubplate.connection = connection
    monitor.connect(bpy.context)
    tick()
    assert readied() == 0
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    tick_until(readied)


def test_an_actor_that_may_not_be_drawn_is_said_by_the_preview_alone(bpy, scene, assets, backend):
    from blender_addon import monitor
    from blender_addon.preview import lives

    card = assets / "untaught.dubactor" / "actor.json"
    content = card.read_text()
    card.write_text(json.dumps(json.loads(content) | {"consent": {"status": "withdrawn"}}))
    try:
        monitor.connect(bpy.context)
        tick_until(lambda: "cannot make previews ready" in backend[0].log_file.read_text())
        tick()
        assert not monitor.status().error
        bpy.context.window_manager.dubplate_preview.mode = "DUBBED"
        live = lives.live_of(bpy.context)
        tick_until(lambda: live.error is not None)
        assert "consent" in live.error.message
    finally:
        card.write_text(content)
