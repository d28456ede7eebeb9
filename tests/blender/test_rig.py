# SPDX-License-Identifier: Apache-2.0
"""The head in Blender is the head model, number for number."""

from __future__ import annotations

import numpy as np
import pytest
from blender_shot import drivers_round, evaluated_vertices, make_rig

from dubplate_shared.rig import Rig


def pose_in_blender(bpy, armature, expression, jaw, neck, eyes) -> np.ndarray:
    """Vertices (V, 3) of the evaluated mesh, in the armature's space, for values set on properties and bones."""
    from blender_addon.rig.armature import expression_name
    from blender_addon.rig.axes import euler_from_axis_angle

    for component, value in enumerate(expression):
        armature[expression_name(component)] = float(value)
    for bone, axis_angle in (("jaw", jaw), ("neck", neck), ("eye.L", eyes[:3]), ("eye.R", eyes[3:])):
        armature.pose.bones[bone].rotation_euler = euler_from_axis_angle(np.asarray(axis_angle)[None])[0]
    armature.update_tag()
    bpy.context.view_layer.update()
    return evaluated_vertices(bpy, armature)


@pytest.mark.parametrize("moving_joints", [False, True])
def test_blender_poses_the_head_as_our_skinning_does(bpy, moving_joints):
    from blender_addon.rig.build import build_rig

    rig = make_rig(moving_joints=moving_joints)
    armature = build_rig(rig, "HEAD", bpy.context.scene.collection)
    rng = np.random.default_rng(11)
    worst = 0.0
    for _ in range(25):
        expression = rng.normal(0, 1.5, 100).clip(-10, 10)
        jaw, neck = rng.normal(0, 0.35, 3), rng.normal(0, 0.3, 3)
        eyes = rng.normal(0, 0.3, 6)
        found = pose_in_blender(bpy, armature, expression, jaw, neck, eyes)
        worst = max(worst, float(np.abs(found - rig.pose(expression, jaw, neck, eyes)).max()))
    assert worst < (1e-4 if moving_joints and drivers_round(bpy.app.version) else 1e-6)


def test_an_expression_of_nine_deviations_is_not_clamped(bpy):
    from blender_addon.rig.build import build_rig

    rig = make_rig()
    armature = build_rig(rig, "HEAD", bpy.context.scene.collection)
    expression = np.zeros(100)
    expression[3], expression[97] = 9.0, -9.0
    found = pose_in_blender(bpy, armature, expression, np.zeros(3), np.zeros(3), np.zeros(6))
    assert np.abs(found - rig.pose(expression, np.zeros(3))).max() < 1e-6


def test_the_stand_in_head_is_posed_exactly_too(bpy, assets):
    """The real head: thousands of vertices, teeth and tongue, controls that move the lips."""
    from blender_addon.rig.build import build_rig, head_mesh_of

    rig = Rig.load(assets / "standin.npz")
    armature = build_rig(rig, "HEAD", bpy.context.scene.collection)
    rng = np.random.default_rng(5)
    for control in range(len(rig.control_names)):
        expression, jaw = rig.control_expression[control], rig.control_jaw[control]
        neck, eyes = rng.normal(0, 0.2, 3), rng.normal(0, 0.2, 6)
        found = pose_in_blender(bpy, armature, expression, jaw, neck, eyes)
        assert np.abs(found - rig.pose(expression, jaw, neck, eyes)).max() < 1e-6
    mesh = head_mesh_of(armature).data
    assert {material.name for material in mesh.materials} >= {"Dubplate Lips", "Dubplate Teeth", "Dubplate Tongue"}
    assert mesh.uv_layers[0].uv[0].vector[:] == pytest.approx(rig.uv[rig.faces_uv[0, 0]])
