# SPDX-License-Identifier: Apache-2.0
"""The head that goes out as Alembic and USD comes back, vertex for vertex and before the same camera."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from blender_shot import HEIGHT, WIDTH, drivers_round, make_rig, reads_zoom, write_test_shot

from dubplate_shared.errors import ExitCode, InvalidInput
from dubplate_shared.rotations import matrix_from_axis_angle

FRAMES = (1001, 1004, 1009, 1012)
COUNT = 12


def read_back(bpy, path: Path) -> tuple[object, object]:
    """The mesh and the camera of a file, in an empty scene that runs as the shot does."""
    scene = bpy.context.scene
    clock = scene.render.fps, scene.render.fps_base
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = clock
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    importer = bpy.ops.wm.alembic_import if path.suffix == ".abc" else bpy.ops.wm.usd_import
    assert importer(filepath=str(path)) == {"FINISHED"}
    (mesh,) = (thing for thing in bpy.data.objects if thing.type == "MESH")
    (camera,) = (thing for thing in bpy.data.objects if thing.type == "CAMERA")
    return mesh, camera


def world_vertices(bpy, mesh, frame: int) -> np.ndarray:
    """The evaluated mesh's vertices in the world, (V, 3)."""
    bpy.context.scene.frame_set(frame)
    evaluated = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
    vertices = np.zeros(3 * len(evaluated.data.vertices), np.float32)
    evaluated.data.attributes["position"].data.foreach_get("vector", vertices)
    matrix = np.array(evaluated.matrix_world)
    return vertices.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]


def of_camera(shot, frame: int) -> np.ndarray:
    """The head model's own vertices before the camera, OpenCV axes, (V, 3): numpy's reference."""
    track, index = shot.track, frame - shot.info.first_frame
    head = shot.rig.pose(track.expression[index], track.jaw[index], track.neck[index], track.eyes[index])
    return head @ matrix_from_axis_angle(track.rotation[index]).T + track.translation[index]


def pixels(bpy, camera, points: np.ndarray) -> np.ndarray:
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    seen = np.array([world_to_camera_view(bpy.context.scene, camera, Vector(point)) for point in points.tolist()])
    return np.stack([seen[:, 0] * WIDTH, (1.0 - seen[:, 1]) * HEIGHT], axis=1)


@pytest.mark.parametrize("moving_joints", [False, True])
@pytest.mark.parametrize("suffix", [".abc", ".usdc"])
def test_vertices_and_camera_come_back_where_they_were(bpy, addon, tmp_path, suffix, moving_joints):
    zoom = reads_zoom(suffix, bpy.app.version)
    shot = write_test_shot(tmp_path, rig=make_rig(moving_joints=moving_joints), count=COUNT, zoom=zoom)
    assert bpy.ops.dubplate.import_shot(filepath=str(shot.path)) == {"FINISHED"}
    path = tmp_path / f"head{suffix}"
    assert bpy.ops.dubplate.export_head(filepath=str(path)) == {"FINISHED"}
    rounded = moving_joints and drivers_round(bpy.app.version)
    mesh, camera = read_back(bpy, path)
    aspect = shot.track.intrinsics[0, 1] / shot.track.intrinsics[0, 0]
    bpy.context.scene.render.pixel_aspect_y = 1.0 / aspect
    if suffix == ".abc":
        camera.data.sensor_fit = "HORIZONTAL"  # Blender takes an Alembic's aperture for that of the longer side
    moved = []
    for frame in FRAMES:
        found = world_vertices(bpy, mesh, frame)
        expected = of_camera(shot, frame)
        in_world = expected @ np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]).T  # the camera looks along +Y
        assert np.abs(found - in_world).max() < (2e-4 if rounded else 2e-6)  # metres
        lens = shot.track.intrinsics[frame - 1001]
        plate = expected[:, :2] / expected[:, 2:] * lens[:2] + lens[2:]
        assert np.abs(pixels(bpy, camera, found) - plate).max() < (0.3 if rounded else 0.02)
        moved.append(found)
    assert np.abs(moved[0] - moved[1]).max() > 0.01, "the head moves enough to prove anything"


def test_an_alembics_lens_is_the_frames_own(bpy, addon, tmp_path):
    shot = write_test_shot(tmp_path, count=COUNT, zoom=True)
    bpy.ops.dubplate.import_shot(filepath=str(shot.path))
    from blender_addon.scene.export_head import export_head

    armature = bpy.data.objects["HEAD_scene7"]
    export_head(bpy.context, armature, tmp_path / "last.abc", (1012,))
    export_head(bpy.context, armature, tmp_path / "all.abc")
    lenses = (shot.track.intrinsics[:, 0].astype(np.float64) * 36.0 / WIDTH).astype(np.float32).astype(float)
    stored = (tmp_path / "all.abc").read_bytes()
    assert all(struct.pack("<d", lens) in stored for lens in lenses), "one focal length a frame"
    _, camera = read_back(bpy, tmp_path / "last.abc")
    assert camera.data.lens == pytest.approx(lenses[-1], rel=1e-5)


@pytest.fixture
def head(bpy, addon, tmp_path):
    shot = write_test_shot(tmp_path, count=COUNT)
    bpy.ops.dubplate.import_shot(filepath=str(shot.path))
    return bpy.data.objects["HEAD_scene7"]


def test_the_scene_is_as_it_was_after_an_export(bpy, head, tmp_path):
    scene = bpy.context.scene
    scene.frame_set(1007)
    scene.frame_start, scene.frame_end = 1003, 1005
    assert bpy.ops.dubplate.export_head(filepath=str(tmp_path / "head.abc")) == {"FINISHED"}
    assert (scene.frame_start, scene.frame_end, scene.frame_current) == (1003, 1005, 1007)
    assert [thing.name for thing in bpy.context.selected_objects] == [head.name]
    assert head.children[0].hide_select


def test_only_the_head_and_its_camera_go_out(bpy, head, tmp_path):
    bpy.ops.mesh.primitive_cube_add()
    bpy.context.view_layer.objects.active = head
    bpy.ops.dubplate.export_head(filepath=str(tmp_path / "head.abc"))
    mesh, _ = read_back(bpy, tmp_path / "head.abc")
    assert len(mesh.data.vertices) == len(make_rig().vertices)


def test_a_file_of_another_kind_is_refused_and_nothing_is_written(bpy, head, tmp_path):
    with pytest.raises(RuntimeError, match=r"is no Alembic and no USD file\. Let its name end in \.abc"):
        bpy.ops.dubplate.export_head(filepath=str(tmp_path / "head.fbx"))
    assert not (tmp_path / "head.fbx").exists()


def test_a_head_without_its_mesh_is_said(bpy, head, tmp_path):
    from blender_addon.scene.export_head import export_head

    bpy.data.objects.remove(head.children[0])
    with pytest.raises(InvalidInput, match="has lost its mesh"):
        export_head(bpy.context, head, tmp_path / "head.usd")


def test_the_command_exports_a_blend_without_a_window(bpy, head, tmp_path, capsys):
    from blender_addon.command import main

    blend = tmp_path / "shot.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    out = tmp_path / "head.usda"
    assert main(["export", "--blend", str(blend), "--out", str(out), "--frames", "1002-1004"]) == ExitCode.OK
    assert f"Saved: '{out}'" in capsys.readouterr().out
    text = out.read_text()
    assert "startTimeCode = 1002" in text and "endTimeCode = 1004" in text
    assert main(["export", "--blend", str(blend), "--out", str(tmp_path / "head.obj")]) == ExitCode.INVALID_INPUT
