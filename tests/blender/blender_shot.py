# SPDX-License-Identifier: Apache-2.0
"""A small shot to import: a head with FLAME's layout and a random surface, and a face that turns, nods and speaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dubplate_shared.controls import CONTROL_NAMES
from dubplate_shared.rig import Rig
from dubplate_shared.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from dubplate_shared.shot import HeadIdentity, PlateSource, Rate, Shot, ShotInfo, write_shot
from dubplate_shared.track import Track

HEAD = HeadIdentity("test", "ab" * 32)
WIDTH, HEIGHT = 1080, 1920  # upright, as phones film
FIRST_FRAME = 1001


def make_rig(*, moving_joints: bool = False, seed: int = 7) -> Rig:
    """A rig with FLAME's layout, life-size but of random surface: a grid of points, none of which stays where it is."""
    rng = np.random.default_rng(seed)
    rows, columns = 12, 14
    grid_y, grid_x = np.mgrid[0:rows, 0:columns]
    longitude = (grid_x / (columns - 1) - 0.5) * np.pi
    latitude = (grid_y / (rows - 1) - 0.5) * 0.9 * np.pi
    surface = np.stack(
        [np.sin(longitude) * np.cos(latitude), np.sin(latitude), np.cos(longitude) * np.cos(latitude)], axis=-1
    )
    vertices = (surface * [0.08, 0.12, 0.1]).reshape(-1, 3)
    count = len(vertices)
    corner = (grid_y[:-1, :-1] * columns + grid_x[:-1, :-1]).ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + columns + 1], axis=1),
            np.stack([corner, corner + columns + 1, corner + columns], axis=1),
        ]
    )
    weights = rng.random((count, 5)) ** 3
    weights[rng.random((count, 5)) < 0.4] = 0.0
    weights[:, 2] += 0.01
    weights /= weights.sum(axis=1, keepdims=True)
    masks = {name: np.zeros(count, bool) for name in ("lips", "teeth")}
    masks["lips"][40:60] = True
    masks["teeth"][80:100] = True
    bary = rng.random((468, 3))
    return Rig(
        kind=HEAD.kind,
        sha256=HEAD.sha256,
        vertices=vertices.astype(np.float32),
        expression_basis=rng.normal(0, 5e-4, (count, 3, 100)).astype(np.float32),
        pose_basis=rng.normal(0, 2e-3, (count, 3, 36)).astype(np.float32),
        joints=np.array(
            [[0, -0.12, -0.02], [0, -0.08, -0.02], [0, 0.0, 0.01], [0.03, 0.04, 0.06], [-0.03, 0.04, 0.06]], np.float32
        ),
        joint_expression=(rng.normal(0, 3e-4, (5, 3, 100)) if moving_joints else np.zeros((5, 3, 100))).astype(
            np.float32
        ),
        skin_weights=weights.astype(np.float32),
        faces=faces.astype(np.int32),
        uv=np.stack([grid_x / (columns - 1), grid_y / (rows - 1)], axis=-1).reshape(-1, 2).astype(np.float32),
        faces_uv=faces.astype(np.int32),
        masks=masks,
        landmark_faces=rng.integers(0, len(faces), 468).astype(np.int32),
        landmark_barycentrics=(bary / bary.sum(axis=1, keepdims=True)).astype(np.float32),
        control_names=CONTROL_NAMES,
        control_expression=rng.normal(0, 0.3, (len(CONTROL_NAMES), 100)).astype(np.float32),
        control_jaw=np.array([[0.35 * (name == "jaw_open"), 0, 0] for name in CONTROL_NAMES], np.float32),
    )


def make_track(rig: Rig, count: int, *, zoom: bool = False, seed: int = 3) -> Track:
    """A face that turns, nods, comes nearer and speaks, before a camera off centre whose pixels are not square."""
    time = np.arange(count) / 25.0
    phase = np.linspace(0, 4 * np.pi, count)
    rng = np.random.default_rng(seed)
    upright = matrix_from_axis_angle(np.array([np.pi, 0, 0]))
    turns = np.stack([0.2 * np.sin(phase), 0.6 * np.sin(0.5 * phase), 0.1 * np.cos(phase)], axis=1)
    turn = matrix_from_axis_angle(turns)
    rotation = axis_angle_from_matrix(upright @ turn)
    translation = np.stack([0.03 * np.sin(phase), 0.02 * np.cos(phase), 0.7 + 0.1 * np.sin(phase)], axis=1)
    expression = rng.normal(0, 0.5, (count, 100)).astype(np.float32)
    jaw = np.stack([0.2 + 0.15 * np.sin(3 * phase), 0.03 * np.cos(phase), 0.02 * np.sin(phase)], axis=1)
    neck = np.stack([0.1 * np.sin(phase), 0.1 * np.cos(phase), 0.05 * np.sin(phase)], axis=1)
    eyes = 0.1 * np.stack([np.sin(phase + k) for k in range(6)], axis=1)
    intrinsics = np.tile([1518.8, 1383.8, 559.1, 922.1], (count, 1))
    if zoom:
        intrinsics[:, :2] *= np.linspace(1.0, 1.3, count)[:, None]
    rotations, projected = matrix_from_axis_angle(rotation), []
    for i in range(count):
        points = rig.landmarks(rig.pose(expression[i], jaw[i], neck[i], eyes[i])) @ rotations[i].T + translation[i]
        projected.append(points[:, :2] / points[:, 2:] * intrinsics[i, :2] + intrinsics[i, 2:])
    projected_px = np.array(projected)
    return Track(
        frame=np.arange(FIRST_FRAME, FIRST_FRAME + count),
        time=time,
        shape=np.zeros(300),
        expression=expression,
        jaw=jaw,
        neck=neck,
        eyes=eyes,
        eyelids=np.zeros((count, 2)),
        rotation=rotation,
        translation=translation,
        intrinsics=intrinsics,
        distortion=np.zeros(8),
        lighting=np.zeros((count, 9, 3)),
        texture=np.zeros(0),
        confidence=np.ones(count),
        landmarks_px=projected_px,
        projected_px=projected_px,
        landmark_index=np.arange(468),
    )


def write_test_shot(
    folder: Path, *, rig: Rig | None = None, count: int = 40, rate: Rate | None = None, plate: str = "plate.####.png",
    audio: tuple[str, ...] = (), zoom: bool = False,
) -> Shot:  # fmt: skip
    """A whole shot package in `folder`."""
    rig = make_rig() if rig is None else rig
    info = ShotInfo(
        name="scene7",
        frame_count=count,
        rate=rate or Rate(25),
        width=WIDTH,
        height=HEIGHT,
        plate=PlateSource("sequence", plate, "srgb_rec709_display"),
        head=HeadIdentity(rig.kind, rig.sha256),
        first_frame=FIRST_FRAME,
        pixel_aspect=1383.8 / 1518.8,
        audio=audio,
    )
    crop = np.tile(np.array([[1 / 200, 0, -1.0], [0, 1 / 200, -0.5]]), (count, 1, 1))
    return write_shot(folder / "scene7.dubshot", info, make_track(rig, count, zoom=zoom), crop, rig)


def drivers_round(version: tuple[int, ...]) -> bool:
    """Blender 5.0 leaves a bone's location as it is where a driver moves it by under 0.1 mm; before, it is exact."""
    return version >= (5, 0)


def evaluated_vertices(bpy, armature) -> np.ndarray:
    """(V, 3) of the mesh as Blender evaluates it on the scene's frame."""
    from blender_addon.rig.build import head_mesh_of

    mesh = head_mesh_of(armature).evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    found = np.zeros(3 * len(mesh.vertices), np.float32)
    mesh.attributes["position"].data.foreach_get("vector", found)
    return found.reshape(-1, 3)


def reads_zoom(suffix: str, version: tuple[int, ...]) -> bool:
    """Blender writes a zoom to both kinds of file, but reads the first lens of an Alembic only; and 4.2 of a USD."""
    return suffix != ".abc" and version >= (4, 3)
