# SPDX-License-Identifier: Apache-2.0
"""An imported shot lies on its plate, to the pixel, and runs at its own clock."""

from __future__ import annotations

import time
import wave
from pathlib import Path

import numpy as np
import pytest
from blender_shot import HEIGHT, WIDTH, drivers_round, make_rig, make_track, write_test_shot

from dubplate_shared.errors import InvalidInput
from dubplate_shared.shot import Rate


def write_plates(folder: Path, count: int) -> None:
    from PIL import Image

    for index in range(count):
        Image.new("RGB", (WIDTH, HEIGHT), (index, 90, 90)).save(folder / f"plate.{1001 + index:04d}.png")


def write_tone(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((3000 * np.sin(np.arange(16000) * 0.1)).astype("<i2").tobytes())


def landmarks_through_blender(bpy, armature, camera, rig, frame: int) -> np.ndarray:
    """Pixels (468, 2) at which Blender's camera sees the evaluated mesh's landmarks."""
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    from blender_addon.rig.build import head_mesh_of

    scene = bpy.context.scene
    scene.frame_set(frame)
    head = head_mesh_of(armature).evaluated_get(bpy.context.evaluated_depsgraph_get())
    vertices = np.zeros(3 * len(head.data.vertices), np.float32)
    head.data.attributes["position"].data.foreach_get("vector", vertices)
    matrix = np.array(head.matrix_world)
    points = rig.landmarks(vertices.reshape(-1, 3)) @ matrix[:3, :3].T + matrix[:3, 3]
    seen = np.array([world_to_camera_view(scene, camera, Vector(point)) for point in points.tolist()])
    return np.stack([seen[:, 0] * WIDTH, (1.0 - seen[:, 1]) * HEIGHT], axis=1)


@pytest.mark.parametrize("zoom", [False, True])
@pytest.mark.parametrize("moving_joints", [False, True])
def test_blender_sees_the_landmarks_where_the_tracker_saw_them(bpy, tmp_path, zoom, moving_joints):
    from blender_addon.scene.import_shot import import_with_notes

    shot = write_test_shot(tmp_path, rig=make_rig(moving_joints=moving_joints), zoom=zoom)
    imported = import_with_notes(shot.path)
    tolerance_px = 0.1 if moving_joints and drivers_round(bpy.app.version) else 0.01
    for frame in (1001, 1013, 1040):
        found = landmarks_through_blender(bpy, imported.armature, imported.camera, shot.rig, frame)
        assert np.abs(found - shot.track.projected_px[frame - 1001]).max() < tolerance_px


def test_the_scene_runs_and_looks_as_the_shot(bpy, tmp_path):
    from blender_addon.scene.import_shot import import_shot

    rate = Rate(24000, 1001)
    shot = write_test_shot(tmp_path, rate=rate)
    import_shot(shot.path)
    scene = bpy.context.scene
    assert scene.render.fps == 24
    assert scene.render.fps_base == np.float32(1.001)  # Blender's own number for 23.976
    assert (scene.frame_start, scene.frame_end, scene.frame_current) == (1001, 1040, 1001)
    assert (scene.render.resolution_x, scene.render.resolution_y) == (WIDTH, HEIGHT)
    assert scene.render.pixel_aspect_x / scene.render.pixel_aspect_y == pytest.approx(1383.8 / 1518.8, abs=1e-5)
    assert scene.camera.name == "CAM_scene7"


def test_plate_and_sound_begin_with_the_shot(bpy, tmp_path):
    from blender_addon.scene.import_shot import import_with_notes

    if not bpy.app.build_options.audaspace:
        pytest.skip("this bpy was built without sound")
    write_tone(tmp_path / "voice.wav")
    write_plates(tmp_path, 5)
    shot = write_test_shot(tmp_path, plate="../plate.####.png", audio=("../voice.wav",))
    imported = import_with_notes(shot.path)
    assert imported.notes == ()
    (background,) = imported.camera.data.background_images
    assert background.clip.frame_start == 1001
    assert background.clip.filepath.endswith("plate.1001.png")
    (strip,) = bpy.context.scene.sequence_editor.strips_all
    assert (strip.type, strip.frame_start) == ("SOUND", 1001)


def test_a_missing_plate_is_said_and_the_head_is_imported(bpy, tmp_path):
    from blender_addon.scene.import_shot import import_with_notes

    imported = import_with_notes(write_test_shot(tmp_path, audio=("voice.wav",)).path)
    assert any("plate" in note for note in imported.notes)
    assert any("voice.wav" in note for note in imported.notes)
    assert imported.armature.animation_data.nla_tracks["Take: tracked"].strips[0].action is not None


@pytest.mark.parametrize("name", ["nowhere.dubshot", "empty.dubshot"])
def test_what_is_no_shot_adds_nothing_to_the_scene(bpy, tmp_path, name):
    from blender_addon.scene.import_shot import import_shot

    (tmp_path / "empty.dubshot").mkdir()
    with pytest.raises(InvalidInput):
        import_shot(tmp_path / name)
    assert len(bpy.data.objects) == len(bpy.data.actions) == 0


def test_a_second_shot_stands_beside_the_first(bpy, tmp_path):
    from blender_addon.scene.import_shot import import_shot
    from blender_addon.scene.shot_link import find_head, heads

    shot = write_test_shot(tmp_path)
    first, second = import_shot(shot.path), import_shot(shot.path)
    assert first != second
    assert len(heads(bpy.context.scene)) == 2
    bpy.context.view_layer.objects.active = first
    assert find_head(bpy.context) == first
    bpy.context.view_layer.objects.active = None
    with pytest.raises(InvalidInput, match="several heads"):
        find_head(bpy.context)


def test_fifteen_hundred_frames_are_imported_within_five_seconds(bpy, tmp_path):
    from blender_addon.curves.performance import read_take
    from blender_addon.scene.import_shot import import_shot

    shot = write_test_shot(tmp_path, count=1500)
    start_s = time.process_time()  # of the processor: another program's work is not the import's
    armature = import_shot(shot.path)
    assert time.process_time() - start_s < 5.0
    assert len(read_take(armature)) == 1500


def test_a_head_that_turns_all_the_way_round_has_no_jumps_in_its_curves():
    from blender_addon.rig.axes import head_pose, object_transform
    from dubplate_shared.rotations import axis_angle_from_matrix, matrix_from_axis_angle

    turn = np.linspace(0, 4 * np.pi, 400)
    upright = matrix_from_axis_angle(np.array([np.pi, 0, 0]))
    tilt = matrix_from_axis_angle(np.array([0, 0, 1.2]))
    yaw = matrix_from_axis_angle(np.stack([0 * turn, turn, 0 * turn], axis=1))
    rotation = axis_angle_from_matrix(upright @ tilt @ yaw)
    euler, location = object_transform(rotation, np.ones((400, 3)))
    assert np.abs(np.diff(euler, axis=0)).max() < 0.5
    back, translation = head_pose(euler, location)
    assert np.allclose(matrix_from_axis_angle(back), matrix_from_axis_angle(rotation), atol=1e-9)
    assert np.allclose(translation, 1.0)


def test_the_test_track_moves_enough_to_prove_anything():
    track = make_track(make_rig(), 40)
    assert np.ptp(track.projected_px[:, :, 0], axis=0).min() > 20
