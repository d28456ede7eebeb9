# SPDX-License-Identifier: Apache-2.0
"""A known head, written as each tool writes it, is imported to where that tool's own projection puts it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from flame_reference import VERTICES, Motion, posed, some_motion
from foreign_tracks import (
    deca_codes,
    deca_screen,
    write_metrical,
    write_pixel3dmm,
    write_vhap,
    write_vhap_nerf,
)
from scipy.spatial.transform import Rotation

from dubplate_backend.head.model import HeadModel
from dubplate_backend.interchange.face_codes import CROP_PX
from dubplate_backend.interchange.picture_crop import PictureCrop, read_crop, whole_plate
from dubplate_backend.interchange.track_formats import TrackFormat, read_tracked, recognised
from dubplate_backend.interchange.tracked_frames import Edition, PerspectivePose, TrackedFrames
from dubplate_backend.interchange.weak_perspective import to_perspective
from dubplate_shared.errors import InvalidInput

COUNT = 3
TOLERANCE_PX = 0.01


def projected(head: HeadModel, tracked: TrackedFrames, pose: PerspectivePose) -> np.ndarray:
    """FLAME's own vertices through the imported codes, pose and lens, [N, 5023, 2] px."""
    codes = (tracked.shape, tracked.expression, tracked.jaw, tracked.neck, tracked.eyes, tracked.eyelids)
    vertices = head.vertices(*(torch.from_numpy(code).float() for code in codes)).double().numpy()[:, :VERTICES]
    camera = np.einsum("nij,nvj->nvi", pose.rotation, vertices) + pose.translation[:, None]
    assert (camera[..., 2] > 0).all(), "the head lies before the camera"
    return camera[..., :2] / camera[..., 2:] * pose.intrinsics[:, None, :2] + pose.intrinsics[:, None, 2:]


def assert_seen(head: HeadModel, tracked: TrackedFrames, seen: list[np.ndarray]) -> None:
    assert isinstance(tracked.pose, PerspectivePose)
    found = projected(head, tracked, tracked.pose)
    assert np.ptp(found, axis=1).min() > 40, "the head is large enough in the picture to prove anything"
    assert np.abs(found - np.array(seen)).max() < TOLERANCE_PX


@pytest.fixture(scope="module")
def motion() -> Motion:
    return some_motion(COUNT)


def without_neck_and_root() -> Motion:
    still = some_motion(COUNT, neck=False)
    return Motion(**{**vars(still), "root": np.zeros((COUNT, 3))})


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("size", [(512, 512), (480, 854)])
def test_metrical_trackers_camera_and_six_numbers_are_its_own(flame, tmp_path, size, zipped):
    lids = flame.head.eyelid_basis[:VERTICES].double().numpy()
    seen = write_metrical(tmp_path, flame.arrays, without_neck_and_root(), lids, size=size, zipped=zipped)
    tracked = read_tracked([tmp_path], flame.head, TrackFormat.AUTO)
    assert (tracked.tool, tracked.edition, tracked.rate) == ("metrical-tracker", Edition.FLAME2020, 25.0)
    assert tracked.picture == size[::-1]
    assert_seen(flame.head, tracked, seen)


def test_pixel3dmms_moving_head_and_camera_are_its_own(flame, tmp_path, motion):
    seen = write_pixel3dmm(tmp_path / "checkpoint", flame.arrays, motion)
    tracked = read_tracked([tmp_path], flame.head, TrackFormat.AUTO)
    assert tracked.tool == "pixel3dmm"
    assert np.abs(tracked.neck).max() > 0.05
    assert_seen(flame.head, tracked, seen)


@pytest.mark.parametrize("size", [(480, 640), (720, 480)])
def test_vhaps_root_joint_and_camera_are_its_own(flame, tmp_path, motion, size):
    seen = write_vhap(tmp_path / "tracked_flame_params_30.npz", flame.arrays, motion, size=size)
    write_vhap(tmp_path / "tracked_flame_params_0.npz", flame.arrays, some_motion(COUNT, seed=9))
    tracked = read_tracked([tmp_path], flame.head, TrackFormat.AUTO)
    assert (tracked.tool, tracked.edition) == ("VHAP", Edition.FLAME2023)
    assert_seen(flame.head, tracked, seen)


def test_vhaps_teeth_are_counted_and_its_offsets_are_said(flame, tmp_path, motion):
    offset = np.zeros((VERTICES + 120, 3))
    offset[:, 1] = 0.002  # of the whole head, so that the root joint moves with it
    offset[VERTICES:] = 1.0
    seen = write_vhap(tmp_path / "t.npz", flame.arrays, motion, offset=offset)
    tracked = read_tracked([tmp_path / "t.npz"], flame.head, TrackFormat.VHAP)
    assert any("2.0 mm on average, 2.0 mm at most" in note for note in tracked.notes)
    found = projected(flame.head, tracked, tracked.pose)
    lifted = 0.002 * 1.6 * 640  # what was left out, at a metre, in px
    assert np.abs(np.linalg.norm(found - np.array(seen), axis=2).mean() - lifted) < 0.2


@pytest.mark.parametrize("vertices", [VERTICES - 1, VERTICES + 1])
def test_offsets_of_another_head_are_refused(flame, tmp_path, motion, vertices):
    write_vhap(tmp_path / "t.npz", flame.arrays, motion)
    content = dict(np.load(tmp_path / "t.npz"))
    np.savez(tmp_path / "t.npz", **content, static_offset=np.zeros((1, vertices, 3)))
    with pytest.raises(InvalidInput, match="FLAME has 5023 vertices"):
        read_tracked([tmp_path / "t.npz"], flame.head, TrackFormat.VHAP)


def test_vhap_with_cameras_that_were_given_asks_for_the_export_that_keeps_them(flame, tmp_path, motion):
    write_vhap(tmp_path / "t.npz", flame.arrays, motion, focal=False)
    with pytest.raises(InvalidInput, match="keeps no focal length") as told:
        read_tracked([tmp_path / "t.npz"], flame.head, TrackFormat.VHAP)
    assert "transforms.json" in told.value.hint


def test_the_nerf_exports_cameras_are_each_pictures_own(flame, tmp_path, motion):
    seen = write_vhap_nerf(tmp_path / "export", flame.arrays, motion, cameras=("22", "37"))
    with pytest.raises(InvalidInput, match="2 cameras: 22, 37"):
        read_tracked([tmp_path / "export"], flame.head, TrackFormat.AUTO)
    for camera in ("22", "37"):
        tracked = read_tracked([tmp_path / "export"], flame.head, TrackFormat.VHAP_NERF, camera=camera)
        assert_seen(flame.head, tracked, seen[camera])
        assert np.ptp(tracked.pose.intrinsics[:, 0]) == pytest.approx(10.0)
    assert np.ptp(tracked.jaw[:, 0]) < 0.2, "the canonical head's jaw of 0.3 rad is no frame"


@pytest.mark.parametrize("tool", ["deca", "smirk", "emoca"])
def test_a_camera_without_perspective_is_met_by_a_long_lens(flame, tmp_path, tool):
    """With a lens long enough a perspective camera has no perspective: what is left must be nought."""
    motion = some_motion(COUNT, neck=False)
    motion = Motion(**{**vars(motion), "eyes": np.zeros((COUNT, 6)), "eyelids": np.zeros((COUNT, 2))})
    motion.shape[100:], motion.expression[:, 50:] = 0, 0
    crop = np.linalg.inv(np.array([[1.3, 0, 500.0], [0, 1.3, 80.0], [0, 0, 1]]))
    seen = []
    for frame in range(COUNT):
        camera = np.array([7.5 + frame, 0.01 * frame, -0.02])
        codes = {**deca_codes(motion, frame, camera), "tform": crop}
        if tool == "smirk":
            codes = {
                "shape_params": np.pad(codes["shape"], ((0, 0), (0, 200))),
                "expression_params": codes["exp"],
                "pose_params": codes["pose"][:, :3],
                "jaw_params": codes["pose"][:, 3:],
                "eyelid_params": np.zeros((1, 2), np.float32),
                "cam": codes["cam"],
                "tform": crop,
            }
            np.save(tmp_path / f"man_{frame:04d}.npy", codes, allow_pickle=True)
        elif tool == "emoca":
            (tmp_path / f"{frame:06d}_000").mkdir()
            for name in ("shape", "exp", "pose", "cam"):
                np.save(tmp_path / f"{frame:06d}_000" / f"{name}.npy", codes[name][0])
            np.save(tmp_path / f"{frame:06d}_000" / "tform.npy", crop)
        else:
            np.savez(tmp_path / f"man_frame{frame:04d}.npz", **codes)
        seen.append(deca_screen(posed(flame.arrays, motion, frame), camera, np.linalg.inv(crop)))
    tracked = read_tracked([tmp_path], flame.head, TrackFormat.AUTO)
    assert tracked.tool == tool.upper()
    middle = np.array([posed(flame.arrays, motion, frame, root=False).mean(0) for frame in range(COUNT)])
    for focal, tolerance in ((1e7, TOLERANCE_PX), (1500.0, 40.0)):
        lens = np.array([focal, focal, 640, 360])
        pose = to_perspective(tracked.pose, tracked.pose.crop_from_plate, CROP_PX, middle, lens)
        found = projected(flame.head, tracked, pose)
        assert np.abs(found - np.array(seen)).max() < tolerance
    assert np.abs(found - np.array(seen)).max() > 1.0, "a lens of 1500 px has perspective"


def test_emocas_own_files_have_no_camera_and_say_so(flame, tmp_path):
    motion = some_motion(2)
    for frame in range(2):
        folder = tmp_path / f"{frame:06d}_000"
        folder.mkdir()
        codes = deca_codes(motion, frame, np.zeros(3))
        for name in ("shape", "exp", "pose", "tex"):
            np.save(folder / f"{name}.npy", codes[name][0])
    tracked = read_tracked([tmp_path], flame.head, TrackFormat.AUTO)
    assert tracked.pose is None
    assert tracked.number.tolist() == [0, 1]


@pytest.mark.parametrize("suffix", [".mat", ".npz"])
def test_decas_mesh_without_codes_is_refused_with_the_fix(flame, tmp_path, suffix):
    path = tmp_path / f"man_0000{suffix}"
    mesh = {"verts": np.zeros((1, 5023, 3)), "landmarks2d": np.zeros((1, 68, 2))}
    scipy.io.savemat(path, mesh) if suffix == ".mat" else np.savez(path, **mesh)
    with pytest.raises(InvalidInput, match=r"mesh.* and not its codes") as told:
        read_tracked([path], flame.head, TrackFormat.AUTO)
    assert "codedict" in told.value.hint


def test_a_crop_of_the_plate_moves_the_lens_to_where_it_was_cut():
    lens = PictureCrop(100, 50, 400, 400).intrinsics(np.array([[1000.0, 1000.0, 256.0, 250.0]]), (512, 512))
    point = np.array([0.1, -0.05, 1.0])
    inside = 1000 * point[:2] + np.array([256, 250])
    assert np.allclose(lens[0, :2] * point[:2] + lens[0, 2:], inside * 400 / 512 + np.array([100, 50]))


def test_the_tools_own_crop_files_are_read(tmp_path):
    torch.save(np.array([200, 600, 40, 400]), tmp_path / "bbox.pt")  # 400 wide, 360 high: padded by 20 above and below
    assert read_crop(tmp_path / "bbox.pt") == PictureCrop(200, 20, 400, 400)
    np.save(tmp_path / "crop_ymin_ymax_xmin_xmax.npy", np.array([10, 410, 30, 430]))
    assert read_crop(tmp_path / "crop_ymin_ymax_xmin_xmax.npy") == PictureCrop(30, 10, 400, 400)


def test_pictures_of_another_shape_than_the_plate_ask_for_the_crop():
    assert whole_plate((640, 360), (1280, 720)) == PictureCrop(0, 0, 1280, 720)
    with pytest.raises(InvalidInput, match="it cropped") as told:
        whole_plate((512, 512), (1280, 720))
    assert "--crop X Y SIZE" in told.value.hint


def test_rotations_of_six_numbers_need_not_be_orthonormal():
    from dubplate_backend.interchange.conventions import matrix_from_6d

    truth = Rotation.from_rotvec([0.3, -0.2, 0.5]).as_matrix()
    drifted = np.concatenate([1.3 * truth[0], 0.8 * truth[1] + 0.4 * truth[0]])  # as an optimiser leaves them
    assert np.allclose(matrix_from_6d(drifted), truth)
    with pytest.raises(ValueError, match="span no plane"):
        matrix_from_6d(np.array([1.0, 0, 0, 2.0, 0, 0]))


def test_files_of_no_known_tool_are_refused(flame, tmp_path):
    np.savez(tmp_path / "a0.npz", weights=np.zeros(3))
    with pytest.raises(InvalidInput, match="no tool that is known: it holds weights"):
        recognised([tmp_path / "a0.npz"])
    with pytest.raises(InvalidInput, match="holds no tracked head"):
        read_tracked([Path(tmp_path / "..")], flame.head, TrackFormat.AUTO)
