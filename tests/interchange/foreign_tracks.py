# SPDX-License-Identifier: Apache-2.0
"""Writes other trackers' files from a known head, and says where each tool's own projection puts its vertices.

Each reference is written from the tool's documented camera and shares nothing with the importer.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from flame_reference import Motion, posed
from scipy.spatial.transform import Rotation


def six(matrix: np.ndarray) -> np.ndarray:
    """PyTorch3D's matrix_to_rotation_6d: the first two rows, one after the other."""
    return matrix[..., :2, :].reshape(*matrix.shape[:-2], 6).astype(np.float32)


def sixes(axis_angle: np.ndarray) -> np.ndarray:
    """[3 J] axis-angle to [6 J]."""
    return six(Rotation.from_rotvec(axis_angle.reshape(-1, 3)).as_matrix()).reshape(-1)


def row(array: np.ndarray) -> np.ndarray:
    return np.asarray(array, np.float32)[None]


def write_metrical(
    folder: Path, arrays: dict, motion: Motion, lids: np.ndarray, *, size: tuple[int, int] = (512, 512),
    numbers: list[int] | None = None, zipped: bool = True,
) -> list[np.ndarray]:  # fmt: skip
    """metrical-tracker: a head that is not turned, a PyTorch3D PerspectiveCameras in NDC.   size: height, width."""
    folder.mkdir(parents=True, exist_ok=True)
    height, width = size
    random = np.random.default_rng(5)
    seen = []
    for frame in range(len(motion)):
        # look_at_view_transform(dist=1): the camera on +z, looking back; then a person's own movement
        nod = Rotation.from_rotvec(random.normal(0, 0.2, 3)).as_matrix()
        view = np.diag([-1.0, 1.0, -1.0]) @ nod  # X_view = X @ view + t
        t = np.array([0.02, 0.03, 1.1]) + random.normal(0, 0.02, 3)
        focal, middle = 9.5, np.array([0.03, -0.02])
        number = numbers[frame] if numbers else frame
        torch.save(
            {
                "flame": {
                    "exp": row(motion.expression[frame]),
                    "shape": row(motion.shape),
                    "tex": row(np.zeros(140)),
                    "sh": row(np.zeros((9, 3))),
                    "eyes": row(sixes(motion.eyes[frame])),
                    "eyelids": row(motion.eyelids[frame]),
                    "jaw": row(sixes(motion.jaw[frame])),
                },
                "camera": {"R": row(six(view)), "t": row(t), "fl": row([focal]), "pp": row(middle)},
                "opencv": {"R": row(np.eye(3)), "t": row(np.zeros(3)), "K": row(np.eye(3))},
                "img_size": np.array([height, width]),
                "frame_id": f"{number:05d}",
                "global_step": 314 * frame,
            },
            folder / f"{number:05d}.frame",
            _use_new_zipfile_serialization=zipped,
        )
        vertices = posed(arrays, motion, frame, root=False) + lids @ motion.eyelids[frame]
        camera = vertices @ view + t
        ndc = focal * camera[:, :2] / camera[:, 2:] + middle
        half = min(width, height) / 2
        seen.append(np.array([width / 2, height / 2]) - half * ndc)  # +x is left and +y is up
    return seen


def write_pixel3dmm(
    folder: Path, arrays: dict, motion: Motion, *, size: int = 256, jaw: bool = True
) -> list[np.ndarray]:
    """pixel3dmm: FLAME's root unturned, R and t about the origin, an OpenGL camera at z = 1."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(6)
    base, base_t = Rotation.from_rotvec([0.02, -0.03, 0.01]).as_matrix(), np.array([0.01, 0.0, -1.0])
    focal, middle = 3.9, np.array([0.02, 0.01])
    seen = []
    for frame in range(len(motion)):
        turn, t = Rotation.from_rotvec(motion.root[frame]).as_matrix(), random.normal(0, 0.02, 3)
        torch.save(
            {
                "flame": {
                    "exp": row(motion.expression[frame]),
                    "shape": row(motion.shape),
                    "eyes": row(sixes(motion.eyes[frame])),
                    "eyelids": row(np.zeros(2)),
                    "jaw": row(sixes(motion.jaw[frame])),
                    "neck": row(sixes(motion.neck[frame])),
                    "R": row(six(turn)),
                    "R_rotation_matrix": row(turn),
                    "t": row(t),
                },
                "img_size": np.array([size, size]),
                "frame_id": frame,
                "global_step": 100,
                "camera": {"R_base_0": row(base), "t_base_0": row(base_t), "fl": row([focal]), "pp": row(middle)},
                "joint_transforms": np.zeros((1, 5, 4, 4), np.float32),
            },
            folder / f"{frame:05d}.frame",
        )
        camera = (posed(arrays, motion, frame, root=False) @ turn.T + t) @ base.T + base_t
        seen.append(_pixel3dmm_screen(camera, focal, middle, size))
    return seen


def _pixel3dmm_screen(camera: np.ndarray, focal: float, middle: np.ndarray, size: int) -> np.ndarray:
    """get_intrinsics and project_points_screen_space; pixels are counted from whole numbers, hence the half."""
    cx, cy = size / 2 + 0.5 + middle * (size / 2 + 0.5)
    intrinsics = np.array([[focal * size, 0, size - cx], [0, focal * size, cy], [0, 0, 1]])
    ahead = camera / -camera[:, 2:]
    screen = -(ahead @ intrinsics.T)[:, :2]
    return np.stack([size - 1 - screen[:, 0], screen[:, 1]], axis=1) + 0.5


def write_vhap(
    path: Path, arrays: dict, motion: Motion, *, size: tuple[int, int] = (480, 640), offset: np.ndarray | None = None,
    ids: list[str] | None = None, focal: bool = True,
) -> list[np.ndarray]:  # fmt: skip
    """VHAP: FLAME with its root joint, then a translation; an OpenGL camera at (0, 0, 1).   size: height, width."""
    height, width = size
    translation = np.random.default_rng(7).normal(0, 0.03, (len(motion), 3))
    content = {
        "rotation": motion.root,
        "translation": translation,
        "neck_pose": motion.neck,
        "jaw_pose": motion.jaw,
        "eyes_pose": motion.eyes,
        "shape": motion.shape,
        "expr": motion.expression,
        "lights": np.zeros((9, 3)),
    }
    content = {name: array.astype(np.float32) for name, array in content.items()}
    if offset is not None:
        content["static_offset"] = offset[None].astype(np.float32)
    if focal:
        content["focal_length"] = np.array([1.6], np.float32)
    np.savez(
        path,
        **content,
        timestep_id=np.array(ids or [f"{index:06d}" for index in range(len(motion))]),
        n_processed_frames=np.array(0),
        image_size=np.array([height, width]),
    )
    moved = 0.0 if offset is None else offset[:5023]
    seen = []
    for frame in range(len(motion)):
        camera = posed(arrays, motion, frame, offset=moved) + translation[frame] + np.array([0, 0, -1.0])
        seen.append(opengl_picture(camera, 1.6 * max(size), 1.6 * max(size), width / 2, height / 2, width, height))
    return seen


def opengl_picture(
    camera: np.ndarray, fx: float, fy: float, cx: float, cy: float, width: int, height: int
) -> np.ndarray:
    """VHAP's projection_from_intrinsics to clip space, world_to_ndc with flip_y, then the picture."""
    clip_x = 2 * fx / width * camera[:, 0] + (width - 2 * cx) / width * camera[:, 2]
    clip_y = 2 * fy / height * camera[:, 1] + (height - 2 * cy) / height * camera[:, 2]
    ndc = np.stack([clip_x, -clip_y], axis=1) / -camera[:, 2:]
    return (ndc + 1) / 2 * np.array([width, height])


def write_vhap_nerf(
    folder: Path, arrays: dict, motion: Motion, *, cameras: tuple[str, ...] = ("0",), size: tuple[int, int] = (480, 640)
) -> dict[str, list[np.ndarray]]:
    """VHAP's NeRF export: a camera for each picture, here zooming and off the middle.   Returns where each sees it."""
    (folder / "flame_param").mkdir(parents=True)
    height, width = size
    random = np.random.default_rng(8)
    frames, seen = [], {camera: [] for camera in cameras}
    for frame in range(len(motion)):
        translation = random.normal(0, 0.01, 3)
        content = {
            "translation": translation[None],
            "rotation": motion.root[[frame]],
            "neck_pose": motion.neck[[frame]],
            "jaw_pose": motion.jaw[[frame]],
            "eyes_pose": motion.eyes[[frame]],
            "shape": motion.shape,
            "expr": motion.expression[[frame]],
        }
        path = f"flame_param/{frame:05d}.npz"
        np.savez(folder / path, **{name: array.astype(np.float32) for name, array in content.items()})
        vertices = posed(arrays, motion, frame) + translation
        for index, camera in enumerate(cameras):
            world = np.eye(4)
            world[:3, :3] = Rotation.from_rotvec([0.05, 0.1 + 0.2 * index, 0.02]).as_matrix()
            world[:3, 3] = [0.1 + 0.2 * index, 0.05, 1.0]
            lens = {"fl_x": 900.0 + 5 * frame, "fl_y": 890.0 + 5 * frame, "cx": 330.0, "cy": 233.0}
            frames.append(
                {
                    "timestep_index": frame,
                    "timestep_index_original": frame,
                    "timestep_id": f"{frame:06d}",
                    "camera_index": index,
                    "camera_id": camera,
                    **lens,
                    "w": width,
                    "h": height,
                    "transform_matrix": world.tolist(),
                    "file_path": f"images/{frame:05d}_{index:02d}.png",
                    "flame_param_path": path,
                }
            )
            inside = (vertices - world[:3, 3]) @ world[:3, :3]
            seen[camera].append(
                opengl_picture(inside, lens["fl_x"], lens["fl_y"], lens["cx"], lens["cy"], width, height)
            )
    np.savez(folder / "canonical_flame_param.npz", jaw_pose=np.array([[0.3, 0, 0]]))
    index = {
        "frames": frames,
        "timestep_indices": list(range(len(motion))),
        "camera_indices": list(range(len(cameras))),
    }
    (folder / "transforms.json").write_text(json.dumps(index))
    return seen


def deca_codes(motion: Motion, frame: int, camera: np.ndarray) -> dict[str, np.ndarray]:
    """What DECA's encoder returns for one picture."""
    return {
        "shape": row(motion.shape[:100]),
        "tex": row(np.zeros(50)),
        "exp": row(motion.expression[frame][:50]),
        "pose": row(np.concatenate([motion.root[frame], motion.jaw[frame]])),
        "cam": row(camera),
        "light": row(np.zeros((9, 3))),
    }


def deca_screen(vertices: np.ndarray, camera: np.ndarray, plate_from_crop: np.ndarray) -> np.ndarray:
    """batch_orth_proj with y turned down, then the crop of 224 px, then the plate."""
    flat = camera[0] * (vertices[:, :2] + camera[1:]) * np.array([1, -1])
    crop = (flat * 0.5 + 0.5) * 224
    return crop @ plate_from_crop[:2, :2].T + plate_from_crop[:2, 2]
