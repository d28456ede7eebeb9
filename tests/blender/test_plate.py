# SPDX-License-Identifier: Apache-2.0
"""Behind the head lies the frame that was tracked, in the colours that it was tracked in."""

from dataclasses import replace

from blender_shot import HEIGHT, WIDTH, write_test_shot
from PIL import Image

from dubplate_shared.shot import PlateSource, Shot, write_shot


def placed(tmp_path, plate: PlateSource, first_frame: int) -> Shot:
    """The test's shot on another plate."""
    shot = write_test_shot(tmp_path)
    info = replace(shot.info, plate=plate, first_frame=first_frame)
    return write_shot(shot.path, info, shot.track, shot.crop, shot.rig, overwrite=True)


def shown(bpy, shot: Shot):
    from blender_addon.scene.plate import show_plate

    return show_plate(bpy.data.objects.new("camera", bpy.data.cameras.new("camera")), shot)


def test_a_shot_from_the_middle_of_a_video_shows_its_own_frames(bpy, assets, tmp_path):
    clip = shown(bpy, placed(tmp_path, PlateSource("video", str(assets / "day.mp4"), "g24_rec709_display", 10), 1001))
    assert clip.frame_start == 991  # so that the file's frame 10, counted from 0, is the scene's frame 1001
    assert clip.frame_duration == 50


def test_a_shot_from_the_middle_of_a_sequence_begins_with_its_own_file_and_colours(bpy, tmp_path):
    for number in range(1001, 1101):
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / f"plate.{number}.png")
    clip = shown(
        bpy, placed(tmp_path, PlateSource("sequence", str(tmp_path / "plate.####.png"), "lin_ap1_scene"), 1051)
    )
    assert clip.filepath.endswith("plate.1051.png") and clip.frame_start == 1051
    assert clip.colorspace_settings.name == "ACEScg"
