# SPDX-License-Identifier: Apache-2.0
"""The add-on's buttons: they find the package that was meant, undo what they did, and say what is missing."""

from __future__ import annotations

import numpy as np
import pytest

from dubplate_shared.take import Take


def imported(bpy, shot, **arguments):
    """The head that File > Import made."""
    from blender_addon.scene.shot_link import find_head

    assert bpy.ops.dubplate.import_shot(**({"filepath": str(shot.path)} | arguments)) == {"FINISHED"}
    return find_head(bpy.context)


@pytest.mark.parametrize("picked", ["folder", "file inside", "folder stepped into"])
def test_the_package_is_found_however_it_is_picked(bpy, addon, shot, picked):
    arguments = {
        "folder": {"filepath": str(shot.path)},
        "file inside": {"filepath": str(shot.path / "shot.json")},
        "folder stepped into": {"filepath": "", "directory": f"{shot.path}/"},
    }[picked]
    assert imported(bpy, shot, **arguments).name == "HEAD_scene7"


def test_what_is_no_package_is_said_with_the_fix(bpy, addon, tmp_path):
    with pytest.raises(RuntimeError, match=r"is no shot package\. Choose a NAME\.dubshot folder"):
        bpy.ops.dubplate.import_shot(filepath=str(tmp_path / "film.mp4"))
    assert "no shot package" in bpy.context.window_manager.dubplate.error


def test_the_import_is_undone_and_redone_as_one_step(bpy, addon, shot):
    from blender_addon.curves.performance import read_take
    from blender_addon.scene.shot_link import find_head, heads

    bpy.ops.ed.undo_push(message="before")
    jaw = read_take(imported(bpy, shot)).jaw
    bpy.ops.ed.undo_push(message="import")
    bpy.ops.ed.undo()
    scene = bpy.context.scene
    assert not heads(scene) and not bpy.data.actions and not bpy.data.cameras and scene.frame_start == 1
    bpy.ops.ed.redo()
    assert np.array_equal(read_take(find_head(bpy.context)).jaw, jaw)


def test_another_take_goes_under_the_offsets_and_the_first_is_kept(bpy, addon, shot):
    from blender_addon.curves.channels import expression
    from blender_addon.curves.performance import read_take
    from blender_addon.layers.offsets import add_offsets
    from blender_addon.scene.shot_link import ShotLink

    rng = np.random.default_rng(2)
    take = Take("french", rng.normal(0, 1, (40, 100)), np.abs(rng.normal(0, 0.2, (40, 3))))
    shot.save_take(take)
    head = imported(bpy, shot)
    add_offsets(head, range(1005, 1011), {expression(3): np.full(6, 0.5)})
    assert bpy.ops.dubplate.load_take(take="french") == {"FINISHED"}
    found = read_take(head)
    offset = found.expression - take.expression
    assert np.abs(offset[4:10, 3] - 0.5).max() < 1e-6
    offset[4:10, 3] = 0.0
    assert not offset.any()
    assert np.allclose(found.eyes, shot.track.eyes, atol=1e-6)  # a take without eyes leaves them as filmed
    assert [(track.name, track.mute) for track in head.animation_data.nla_tracks] == [
        ("Take: tracked", True), ("Take: french", False),
    ]  # fmt: skip
    assert ShotLink.of(head).take == "french"


def test_a_take_that_is_not_there_is_named_with_those_that_are(bpy, addon, shot):
    imported(bpy, shot)
    with pytest.raises(RuntimeError, match=r"no take 'none'\. It has: tracked"):
        bpy.ops.dubplate.load_take(take="none")


def test_rendering_without_an_output_asks_for_one(bpy, addon, shot, tmp_path):
    from dubplate_shared.actor import ActorInfo

    imported(bpy, shot)
    (tmp_path / "anna.dubactor").mkdir()
    ActorInfo("anna", "neural_texture", "draft", shot.info.head).save(tmp_path / "anna.dubactor")
    bpy.context.scene.dubplate.actor = str(tmp_path / "anna.dubactor")
    with pytest.raises(RuntimeError, match="No output folder is chosen"):
        bpy.ops.dubplate.render_range()
    bpy.context.scene.dubplate.output = "//plates"
    with pytest.raises(RuntimeError, match=r"Save the \.blend first"):
        bpy.ops.dubplate.render_range()


def test_the_buttons_are_grey_where_they_can_do_nothing(bpy, addon):
    for name in ("load_take", "render_range", "cancel", "disconnect"):
        assert not getattr(bpy.ops.dubplate, name).poll(), name
