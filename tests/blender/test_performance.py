# SPDX-License-Identifier: Apache-2.0
"""Curves go into Blender and come back the same, whatever layer an artist puts on top."""

from __future__ import annotations

import numpy as np
import pytest

from dubplate_shared.errors import HeadModelMismatch, InvalidInput
from dubplate_shared.rotations import matrix_from_axis_angle

JAW = 'pose.bones["jaw"].rotation_euler'


@pytest.fixture
def armature(bpy, shot):
    from blender_addon.scene.import_shot import import_shot

    return import_shot(shot.path)


def rotation_error(first: np.ndarray, second: np.ndarray) -> float:
    """Largest difference of two sets of rotations, as matrices: (..., 3) axis-angle."""
    return float(np.abs(matrix_from_axis_angle(first) - matrix_from_axis_angle(second)).max())


def base_curves(armature):
    """F-curves of the take that was imported."""
    from blender_addon.curves import animation

    (track,) = armature.animation_data.nla_tracks
    return animation.strip_fcurves(track.strips[0])


def test_the_take_read_back_is_the_take_imported(shot, armature):
    from blender_addon.curves.performance import read_take

    take, tracked = read_take(armature), shot.tracked_take()
    assert np.array_equal(take.expression, tracked.expression)
    assert rotation_error(take.jaw, tracked.jaw) < 1e-6
    assert rotation_error(take.eyes.reshape(-1, 2, 3), tracked.eyes.reshape(-1, 2, 3)) < 1e-6


def test_curves_stand_in_named_groups_and_the_jaw_opens_by_one_curve(armature):
    groups: dict[str, int] = {}
    for fcurve in base_curves(armature).values():
        groups[fcurve.group.name] = groups.get(fcurve.group.name, 0) + 1
    assert groups == {"Neck": 3, "Jaw": 3, "Eyes": 6, "Expression": 100, "Head": 6}
    before = base_curves(armature)[JAW, 0].evaluate(1010)
    assert 0.0 < before < 0.5  # radians, positive opens


def test_evaluated_and_plain_reading_give_the_same_bits(bpy, armature):
    """A frame that no edit touches keeps its pixels only if its numbers do not depend on how they were read."""
    from blender_addon.curves import nla
    from blender_addon.curves.channels import JAW as JAW_CHANNELS
    from blender_addon.curves.performance import read_take

    opening = [JAW_CHANNELS[0][:2]]
    assert nla.evaluate(armature, opening, [1001]) is not None
    plain = read_take(armature)
    track = armature.animation_data.nla_tracks.new()
    track.strips.new("none", 1, bpy.data.actions.new("nothing")).scale = 2.0
    assert nla.evaluate(armature, opening, [1001]) is None
    evaluated = read_take(armature)
    for name in ("expression", "jaw", "eyes"):
        assert np.array_equal(getattr(plain, name), getattr(evaluated, name)), name


def test_a_key_says_what_is_seen_on_its_frame(bpy, armature):
    """Posed over the take and keyed as any bone: Blender keeps the pose on that frame, as an offset."""
    from blender_addon.curves import animation
    from blender_addon.curves.performance import read_take

    before = read_take(armature)
    jaw = armature.pose.bones["jaw"]
    for frame, angle in ((1009, None), (1016, None), (1010, 0.6), (1015, 0.6)):
        bpy.context.scene.frame_set(frame)
        jaw.rotation_euler.x = jaw.rotation_euler.x if angle is None else angle
        jaw.keyframe_insert("rotation_euler", index=0, frame=frame)
    after = read_take(armature)
    changed = np.flatnonzero((np.abs(before.jaw - after.jaw) > 1e-6).any(axis=1)) + 1001
    assert changed.tolist() == list(range(1010, 1016))
    assert np.linalg.norm(after.jaw[9]) > 0.59
    assert np.array_equal(before.expression, after.expression)
    assert set(animation.fcurves(armature)) == {(JAW, 0)}  # the take itself is as it was


def test_an_additive_nla_strip_is_in_the_take(bpy, armature):
    from blender_addon.curves.performance import read_take

    base = read_take(armature)
    for frame, value in ((1001, 0.0), (1010, 0.2), (1020, 0.0)):
        bpy.context.scene.frame_set(frame)
        armature["expression_004"] += value
        armature.keyframe_insert('["expression_004"]', frame=frame)
    data = armature.animation_data
    layer, slot = data.action, getattr(data, "action_slot", None)
    data.action = None
    strip = data.nla_tracks.new().strips.new("artist", 1001, layer)
    if slot is not None:
        strip.action_slot = layer.slots[0]
    strip.blend_type = "ADD"
    take = read_take(armature)
    difference = take.expression - base.expression
    assert difference[9, 4] == pytest.approx(0.2, abs=1e-6)
    assert np.abs(np.delete(difference, 4, axis=1)).max() == 0.0
    assert np.array_equal(take.jaw, base.jaw)


def test_controls_are_in_the_take(bpy, armature, shot):
    from blender_addon.curves.channels import control
    from blender_addon.curves.performance import read_take
    from blender_addon.layers.offsets import reach

    base = read_take(armature)
    reach(armature, range(1010, 1021), {control("jaw_open"): np.full(11, 0.5), control("smile_L"): np.full(11, -0.25)})
    take = read_take(armature)
    names = list(shot.rig.control_names)
    wanted = 0.5 * shot.rig.control_expression[names.index("jaw_open")]
    wanted = wanted - 0.25 * shot.rig.control_expression[names.index("smile_L")]
    assert np.abs(take.expression[9:20] - base.expression[9:20] - wanted).max() < 1e-6
    assert np.array_equal(
        np.delete(take.expression, range(9, 20), axis=0), np.delete(base.expression, range(9, 20), axis=0)
    )
    assert rotation_error(take.jaw, base.jaw) > 0.1


def test_constraints_and_drivers_on_bones_are_in_the_take(bpy, armature):
    from blender_addon.curves.performance import read_take

    limit = armature.pose.bones["jaw"].constraints.new("LIMIT_ROTATION")
    limit.use_limit_x, limit.min_x, limit.max_x, limit.owner_space = True, 0.3, 0.3, "LOCAL"
    driver = armature.driver_add('["expression_007"]').driver
    driver.expression = "2.5"
    take = read_take(armature)
    assert np.allclose(np.linalg.norm(take.jaw, axis=1), 0.3, atol=0.02)
    assert np.allclose(take.expression[:, 7], 2.5)


def test_a_property_that_somebody_deleted_is_named_with_the_way_back(bpy, armature):
    from blender_addon.curves.performance import read_take
    from dubplate_shared.errors import InvalidInput

    del armature["expression_007"]
    with pytest.raises(InvalidInput, match="expression_007") as refused:
        read_take(armature)
    assert "Undo" in refused.value.hint


def test_reading_leaves_the_scene_as_it_was(bpy, armature):
    from blender_addon.curves.performance import read_take
    from blender_addon.rig.build import head_mesh_of

    armature.pose.bones["jaw"].constraints.new("LIMIT_ROTATION")
    bpy.context.scene.frame_set(1017)
    read_take(armature)
    assert bpy.context.scene.frame_current == 1017
    assert not head_mesh_of(armature).hide_viewport


def test_frames_can_be_asked_for_one_by_one(armature):
    from blender_addon.curves.performance import read_take

    whole, part = read_take(armature), read_take(armature, [1003, 1030])
    assert np.array_equal(part.jaw, whole.jaw[[2, 29]])


def test_a_shot_tracked_with_another_head_is_refused(armature, tmp_path, shot):
    import json

    from blender_addon.scene.shot_link import ShotLink

    info = json.loads((shot.path / "shot.json").read_text())
    info["head"]["sha256"] = "cd" * 32
    (shot.path / "shot.json").write_text(json.dumps(info))
    with pytest.raises(HeadModelMismatch, match="head model"):
        ShotLink.of(armature).load_shot()


def test_a_shot_that_is_gone_is_named_and_the_keys_stay(armature, shot):
    import shutil

    from blender_addon.curves.performance import read_take
    from blender_addon.scene.shot_link import ShotLink

    shutil.rmtree(shot.path)
    with pytest.raises(InvalidInput, match=r"scene7\.dubshot is not there"):
        ShotLink.of(armature).load_shot()
    assert len(read_take(armature)) == 40


def test_a_camera_is_no_head(bpy, armature):
    from blender_addon.scene.shot_link import ShotLink

    with pytest.raises(InvalidInput, match="no Dubplate head"):
        ShotLink.of(bpy.context.scene.camera)
