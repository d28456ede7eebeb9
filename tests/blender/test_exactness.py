# SPDX-License-Identifier: Apache-2.0
"""What Blender shows is what is sent: evaluated vertices against our skinning, under every layer there is."""

from __future__ import annotations

import numpy as np
import pytest
from blender_shot import drivers_round, evaluated_vertices, write_test_shot

from dubplate_shared.rig import Rig
from dubplate_shared.take import Take

POSES = 100


@pytest.fixture(scope="session")
def flame_rig(assets) -> Rig:
    """A head of FLAME's files and counts, whose joints move with expression."""
    return Rig.load(assets / "flame.npz")


def worst_error(bpy, armature, shot, every: int = 1) -> float:
    """Largest distance [m] of Blender's vertices from those of the take that would be sent, on one frame in `every`."""
    from blender_addon.curves.performance import read_take

    take = read_take(armature)
    worst = 0.0
    for index in range(0, len(shot.frames), every):
        bpy.context.scene.frame_set(shot.frames[index])
        wanted = shot.rig.pose(take.expression[index], take.jaw[index], shot.track.neck[index], take.eyes[index])
        worst = max(worst, float(np.linalg.norm(evaluated_vertices(bpy, armature) - wanted, axis=1).max()))
    return worst


def random_take(shot, name: str, seed: int) -> Take:
    rng = np.random.default_rng(seed)
    count = len(shot.frames)
    jaw = rng.normal(0, [0.15, 0.04, 0.03], (count, 3))
    return Take(name, rng.normal(0, 1.2, (count, 100)), jaw, rng.normal(0, 0.2, (count, 6)))


def layered(shot):
    """The shot imported, with a take, a patch over it and offsets of every kind, keyed and written."""
    from blender_addon.curves import channels
    from blender_addon.layers.offsets import add_offsets, key_offset
    from blender_addon.layers.patches import add_patch
    from blender_addon.layers.takes import load_take
    from blender_addon.scene.import_shot import import_shot

    rng = np.random.default_rng(4)
    armature = import_shot(shot.path)
    load_take(armature, shot, random_take(shot, "voice", 8))
    add_patch(armature, shot, random_take(shot, "other", 9), range(1030, 1041), 4)
    frames = range(1010, 1061)
    names = shot.rig.control_names
    add_offsets(armature, frames, {channels.control(name): rng.normal(0, 0.4, len(frames)) for name in names})
    add_offsets(armature, frames, {channel: rng.normal(0, 0.05, len(frames)) for channel in channels.ANGLES})
    for frame in (1007, 1021, 1070):
        key_offset(armature, frame, {channels.expression(3): 1.5, channels.control("smile_L"): 1.7}, 5)
    return armature


def test_a_hundred_layered_poses_of_the_stand_in_are_ours_to_ten_micrometres_also_after_reopening(
    bpy, tmp_path, standin_rig
):
    from blender_addon.curves.performance import read_take
    from blender_addon.scene.shot_link import find_head

    shot = write_test_shot(tmp_path, rig=standin_rig, count=POSES)
    armature = layered(shot)
    assert worst_error(bpy, armature, shot) < 1e-6
    before = read_take(armature)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "head.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "head.blend"))
    armature = find_head(bpy.context)
    after = read_take(armature)
    assert all(np.array_equal(getattr(before, name), getattr(after, name)) for name in ("expression", "jaw", "eyes"))
    assert worst_error(bpy, armature, shot, every=4) < 1e-6


def test_a_head_whose_joints_move_with_expression_is_ours_to_half_a_millimetre_after_edits(bpy, tmp_path, flame_rig):
    assert np.abs(flame_rig.joint_expression[1:]).max() > 1e-4  # else it proves nothing
    shot = write_test_shot(tmp_path, rig=flame_rig, count=POSES)
    armature = layered(shot)
    assert worst_error(bpy, armature, shot, every=2) < (5e-4 if drivers_round(bpy.app.version) else 2e-6)
