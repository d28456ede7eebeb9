# SPDX-License-Identifier: Apache-2.0
"""Solved cameras out of .chan, Alembic and USD see points where Blender sees them."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from camera_scene import FPS, Y_UP_FROM_Z_UP, CameraScene, build, projected, write_chan  # noqa: E402
from ogawa_writer import ACYCLIC, MOVE, SCALE, TURN, TURN_X, TURN_Y, TURN_Z, camera, write_archive, xform  # noqa: E402

from dubplate_backend.interchange import usd_camera  # noqa: E402
from dubplate_backend.interchange.camera_files import load_camera  # noqa: E402
from dubplate_backend.tracking.solved_camera import SolvedCamera  # noqa: E402
from dubplate_shared.errors import InvalidInput  # noqa: E402

CLOSE_PX = 0.01


@pytest.fixture
def empty() -> Any:
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    return bpy


def load(path: Path, scene: CameraScene, **more: Any) -> SolvedCamera:
    return load_camera(path, width=scene.width, height=scene.height, frames=scene.frames, fps=FPS, **more)


def write_alembic(path: Path, scene: CameraScene) -> Path:
    bpy.ops.wm.alembic_export(
        filepath=str(path), start=int(scene.frames[0]), end=int(scene.frames[-1]), as_background_job=False
    )
    return path


def write_usd(path: Path) -> Path:
    bpy.ops.wm.usd_export(filepath=str(path), export_animation=True)
    return path


@pytest.mark.parametrize("order", ["ZXY", "XYZ", "YXZ"])
def test_chan_sees_what_blender_sees(empty, tmp_path, order) -> None:
    scene = build(empty, shift=(0, 0))
    camera = load(write_chan(tmp_path / "c.chan", scene, order=order), scene, rotation_order=order)
    assert np.abs(projected(camera, scene.points) - scene.seen).max() < CLOSE_PX


def test_chan_without_an_angle_takes_focal_length_and_film_back(empty, tmp_path) -> None:
    scene = build(empty, shift=(0, 0), zoom=False)
    path = write_chan(tmp_path / "c.chan", scene, angle=False)
    camera = load(path, scene, filmback_mm=36.0, focal_mm=35.0)
    assert np.abs(projected(camera, scene.points) - scene.seen).max() < CLOSE_PX
    for lacking in ({}, {"focal_mm": 35.0}, {"filmback_mm": 36.0}):
        with pytest.raises(InvalidInput):
            load(path, scene, **lacking)


def test_a_film_back_of_another_shape_is_fitted_by_its_width(empty, tmp_path) -> None:
    scene = build(empty, shift=(0, 0))
    path = write_chan(tmp_path / "c.chan", scene, angle=False)
    tall = np.degrees(2 * np.arctan(0.5 * 24.0 / scene.focal_mm))  # the camera of a 36 x 24 back
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *(f"{a}\t{b:.9f}" for a, b in zip(lines[1:], tall, strict=True))]))
    camera = load(path, scene, filmback_mm=(36.0, 24.0))
    assert np.abs(projected(camera, scene.points) - scene.seen).max() < CLOSE_PX
    assert np.abs(projected(load(path, scene), scene.points) - scene.seen).max() > 50


@pytest.mark.parametrize("size", [(1920, 1080, 1.0), (1080, 1920, 1.0), (1440, 1080, 4 / 3), (2048, 1716, 2.0)])
def test_alembic_sees_what_blender_sees_zoom_and_shift_and_pixels_that_are_not_square(empty, tmp_path, size) -> None:
    scene = build(empty, width=size[0], height=size[1], pixel_aspect=size[2])
    camera = load(write_alembic(tmp_path / "c.abc", scene), scene, pixel_aspect=size[2])
    assert np.abs(projected(camera, scene.points) - scene.seen).max() < CLOSE_PX
    assert np.ptp(camera.intrinsics[:, 0]) > 100


def test_usd_sees_what_blender_sees(empty, tmp_path) -> None:
    scene = build(empty)
    camera = load(write_usd(tmp_path / "c.usda"), scene)
    assert np.abs(projected(camera, scene.points) - scene.seen).max() < CLOSE_PX
    assert np.ptp(camera.intrinsics[:, 0]) > 100


def test_usd_in_centimetres_with_y_up_and_portrait_is_read_in_metres(tmp_path) -> None:
    path = tmp_path / "hand.usda"
    path.write_text(
        """#usda 1.0
( metersPerUnit = 0.01
  upAxis = "Y"
  timeCodesPerSecond = 30
  startTimeCode = 1001
  endTimeCode = 1002 )
def Xform "Track" {
    double3 xformOp:translate.timeSamples = { 1001: (0, 150, 400), 1002: (10, 150, 400) }
    uniform token[] xformOpOrder = ["xformOp:translate"]
    def Camera "Cam" {
        float focalLength = 50
        float horizontalAperture = 20
        float verticalAperture = 36
        float horizontalApertureOffset = 1
        float verticalApertureOffset = -0.5
    }
}
"""
    )
    camera = load_camera(path, width=1080, height=1944, frames=np.array([1001, 1002]))
    assert np.allclose(camera.world_from_camera[:, :3, 3], [(0, 1.5, 4.0), (0.1, 1.5, 4.0)], atol=1e-6)
    # The picture shows 1 mm right of and 0.5 mm below the axis.
    wanted = (2700, 2700, 1080 * (0.5 - 1 / 20), 1944 / 2 - 0.5 / 20 * 1080)
    assert np.allclose(camera.intrinsics, wanted, atol=0.01)
    # Seen from (0, 1.5, 4) along -z: a point 1 m before it, 0.1 m right and 0.2 m up.
    seen = projected(camera, np.array([[0.1, 1.7, 3.0]]))[0, 0]
    assert np.allclose(seen, (wanted[2] + 270, wanted[3] - 540), atol=0.01)


def test_units_scale_the_way_of_the_camera(empty, tmp_path) -> None:
    scene = build(empty)
    path = write_alembic(tmp_path / "c.abc", scene)
    metres, centimetres = (load(path, scene, units=unit).world_from_camera[:, :3, 3] for unit in ("m", "cm"))
    assert np.allclose(centimetres, 0.01 * metres)
    with pytest.raises(InvalidInput, match="parsec"):
        load(path, scene, units="parsec")


def test_frames_are_met_by_number_and_missing_ones_named(empty, tmp_path) -> None:
    scene = build(empty, shift=(0, 0))
    paths = [
        write_chan(tmp_path / "c.chan", scene),
        write_alembic(tmp_path / "c.abc", scene),
        write_usd(tmp_path / "c.usdc"),
    ]
    for path in paths:
        some = load_camera(path, width=1920, height=1080, frames=np.array([1005, 1003]), fps=FPS)
        assert np.abs(projected(some, scene.points) - scene.seen[[4, 2]]).max() < CLOSE_PX
        with pytest.raises(InvalidInput, match="1007"):
            load_camera(path, width=1920, height=1080, frames=np.array([1006, 1007]), fps=FPS)
        with pytest.raises(InvalidInput, match="Parts of frames"):
            load_camera(path, width=1920, height=1080, frames=np.array([1003.5]), fps=FPS)
    with pytest.raises(InvalidInput, match="no sample"):  # the shot's rate is another than the file's
        load_camera(paths[1], width=1920, height=1080, frames=scene.frames, fps=24)
    with pytest.raises(InvalidInput, match=r"1003\.5"):
        paths[0].write_text(paths[0].read_text().replace("\n1004\t", "\n1003.5\t"))
        load(paths[0], scene)


def test_a_film_rate_plate_meets_an_alembic_of_24_by_frame_number(empty, tmp_path) -> None:
    scene = build(empty, fps=24)
    path = write_alembic(tmp_path / "c.abc", scene)
    for fps in (24000 / 1001, 24, None):
        camera = load_camera(path, width=1920, height=1080, frames=scene.frames, fps=fps)
        assert np.abs(projected(camera, scene.points) - scene.seen).max() < CLOSE_PX


@pytest.mark.parametrize("times", ["uniform", "own"])
def test_transforms_as_maya_writes_them_are_what_blender_makes_of_them(empty, tmp_path, times) -> None:
    at = np.arange(4.0)[:, None]
    core = np.tile((40, 3.6, 0.1, 2.0, -0.05, 1.0, *[0.0] * 8, 0.1, 1000.0), (4, 1))
    core[:, :1] += 5 * at
    ops = (MOVE, TURN_Z, TURN_Y, TURN_X, SCALE)
    values = np.concatenate([0.5 * at, 1 + at, 5 - at, 10 * at, 20 + 3 * at, -5 * at, *[0 * at + 2] * 3], axis=1)
    shot = xform("shot", ops, values)
    shot.children = [camera("shotShape", core, 1)]
    rig = xform("rig", (MOVE, TURN, SCALE), np.array([[1, 2, 3, 1, 1, 0, 30, 0.5, 0.5, 0.5]]), 0)
    rig.children = [shot]
    loose = xform("loose", (MOVE,), np.array([[9, 9, 9]]), 0, inherits=False)
    loose.children = [camera("other", core[:1])]
    rig.children.append(loose)
    frames = np.arange(1001, 1005)
    sampling = (1 / 24, (1001 / 24,)) if times == "uniform" else (ACYCLIC, tuple(frames / 24))
    path = write_archive(tmp_path / "maya.abc", [rig], [sampling])

    solved = load_camera(path, width=1920, height=1080, frames=frames, fps=24, camera="shot")
    assert np.allclose(solved.intrinsics[:, 0], 1920 * (40 + 5 * at[:, 0]) / 36)
    assert np.allclose(solved.intrinsics[:, 2:], (960 - 1920 * 0.1 / 3.6, 540 - 1920 * 0.05 / 3.6))
    unmoved = load_camera(path, width=1920, height=1080, frames=frames, fps=24, camera="other")
    assert np.allclose(unmoved.world_from_camera[:, :3, 3], 9)

    bpy.context.scene.render.fps = 24
    bpy.ops.wm.alembic_import(filepath=str(path), as_background_job=False)
    item = bpy.data.objects["shot"]
    for index, frame in enumerate(frames):
        bpy.context.scene.frame_set(int(frame))
        matrix = np.array(item.evaluated_get(bpy.context.evaluated_depsgraph_get()).matrix_world)
        matrix[:3] = Y_UP_FROM_Z_UP @ matrix[:3] @ np.diag((1.0, -1, -1, 1))
        assert np.allclose(solved.world_from_camera[index], matrix, atol=1e-5)


def test_a_locked_off_camera_holds_for_every_frame(empty, tmp_path) -> None:
    scene = build(empty, zoom=False, frames=range(1, 2))
    for path in (write_alembic(tmp_path / "c.abc", scene), write_usd(tmp_path / "c.usdc")):
        camera = load_camera(path, width=1920, height=1080, frames=np.arange(1001, 1004), fps=FPS)
        assert np.abs(projected(camera, scene.points) - scene.seen).max() < CLOSE_PX


def test_a_file_with_two_cameras_asks_which(empty, tmp_path) -> None:
    scene = build(empty)
    other = bpy.data.objects.new("Witness", bpy.data.cameras.new("WitnessLens"))
    bpy.context.scene.collection.objects.link(other)
    # Blender joins a USD camera with the transform above it, under the camera's own name.
    named = {write_alembic(tmp_path / "c.abc", scene): ("Shot", "Shot/Lens"), write_usd(tmp_path / "c.usdc"): ("Lens",)}
    for path, names in named.items():
        with pytest.raises(InvalidInput, match=r"2 cameras.*Rig.*Lens"):
            load(path, scene)
        for name in names:
            assert np.abs(projected(load(path, scene, camera=name), scene.points) - scene.seen).max() < CLOSE_PX
        if path.suffix == ".abc":
            with pytest.raises(InvalidInput, match="no camera Nobody"):
                load(path, scene, camera="Nobody")


def test_what_the_user_says_of_the_lens_wins(empty, tmp_path) -> None:
    scene = build(empty)
    path = write_alembic(tmp_path / "c.abc", scene)
    camera = load(path, scene, filmback_mm=24.0, focal_mm=48.0)
    assert np.allclose(camera.intrinsics[:, 0], 1920 * 48 / 24)
    assert np.allclose(camera.intrinsics[:, 2], 1920 * (0.5 - 0.02 * 36 / 24))  # the offset is millimetres


def test_a_broken_alembic_is_refused_and_never_read_beyond_its_end(empty, tmp_path) -> None:
    scene = build(empty)
    path = write_alembic(tmp_path / "c.abc", scene)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for attempt in range(300):
        content = bytearray(whole)
        if attempt < 50:
            content = content[: random.integers(0, len(whole))]
        else:
            for place in random.integers(8, len(whole), 3):
                content[place] = random.integers(0, 256)
        path.write_bytes(content)
        try:
            load(path, scene)
        except InvalidInput as error:
            assert error.hint
            refused += 1
    assert refused > 100
    for content in (b"\x89HDF\r\n\x1a\n" + b"\0" * 64, b"", b"Ogawa\x00\x00\x01" + struct.pack("<Q", 16)):
        path.write_bytes(content)
        with pytest.raises(InvalidInput):
            load(path, scene)


@pytest.mark.parametrize("text", ["", "# nothing\n", "1001 1 2 3 4\n", "1001 a b c d e f\n", "1001 0 0 0 0 0 0 200\n"])
def test_a_broken_chan_is_refused_in_a_sentence(tmp_path, text) -> None:
    path = tmp_path / "c.chan"
    path.write_text(text)
    with pytest.raises(InvalidInput) as refused:
        load_camera(path, width=1920, height=1080, frames=np.array([1001]))
    assert refused.value.hint


def test_without_blender_usd_is_refused_with_the_fix(tmp_path, monkeypatch) -> None:
    path = tmp_path / "c.usda"
    path.write_text("#usda 1.0\n")
    with pytest.raises(InvalidInput, match="holds no camera"):
        load_camera(path, width=1920, height=1080, frames=np.array([1001]))
    monkeypatch.setattr(usd_camera.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InvalidInput, match="no bpy") as refused:
        load_camera(path, width=1920, height=1080, frames=np.array([1001]))
    assert "dubplate[blender]" in refused.value.hint


def test_a_blender_that_hangs_is_given_up(tmp_path, monkeypatch) -> None:
    def hang(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("blender", 1)

    path = tmp_path / "c.usda"
    path.write_text("#usda 1.0\n")
    monkeypatch.setattr(usd_camera.subprocess, "run", hang)
    with pytest.raises(InvalidInput, match="did not read"):
        load_camera(path, width=1920, height=1080, frames=np.array([1001]))


def test_a_camera_that_scales_or_mirrors_is_refused() -> None:
    matrix = np.eye(4)[None]
    lens = np.array([[1000.0, 1000, 960, 540]])
    for diagonal in ((2, 2, 2), (-1, 1, 1)):
        bad = matrix.copy()
        bad[0, :3, :3] = np.diag(diagonal)
        with pytest.raises(InvalidInput, match="rigid"):
            SolvedCamera(lens, np.zeros(8), bad)
    with pytest.raises(InvalidInput, match="focal"):
        SolvedCamera(-lens, np.zeros(8), matrix)
    with pytest.raises(InvalidInput, match="expected"):
        SolvedCamera(lens, np.zeros(5), matrix)
    assert len(SolvedCamera(lens, np.zeros(8), matrix)) == 1
