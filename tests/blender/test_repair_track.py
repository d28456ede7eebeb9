# SPDX-License-Identifier: Apache-2.0
"""The track is repaired from within Blender: pins say what the plate says, and what the artist has keyed stays."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from blender_shot import FIRST_FRAME

from dubplate_shared.landmarks import LIPS, NOSE_TIP
from dubplate_shared.shot import Shot

STRETCH = slice(5, 10)  # rows of the small shot
TIMEOUT_S = 300.0


@pytest.fixture(scope="module")
def small(assets, tmp_path_factory) -> Path:
    """A true shot of the stand-in head that may be changed."""
    return Path(shutil.copytree(assets / "small.dubshot", tmp_path_factory.mktemp("small") / "small.dubshot"))


def imported(bpy, path: Path):
    from blender_addon.scene.import_shot import import_shot

    return import_shot(path)


def test_a_pin_lies_on_the_pixel_where_the_tracker_has_the_point(bpy, addon, shot) -> None:
    from blender_addon.repair.pin_objects import pin_objects, read_pins

    head = imported(bpy, shot.path)
    for frame, number in ((1004, NOSE_TIP), (1030, 200)):
        bpy.context.scene.frame_set(frame)
        assert bpy.ops.dubplate.pin_landmark(points="NUMBER", number=number) == {"FINISHED"}
    bpy.context.scene.frame_set(1035)
    assert bpy.ops.dubplate.pin_landmark() == {"FINISHED"}
    pins = read_pins(shot, pin_objects(head))
    assert len(pins.landmarks) == 8 and pins.frames == (1004, 1030, 1035)
    for pin in pins.landmarks:
        apart = np.array([pin.x, pin.y]) - shot.track.projected_px[pin.frame - FIRST_FRAME, pin.landmark]
        assert np.abs(apart).max() < 0.05
    assert bpy.context.active_object in pin_objects(head, [1035])  # at hand, to be moved at once


def test_a_moved_pin_says_by_how_many_pixels(bpy, addon, shot) -> None:
    from blender_addon.repair.pin_objects import pin_objects, read_pins

    head = imported(bpy, shot.path)
    bpy.context.scene.frame_set(1010)
    bpy.ops.dubplate.pin_landmark(points="NOSE")
    (pin,) = pin_objects(head)
    before = read_pins(shot, [pin]).landmarks[0]
    fx = float(shot.track.intrinsics[9, 0])
    pin.location.x += 10 * pin.location.y / fx  # 10 px to the right, at its depth
    after = read_pins(shot, [pin]).landmarks[0]
    assert after.x - before.x == pytest.approx(10, abs=0.01)
    assert after.y == pytest.approx(before.y, abs=0.01)
    pin.location.y = -1
    with pytest.raises(Exception, match="behind the camera"):
        read_pins(shot, [pin])


def test_with_two_heads_a_pin_tells_whose_it_is_and_is_found_after_reopening(bpy, addon, shot, tmp_path) -> None:
    from blender_addon.repair.pin_objects import pin_objects
    from blender_addon.scene.shot_link import find_head, heads

    one, other = imported(bpy, shot.path), imported(bpy, shot.path)
    bpy.context.view_layer.objects.active = one
    bpy.ops.dubplate.pin_landmark(points="CHIN")
    assert bpy.context.active_object.type == "EMPTY" and find_head(bpy.context) == one
    names = one.name, other.name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "two.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "two.blend"))
    assert {head.name for head in heads(bpy.context.scene)} == set(names)
    assert [len(pin_objects(bpy.data.objects[name])) for name in names] == [1, 0]
    assert find_head(bpy.context).name == names[0]


def test_the_head_follows_a_pinned_pose_on_its_frame_alone(bpy, addon, shot) -> None:
    from blender_addon.repair.pin_objects import pin_objects, read_pins

    head, scene = imported(bpy, shot.path), bpy.context.scene

    def places() -> np.ndarray:
        found = []
        for frame in (1019, 1020, 1021):
            scene.frame_set(frame)
            found.append(np.array(head.evaluated_get(bpy.context.evaluated_depsgraph_get()).matrix_world))
        return np.array(found)

    before = places()
    scene.frame_set(1020)
    assert bpy.ops.dubplate.pin_pose() == {"FINISHED"}
    (pin,) = pin_objects(head)
    assert np.allclose(places(), before, atol=1e-6)
    pin.location.x += 0.02
    after = places()
    assert after[1, 0, 3] - before[1, 0, 3] == pytest.approx(0.02, abs=1e-6)
    assert np.array_equal(after[[0, 2]], before[[0, 2]])
    pose = read_pins(shot, [pin]).poses[0]
    assert np.allclose(pose.rotation, shot.track.rotation[19], atol=1e-5)
    assert np.allclose(pose.translation, shot.track.translation[19] + (0.02, 0, 0), atol=1e-6)
    assert bpy.ops.dubplate.clear_pins() == {"FINISHED"}
    assert np.array_equal(places(), before)
    assert not head.constraints and not pin_objects(head)


def test_a_pose_whose_pin_was_deleted_by_hand_leaves_nothing_behind(bpy, addon, shot) -> None:
    from blender_addon.repair.pin_objects import pin_objects

    head = imported(bpy, shot.path)
    bpy.context.scene.frame_set(1010)
    bpy.ops.dubplate.pin_pose()
    bpy.data.objects.remove(pin_objects(head)[0])
    bpy.ops.dubplate.pin_pose()
    assert len(head.constraints) == len(head.animation_data.drivers) == 1
    bpy.ops.dubplate.clear_pins()
    assert not head.constraints and not head.animation_data.drivers


def curves_of(head, frames: range) -> np.ndarray:
    """All that is heard of the performance, and the head's pose, (T, N)."""
    from blender_addon.curves import channels
    from blender_addon.curves.performance import read_channels
    from blender_addon.rig.controls import ControlMatrix

    wanted = (*channels.performance(ControlMatrix.of(head).names), *channels.FILMED)
    return read_channels(head, wanted, frames)


def test_a_repair_comes_back_under_the_artists_keys_and_is_undone(bpy, addon, small, backend_python) -> None:
    from blender_addon.curves import channels
    from blender_addon.layers.offsets import add_offsets, offsets
    from blender_addon.layers.patches import add_patch
    from blender_addon.repair import watch
    from blender_addon.repair.pin_objects import pin_objects
    from blender_addon.scene.shot_link import find_head

    head, scene, shot = imported(bpy, small), bpy.context.scene, Shot.load(small)
    frames = range(shot.frames[0], shot.frames[-1] + 1)
    offset = np.linspace(0.1, 0.4, 12)
    add_offsets(head, range(1003, 1015), {channels.JAW[0]: offset, channels.EXPRESSION[3]: offset})
    before = curves_of(head, frames)
    for frame in (1006, 1010):
        scene.frame_set(frame)
        bpy.ops.dubplate.pin_landmark(points="LIPS")
        for pin in pin_objects(head, [frame]):
            pin.location.z -= 0.004  # the whole mouth lies lower, about 1.5 px
    add_patch(head, shot, shot.tracked_take(), range(1008, 1010), 1)
    assert bpy.ops.dubplate.repair(first=1006, last=1010, python=backend_python) == {"FINISHED"}
    repaired = Shot.load(small)
    moved = repaired.track.projected_px[5, list(LIPS), 1] - shot.track.projected_px[5, list(LIPS), 1]
    assert moved.mean() > 0.5
    after = curves_of(head, frames)
    inside = np.zeros(len(frames), bool)
    inside[STRETCH] = True
    assert np.array_equal(after[~inside], before[~inside])
    assert (after[inside] != before[inside]).any(axis=1).all()
    # What is heard is the new track and the same offsets, also under the patch.
    jaw = after[3:14, 100] - repaired.track.jaw[3:14, 0]  # about the other axes the small shot's jaw hardly turns
    assert np.allclose(jaw, offset[1:], atol=2e-3)
    expression = after[3:14, 3] - repaired.track.expression[3:14, 3]
    assert np.allclose(expression, offset[1:], atol=1e-6)
    assert len(offsets(head)) == 2
    # The timer puts the old track back, as one step of Blender's own undo.
    bpy.ops.ed.undo_push(message="repaired")
    watch.start(bpy.context, head, ["--undo"], backend_python)
    tick_until_over()
    assert not bpy.context.window_manager.dubplate.error
    assert np.array_equal(curves_of(find_head(bpy.context), frames), before)
    bpy.ops.ed.undo()
    assert np.array_equal(curves_of(find_head(bpy.context), frames), after)


def test_a_repair_is_looked_at_and_cancelled_and_the_package_stays(bpy, addon, small, backend_python) -> None:
    from blender_addon.repair import watch

    head = imported(bpy, small)
    bpy.context.scene.frame_set(1008)
    bpy.ops.dubplate.pin_landmark()
    kept = {file.name: file.read_bytes() for file in small.iterdir() if file.is_file()}
    pins = small.parent / "pins.json"
    write_pins(head, pins)
    watch.start(bpy.context, head, ["--pins", str(pins)], backend_python)
    assert watch.running().stage == "Starting" and watch._tick() is not None
    with pytest.raises(RuntimeError, match="A repair is under way"):
        bpy.ops.dubplate.undo_repair(python=backend_python)
    assert bpy.ops.dubplate.cancel_repair() == {"FINISHED"}
    tick_until_over()
    assert bpy.context.window_manager.dubplate.stage.startswith("The repair was cancelled")
    assert {file.name: file.read_bytes() for file in small.iterdir() if file.is_file()} == kept


def test_what_stands_in_the_way_of_a_repair_is_told(bpy, addon, small, backend_python, tmp_path) -> None:
    head = imported(bpy, small)
    with pytest.raises(RuntimeError, match="No frame to repair has a pin"):
        bpy.ops.dubplate.repair(python=backend_python)
    bpy.context.scene.frame_set(1008)
    bpy.ops.dubplate.pin_landmark()
    with pytest.raises(RuntimeError, match="No Python for the backend is set"):
        bpy.ops.dubplate.repair()
    with pytest.raises(RuntimeError, match="cannot be started"):
        bpy.ops.dubplate.repair(python=str(tmp_path / "python"))
    bpy.ops.dubplate.bake_down()
    with pytest.raises(RuntimeError, match="are baked down"):
        bpy.ops.dubplate.repair(python=backend_python)
    assert head.name in bpy.data.objects


def write_pins(head, path: Path) -> None:
    from blender_addon.repair.pin_objects import pin_objects, read_pins
    from blender_addon.scene.shot_link import ShotLink

    read_pins(ShotLink.of(head).load_shot(), pin_objects(head)).save(path)


def tick_until_over() -> None:
    """Do what Blender's timer does, which never fires without a window."""
    from blender_addon.repair import watch

    deadline_s = time.monotonic() + TIMEOUT_S
    while watch._tick() is not None:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    assert watch.running() is None
