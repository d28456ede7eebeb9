# SPDX-License-Identifier: Apache-2.0
"""A shot's head as VHAP's file: what VHAP's own equations make of it lies where the shot's does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from flame_reference import VERTICES, Motion, posed, some_motion
from foreign_tracks import opengl_picture
from typer.testing import CliRunner

from dubplate_backend.cli.main import application
from dubplate_backend.interchange.export_vhap import export_vhap
from dubplate_backend.interchange.picture_times import on_plate
from dubplate_backend.interchange.track_formats import TrackFormat, read_tracked
from dubplate_shared.errors import HeadModelMismatch, InvalidInput
from dubplate_shared.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from dubplate_shared.shot import HeadIdentity, PlateSource, Rate, Shot, ShotInfo, write_shot
from dubplate_shared.track import Track

WIDTH, HEIGHT, COUNT = 640, 480, 6
FOCAL_PX = 900.0


def shot_of(folder: Path, head, **changes: object) -> Shot:
    """A shot of some motion, its head a metre away."""
    motion = some_motion(COUNT)
    turn = np.array([np.pi, 0, 0]) + motion.root
    arrays = {
        "frame": 1001 + np.arange(COUNT),
        "time": np.arange(COUNT) / 30,
        "shape": motion.shape,
        "expression": motion.expression,
        "jaw": motion.jaw,
        "neck": motion.neck,
        "eyes": motion.eyes,
        "eyelids": motion.eyelids,
        "rotation": turn,
        "translation": np.array([0.01, 0.02, 1.0]) + 0.05 * motion.root,
        "intrinsics": np.tile([FOCAL_PX, FOCAL_PX, WIDTH / 2, HEIGHT / 2], (COUNT, 1)),
        "distortion": np.zeros(8),
        "lighting": np.zeros((COUNT, 9, 3)),
        "texture": np.zeros(0),
        "confidence": np.ones(COUNT),
        "landmarks_px": np.zeros((COUNT, 0, 2)),
        "projected_px": np.zeros((COUNT, 0, 2)),
        "landmark_index": np.zeros(0),
    } | changes
    info = ShotInfo(
        name="sh010",
        frame_count=COUNT,
        rate=Rate(30),
        width=WIDTH,
        height=HEIGHT,
        plate=PlateSource("video", "plate.mp4", "srgb_rec709_display"),
        head=HeadIdentity(head.kind, head.sha256),
    )
    rig = head.rig(torch.from_numpy(motion.shape).float())
    crop = np.zeros((COUNT, 2, 3))
    return write_shot(folder / "sh010.dubshot", info, Track(**arrays), crop, rig)


def test_vhaps_own_equations_put_the_head_where_the_shot_does(flame, tmp_path):
    shot = shot_of(tmp_path, flame.head, eyelids=np.zeros((COUNT, 2)))
    assert export_vhap(shot, tmp_path / "out.npz") == ()
    content = np.load(tmp_path / "out.npz")
    motion = Motion(
        shape=content["shape"],
        expression=content["expr"],
        root=content["rotation"],
        neck=content["neck_pose"],
        jaw=content["jaw_pose"],
        eyes=content["eyes_pose"],
        eyelids=np.zeros((COUNT, 2)),
    )
    focal = float(content["focal_length"][0]) * WIDTH
    for frame in range(COUNT):
        camera = posed(flame.arrays, motion, frame) + content["translation"][frame] + np.array([0, 0, -1.0])
        expected = opengl_picture(camera, focal, focal, WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT)
        track = shot.track
        head_space = posed(flame.arrays, motion, frame, root=False)
        ours = head_space @ matrix_from_axis_angle(track.rotation[frame]).T + track.translation[frame]
        found = ours[:, :2] / ours[:, 2:] * track.intrinsics[frame, :2] + track.intrinsics[frame, 2:]
        assert found.shape == (VERTICES, 2)
        assert np.abs(found - expected).max() < 0.01


def test_what_is_exported_comes_back_the_same(flame, tmp_path):
    shot = shot_of(tmp_path, flame.head)
    notes = export_vhap(shot, tmp_path / "out.npz")
    assert notes == ("VHAP has no eyelids: they are left out.",)
    back = read_tracked([tmp_path / "out.npz"], flame.head, TrackFormat.AUTO)
    assert (back.edition, back.rate, back.picture) == ("flame2020", 30.0, (WIDTH, HEIGHT))
    for name in ("expression", "jaw", "neck", "eyes", "shape"):
        assert np.abs(getattr(back, name) - getattr(shot.track, name)).max() < 1e-5
    rotation = axis_angle_from_matrix(back.pose.rotation)
    assert np.abs(matrix_from_axis_angle(rotation) - matrix_from_axis_angle(shot.track.rotation)).max() < 1e-5
    assert np.abs(back.pose.translation - shot.track.translation).max() < 1e-5
    assert np.abs(back.pose.intrinsics / shot.track.intrinsics - 1).max() < 1e-5
    assert on_plate(back.number, back.rate, shot.track.time).frame.tolist() == list(range(COUNT))


def test_vhap_itself_finds_every_array_that_it_loads(flame, tmp_path):
    """`load_from_tracked_flame_params` asks for these names."""
    export_vhap(shot_of(tmp_path, flame.head), tmp_path / "out.npz")
    content = np.load(tmp_path / "out.npz")
    shapes = {
        "rotation": (COUNT, 3), "translation": (COUNT, 3), "neck_pose": (COUNT, 3), "jaw_pose": (COUNT, 3),
        "eyes_pose": (COUNT, 6), "shape": (300,), "expr": (COUNT, 100), "lights": (9, 3), "focal_length": (1,),
    }  # fmt: skip
    for name, shape in shapes.items():
        assert content[name].shape == shape and content[name].dtype == np.float32
    assert content["image_size"].tolist() == [HEIGHT, WIDTH]


def test_the_stand_ins_codes_are_not_exported_as_flame(standin, tmp_path):
    with pytest.raises(HeadModelMismatch, match="mean nothing to FLAME"):
        export_vhap(shot_of(tmp_path, standin), tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize(
    ("lens", "fault"),
    [
        ([900, 900, WIDTH / 2 + 150, HEIGHT / 2], "principal point lies 150 px from the picture's middle"),
        ([900, 860, WIDTH / 2, HEIGHT / 2], "pixels are not square"),
        ([[900 + index] * 2 + [WIDTH / 2, HEIGHT / 2] for index in range(COUNT)], "it zooms"),
    ],
)
def test_a_camera_that_vhap_cannot_hold_is_refused_and_not_bent(flame, tmp_path, lens, fault):
    shot = shot_of(tmp_path, flame.head, intrinsics=np.broadcast_to(lens, (COUNT, 4)))
    with pytest.raises(InvalidInput, match=fault):
        export_vhap(shot, tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


def test_a_principal_point_a_little_off_is_met_by_a_little_turn(flame, tmp_path):
    lens = np.tile([FOCAL_PX, FOCAL_PX, WIDTH / 2 + 3, HEIGHT / 2 - 4], (COUNT, 1))
    shot = shot_of(tmp_path, flame.head, intrinsics=lens, eyelids=np.zeros((COUNT, 2)))
    (note,) = export_vhap(shot, tmp_path / "out.npz")
    assert "lies 5.0 px from it" in note
    back = read_tracked([tmp_path / "out.npz"], flame.head, TrackFormat.AUTO)
    for frame in range(COUNT):
        head = shot.rig.pose(*(getattr(shot.track, name)[frame] for name in ("expression", "jaw", "neck", "eyes")))
        seen = []
        for turn, shift, (fx, fy, cx, cy) in (
            (matrix_from_axis_angle(shot.track.rotation[frame]), shot.track.translation[frame], lens[frame]),
            (back.pose.rotation[frame], back.pose.translation[frame], back.pose.intrinsics[frame]),
        ):
            camera = shot.rig.landmarks(head) @ turn.T + shift
            seen.append(camera[:, :2] / camera[:, 2:] * [fx, fy] + [cx, cy])
        assert 0 < np.abs(seen[0] - seen[1]).max() < 0.2
        assert np.abs(np.mean(seen[0] - seen[1], axis=0)).max() < 0.05


def test_distortion_is_refused(flame, tmp_path):
    shot = shot_of(tmp_path, flame.head, distortion=np.array([0.1, 0, 0, 0, 0, 0, 0, 0]))
    with pytest.raises(InvalidInput, match="it has distortion"):
        export_vhap(shot, tmp_path / "out.npz")


def test_the_command_line_exports(flame, tmp_path):
    shot = shot_of(tmp_path, flame.head)
    out = tmp_path / "tracked_flame_params_0.npz"
    result = CliRunner().invoke(application(), ["export", str(shot.path), "-o", str(out), "--format", "vhap"])
    assert result.exit_code == 0, result.output
    assert out.exists() and "no eyelids" in result.output
    assert "dubplate export" in CliRunner().invoke(application(), ["export", "--help"]).output
