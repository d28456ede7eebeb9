# SPDX-License-Identifier: Apache-2.0
"""Scenes as studios have them: several heads, files that moved, libraries, plates too large to play."""

from __future__ import annotations

import shutil
import time

import numpy as np
import pytest

from dubplate_shared.actor import ActorInfo
from dubplate_shared.frames import parse_frames


def heads_of(bpy):
    from blender_addon.scene.shot_link import heads

    return heads(bpy.context.scene)


def test_a_second_shot_leaves_the_scene_as_it_is_and_says_where_it_differs(bpy, addon, shot):
    from blender_addon.scene.import_shot import import_with_notes

    scene = bpy.context.scene
    camera = import_with_notes(shot.path).camera
    scene.render.fps, scene.render.resolution_x, scene.frame_end = 30, 800, 1020
    notes = import_with_notes(shot.path).notes
    assert (scene.render.fps, scene.render.resolution_x, scene.frame_end) == (30, 800, 1020)
    assert scene.camera == camera
    for words in (
        "30.000 frames a second, the shot at 25.000",
        f"800x{shot.info.height}",
        "1001-1020",
        "looking through CAM_scene7",
    ):
        assert any(words in note for note in notes), words


def test_a_scene_is_set_up_only_if_that_is_wanted(bpy, addon, shot):
    assert bpy.ops.dubplate.import_shot(filepath=str(shot.path), set_up_scene=False) == {"FINISHED"}
    assert bpy.context.scene.render.fps == 24 and bpy.context.scene.camera is not None


def test_two_actors_in_one_scene_are_rendered_each_by_their_own(bpy, addon, shot, tmp_path):
    from blender_addon.request import Choice, build_request
    from blender_addon.scene.import_shot import import_shot

    one, other = import_shot(shot.path), import_shot(shot.path)
    for name in ("anna", "otto"):
        (tmp_path / f"{name}.dubactor").mkdir()
        ActorInfo(name, "neural_texture", "draft", shot.info.head).save(tmp_path / f"{name}.dubactor")
    scene = bpy.context.scene
    scene.dubplate.actor, scene.dubplate.output = str(tmp_path / "anna.dubactor"), str(tmp_path / "out")
    other.dubplate_actor = str(tmp_path / "otto.dubactor")
    requests = {head.name: build_request(bpy.context, Choice(head=head.name)) for head in (one, other)}
    assert requests[one.name].actor.name == "anna.dubactor" and requests[other.name].actor.name == "otto.dubactor"
    assert len(parse_frames(requests[one.name].frames)) == 40


def test_a_file_without_its_shot_says_so_keeps_all_keys_and_finds_it_again(bpy, addon, shot, tmp_path, capsys):
    from blender_addon.curves.performance import read_take
    from blender_addon.scene.import_shot import import_shot
    from blender_addon.scene.missing import missing

    jaw = read_take(import_shot(shot.path)).jaw
    bpy.context.scene.dubplate.actor = str(tmp_path / "gone.dubactor")
    blend = tmp_path / "work" / "shot.blend"
    blend.parent.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    moved = tmp_path / "elsewhere" / "scene7.dubshot"
    moved.parent.mkdir()
    shutil.move(shot.path, moved)
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    assert "Dubplate misses, keeping all keys: Shot scene7.dubshot; Actor gone.dubactor" in capsys.readouterr().out
    found = missing(bpy.context.scene)
    assert [each.fix for each in found] == ["dubplate.find_shot", "dubplate.choose_actor"]
    (head,) = heads_of(bpy)
    assert np.array_equal(read_take(head).jaw, jaw)
    with pytest.raises(RuntimeError, match="keys are kept"):
        bpy.ops.dubplate.load_take(take="tracked")
    assert bpy.ops.dubplate.find_shot(filepath=str(moved), head=head.name) == {"FINISHED"}
    assert [each.fix for each in missing(bpy.context.scene)] == ["dubplate.choose_actor"]
    assert bpy.ops.dubplate.load_take(take="tracked") == {"FINISHED"}


def test_a_head_from_a_library_is_read_and_finds_its_shot_beside_the_library(bpy, addon, shot, tmp_path):
    from blender_addon.curves.performance import read_take
    from blender_addon.scene.import_shot import import_shot
    from blender_addon.scene.shot_link import ShotLink

    jaw = read_take(import_shot(shot.path)).jaw
    library = tmp_path / "library" / "head.blend"
    library.parent.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(library))
    shutil.move(shot.path, library.parent / "scene7.dubshot")
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    with bpy.data.libraries.load(str(library), link=True) as (there, here):
        here.collections = [name for name in there.collections if name == "scene7"]
    scene = bpy.context.scene
    here.collections[0].override_hierarchy_create(scene, bpy.context.view_layer)
    (head,) = heads_of(bpy)
    assert head.override_library is not None
    assert ShotLink.of(head).load_shot().info.name == "scene7"
    scene.frame_set(1010)
    assert np.array_equal(read_take(head).jaw, jaw)


def test_what_is_dropped_is_imported_without_asking(bpy, addon):
    handler = bpy.types.DUBPLATE_FH_shot
    assert handler.bl_import_operator == "dubplate.import_shot" and handler.bl_file_extensions == ".dubshot"


def test_a_large_plate_plays_from_a_smaller_copy(bpy, addon, shot, tmp_path):
    """Plates of 2240x1260: over the limit, and quick to make."""
    from PIL import Image

    from blender_addon.scene.plate import plate_clip
    from blender_addon.scene.proxy import is_large

    for number in (1001, 1002):
        Image.new("RGB", (2240, 1260), (90, 60, 30)).save(shot.path / f"plate.{number}.png")
    assert bpy.ops.dubplate.import_shot(filepath=str(shot.path)) == {"FINISHED"}
    camera = bpy.context.scene.camera
    clip = plate_clip(camera)
    assert is_large(clip) and bpy.ops.dubplate.build_proxy.poll()
    assert bpy.ops.dubplate.build_proxy() == {"FINISHED"}
    deadline_s = time.monotonic() + 60.0
    while not list(shot.path.parent.rglob("proxy_50/*")):  # Blender makes them beside its own work
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    (background,) = camera.data.background_images
    assert clip.use_proxy and background.clip_user.proxy_render_size == "PROXY_50"
