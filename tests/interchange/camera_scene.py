# SPDX-License-Identifier: Apache-2.0
"""A camera in Blender whose every frame is known: parented, turning, zooming, shifted; written as matchmoves are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dubplate_backend.tracking.solved_camera import SolvedCamera

FPS = 25
Y_UP_FROM_Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


@dataclass(frozen=True)
class CameraScene:
    """width, height: px.   points: (N, 3) in a world with y up, metres.   seen: (T, N, 2) where Blender sees them, px.

    matrices: (T, 4, 4) world from camera, world with y up, camera looking along -z.
    """

    frames: np.ndarray
    width: int
    height: int
    points: np.ndarray
    seen: np.ndarray
    matrices: np.ndarray
    focal_mm: np.ndarray
    sensor_mm: float


def build(
    bpy: Any,
    *,
    width: int = 1920,
    height: int = 1080,
    pixel_aspect: float = 1.0,
    zoom: bool = True,
    shift: tuple[float, float] = (0.02, -0.03),
    frames: range = range(1001, 1007),
    fps: int = FPS,
) -> CameraScene:
    """Put the camera into an empty scene, and ask Blender what it sees."""
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector

    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = fps, frames[0], frames[-1]
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = pixel_aspect, 1.0
    lens = bpy.data.cameras.new("Lens")
    rig = bpy.data.objects.new("Rig", None)
    camera = bpy.data.objects.new("Shot", lens)
    for item in (rig, camera):
        scene.collection.objects.link(item)
    scene.camera, camera.parent = camera, rig
    rig.location, rig.rotation_euler = (0.5, 0.2, 0.3), (0.1, 0.2, 0.3)
    lens.sensor_width, lens.sensor_fit = 36.0, "HORIZONTAL"
    lens.sensor_height = 36.0 * height / (width * pixel_aspect)
    lens.shift_x, lens.shift_y = shift
    for index, frame in enumerate(frames):
        camera.location = (0.3 * index, -5.0, 1.5 + 0.1 * index)
        camera.rotation_euler = (1.4 + 0.02 * index, 0.05 * index, 0.1 - 0.03 * index)
        camera.keyframe_insert("location", frame=frame)
        camera.keyframe_insert("rotation_euler", frame=frame)
        if zoom or index == 0:
            lens.lens = 35.0 + 4.0 * index
            lens.keyframe_insert("lens", frame=frame)
    points = np.random.default_rng(3).uniform(-1, 1, (20, 3))
    seen, matrices, focal = [], [], []
    for frame in frames:
        scene.frame_set(frame)
        shares = [world_to_camera_view(scene, camera, Vector(point)) for point in points]
        seen.append([(width * x, height * (1 - y)) for x, y, _ in shares])
        matrix = np.array(camera.matrix_world)
        matrix[:3] = Y_UP_FROM_Z_UP @ matrix[:3]
        matrices.append(matrix)
        focal.append(lens.lens)
    return CameraScene(
        np.array(frames), width, height, points @ Y_UP_FROM_Z_UP.T, np.array(seen), np.array(matrices),
        np.array(focal), 36.0,
    )  # fmt: skip


def write_chan(path: Path, scene: CameraScene, *, order: str = "ZXY", angle: bool = True) -> Path:
    """Nuke's text, its Euler angles from Blender's own arithmetic."""
    from mathutils import Matrix

    lines = ["# made by hand"]
    for index, frame in enumerate(scene.frames):
        matrix = Matrix(scene.matrices[index].tolist())
        x, y, z = np.degrees(matrix.to_euler(order))
        height_mm = scene.sensor_mm * scene.height / scene.width
        cells = [str(frame), *matrix.translation, x, y, z]
        if angle:
            cells.append(np.degrees(2 * np.arctan(0.5 * height_mm / scene.focal_mm[index])))
        lines.append("\t".join(cell if isinstance(cell, str) else f"{cell:.10f}" for cell in cells))
    path.write_text("\n".join(lines) + "\n")
    return path


def projected(camera: SolvedCamera, points: np.ndarray) -> np.ndarray:
    """(T, N, 2) px, straight from the words of SolvedCamera."""
    inverse = np.linalg.inv(camera.world_from_camera)
    local = np.einsum("tij,nj->tni", inverse[:, :3, :3], points) + inverse[:, None, :3, 3]
    fx, fy, cx, cy = camera.intrinsics.T[..., None]
    return np.stack([fx * local[..., 0] / local[..., 2] + cx, fy * local[..., 1] / local[..., 2] + cy], -1)
