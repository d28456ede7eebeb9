# SPDX-License-Identifier: Apache-2.0
"""Actions in a scene of several heads act on the one that is meant, and forget its frames when called again."""

from __future__ import annotations

import pytest


@pytest.fixture
def heads(bpy, addon, shot):
    """Two, of which neither is active."""
    from blender_addon.scene.import_shot import import_shot

    found = [import_shot(shot.path), import_shot(shot.path)]
    bpy.context.view_layer.objects.active = None
    return found


def told(call) -> str:
    """The error of an operator, which is one of ours."""
    with pytest.raises(RuntimeError) as raised:
        call()
    assert "Traceback" not in str(raised.value)
    return str(raised.value)


def test_a_shot_is_read_again_for_the_head_that_was_repaired_whatever_is_selected(bpy, heads):
    assert "several heads" in told(bpy.ops.dubplate.read_shot_again)
    for head in heads:
        assert bpy.ops.dubplate.read_shot_again(head=head.name) == {"FINISHED"}


def test_a_repair_that_ends_is_read_in_the_window_that_shows_its_head(bpy, heads):
    from blender_addon.repair import watch

    other = bpy.data.scenes.new("other")
    bpy.context.window.scene = other
    watch._read_again_as_a_step(heads[0].name)  # no window shows it: told, and no error of Python's
    assert bpy.context.window_manager.dubplate.error


def test_every_error_of_a_repair_is_told(bpy, addon, shot, tmp_path):
    from blender_addon.scene.import_shot import import_shot

    import_shot(shot.path)
    assert "No frame to repair has a pin" in told(bpy.ops.dubplate.repair)
    bpy.context.scene.frame_set(1008)
    bpy.ops.dubplate.pin_landmark()
    assert "No Python for the backend is set" in told(bpy.ops.dubplate.repair)
    assert bpy.context.window_manager.dubplate.fix == "dubplate.choose_python"
    assert "cannot be started" in told(lambda: bpy.ops.dubplate.repair(python=str(tmp_path / "python")))


def test_the_actor_of_one_head_is_found_again_for_that_head(bpy, heads, tmp_path):
    from blender_addon.scene.missing import missing

    scene, (first, second) = bpy.context.scene, heads
    scene.dubplate.actor = str(tmp_path)
    second.dubplate_actor = str(tmp_path / "gone.dubactor")
    (found,) = (each for each in missing(scene) if each.fix == "dubplate.choose_actor")
    assert found.head == second.name
    actor = tmp_path / "anna.dubactor"
    (actor / "inside").mkdir(parents=True)
    bpy.ops.dubplate.choose_actor(filepath=str(actor / "inside" / "file"), head=found.head)
    assert (scene.dubplate.actor, first.dubplate_actor, second.dubplate_actor) == (str(tmp_path), "", str(actor))
    bpy.ops.dubplate.choose_actor(filepath=str(actor), head=first.name)
    assert scene.dubplate.actor == str(actor) and first.dubplate_actor == ""


@pytest.mark.parametrize(
    ("operator", "names"),
    [
        ("smooth", ("first", "last")),
        ("hold_closure", ("first", "last")),
        ("retime", ("first", "last", "moment")),
        ("paste_mouth", ("first", "last", "source")),
        ("patch_range", ("first", "last")),
        ("repair", ("first", "last")),
        ("drag_lip", ("landmark", "move", "sight")),
        ("read_shot_again", ("head",)),
    ],
)
def test_what_was_meant_for_one_moment_is_not_remembered_for_the_next(bpy, addon, operator, names):
    properties = getattr(bpy.ops.dubplate, operator).get_rna_type().properties
    assert all(properties[name].is_skip_save for name in names)
