# SPDX-License-Identifier: Apache-2.0
"""Scenes as studios have them: hidden heads, tidied collections, libraries, another system's paths, lost media."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from blender_shot import FIRST_FRAME, write_test_shot
from test_export import read_back
from test_import import write_plates, write_tone

SUFFIXES = (".abc", ".usdc")


@pytest.fixture
def imported(bpy, addon, shot):
    from blender_addon.scene.import_shot import import_with_notes

    return import_with_notes(shot.path)


def linked(bpy, blend: Path):
    """An empty scene with the shot's collection linked from a file."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    with bpy.data.libraries.load(str(blend), link=True) as (_, wanted):
        wanted.collections = ["scene7"]
    bpy.context.scene.collection.children.link(wanted.collections[0])
    return wanted.collections[0]


@pytest.mark.parametrize("hidden", ["in viewports", "by the eye", "collection", "excluded"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_hidden_head_is_exported_and_hidden_again(bpy, imported, tmp_path, hidden, suffix):
    things = [imported.armature.children[0], imported.camera]
    (layer,) = bpy.context.view_layer.layer_collection.children
    for thing in things:
        thing.hide_viewport = hidden == "in viewports"
        thing.hide_set(hidden == "by the eye")
    layer.collection.hide_viewport = hidden == "collection"
    layer.exclude = hidden == "excluded"

    def state() -> list:
        top = bpy.context.scene.collection.objects.keys()
        return [(thing.hide_viewport, thing.hide_get(), thing.hide_select) for thing in things] + [layer.exclude, top]

    before = state()
    assert bpy.ops.dubplate.export_head(filepath=str(tmp_path / f"head{suffix}")) == {"FINISHED"}
    assert state() == before
    mesh, camera = read_back(bpy, tmp_path / f"head{suffix}")
    assert len(mesh.data.vertices) == 168 and camera is not None


def test_an_export_leaves_the_artist_posing_on_the_same_moment(bpy, imported, tmp_path):
    bpy.ops.object.mode_set(mode="POSE")
    bpy.context.scene.frame_set(1007, subframe=0.25)
    bpy.ops.dubplate.export_head(filepath=str(tmp_path / "head.abc"))
    scene = bpy.context.scene
    assert (imported.armature.mode, scene.frame_current, scene.frame_subframe) == ("POSE", 1007, 0.25)


def test_each_head_keeps_its_camera_when_collections_are_tidied(bpy, imported, shot):
    from blender_addon.scene.camera import camera_of
    from blender_addon.scene.import_shot import import_with_notes
    from blender_addon.scene.shot_link import find_head

    second, scene = import_with_notes(shot.path), bpy.context.scene
    for thing in list(scene.objects):
        for collection in list(thing.users_collection):
            collection.objects.unlink(thing)
        scene.collection.objects.link(thing)
    for each in (imported, second):
        assert camera_of(scene, each.armature) == each.camera
        bpy.context.view_layer.objects.active = each.camera
        assert find_head(bpy.context) == each.armature


def test_a_head_of_a_library_keeps_its_camera(bpy, imported, tmp_path):
    from blender_addon.scene.camera import camera_of
    from blender_addon.scene.shot_link import heads

    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    collection, scene = linked(bpy, tmp_path / "library.blend"), bpy.context.scene
    collection.override_hierarchy_create(scene, bpy.context.view_layer)
    scene.collection.children.unlink(collection)
    (head,) = heads(scene)
    camera = camera_of(scene, head)
    assert head.override_library and camera.override_library and camera.override_library.reference.name == "CAM_scene7"


def test_what_is_done_to_a_head_of_a_library_is_kept_in_the_file(bpy, imported, tmp_path):
    from blender_addon.layers import stack
    from blender_addon.scene.shot_link import ShotLink, find_head

    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    collection, scene = linked(bpy, tmp_path / "library.blend"), bpy.context.scene
    collection.override_hierarchy_create(scene, bpy.context.view_layer)
    scene.collection.children.unlink(collection)
    head = find_head(bpy.context)
    head.dubplate_actor = "//anna.dubactor"
    link = replace(ShotLink.of(head), take="french")
    link.store(head)
    bpy.ops.dubplate.bake_down()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "main.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "main.blend"))
    head = find_head(bpy.context)
    assert ShotLink.of(head) == link and head.dubplate_actor == "//anna.dubactor"
    assert stack.is_baked(head) and bpy.ops.dubplate.back_to_layers() == {"FINISHED"}
    assert [track.mute for track in head.animation_data.nla_tracks] == [False]


def test_a_head_beside_a_linked_one_looks_like_itself_without_the_library(bpy, imported, shot, tmp_path):
    from blender_addon.scene.import_shot import import_shot

    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "library.blend"))
    linked(bpy, tmp_path / "library.blend")
    head = import_shot(shot.path)
    shapes = {bone.custom_shape for bone in head.pose.bones if bone.custom_shape}
    assert {thing.library for thing in (*shapes, *head.children[0].data.materials)} == {None}


def test_media_of_a_library_are_looked_for_from_there(bpy, addon, shot, tmp_path):
    from blender_addon.scene.import_shot import import_shot
    from blender_addon.scene.missing import missing

    write_plates(shot.path, 1)
    import_shot(shot.path)
    library = tmp_path / "deep" / "library.blend"
    library.parent.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(library))
    bpy.ops.file.make_paths_relative()
    bpy.ops.wm.save_mainfile()
    linked(bpy, library)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "main.blend"))
    assert missing(bpy.context.scene) == []
    (shot.path / f"plate.{FIRST_FRAME}.png").unlink()
    assert [each.text for each in missing(bpy.context.scene)] == ["Plate plate.1001.png"]


def test_sound_that_is_packed_is_not_missing_and_a_strip_that_lost_its_sound_is_no_error(bpy, addon, tmp_path):
    from blender_addon.scene.import_shot import import_shot
    from blender_addon.scene.missing import missing

    if not bpy.app.build_options.audaspace:
        pytest.skip("this bpy was built without sound")
    write_tone(tmp_path / "voice.wav")
    write_plates(tmp_path, 1)
    import_shot(write_test_shot(tmp_path, plate="../plate.####.png", audio=("../voice.wav",)).path)
    (sound,) = bpy.data.sounds
    sound.pack()
    (tmp_path / "voice.wav").unlink()
    assert missing(bpy.context.scene) == []
    bpy.data.sounds.remove(sound)
    assert missing(bpy.context.scene) == []


def test_a_shot_from_another_system_is_found_beside_the_blend(bpy, imported, shot, tmp_path):
    from blender_addon.scene.shot_link import ShotLink

    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "work.blend"))
    replace(ShotLink.of(imported.armature), path=r"P:\jobs\scene7.dubshot").store(imported.armature)
    assert ShotLink.of(imported.armature).package() == shot.path


def test_a_shot_is_imported_beside_a_hidden_head_that_is_being_posed(bpy, imported, shot):
    from blender_addon.scene.import_shot import import_shot

    bpy.ops.object.mode_set(mode="POSE")
    imported.armature.hide_viewport = True
    assert import_shot(shot.path).data.bones["jaw"] is not None
