# SPDX-License-Identifier: Apache-2.0
"""Rendered plates in the scene: each place shows the pixels that were rendered, on their own frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

FRAMES = "1003-1004,1006"


@pytest.fixture(scope="module")
def plates(assets, backend) -> Path:
    """The output folder, with version 1 of three frames."""
    from blender_addon.connection.client import Client

    process, output = backend
    with Client.connect(process.connection_file) as client:
        work = {"shot": "small.dubshot", "actor": "untaught.dubactor", "frames": FRAMES, "output": "."}
        client.wait(client.submit(**work, settings={"preview": False}), timeout=120)
    return output


def rendered(bpy, scene, frame: int, folder: Path) -> np.ndarray:
    """What Blender makes of the scene, as 8-bit display values (height, width, 3), rows from the top."""
    scene.render.engine = "BLENDER_WORKBENCH"  # nothing of it is seen, and EEVEE takes minutes without a GPU
    scene.render.dither_intensity = 0.0
    scene.render.filepath = str(folder / "picture.png")
    scene.render.image_settings.file_format = "PNG"
    scene.frame_set(frame)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(folder / "picture.png"))
    pixels = np.zeros(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    width, height = image.size
    bpy.data.images.remove(image)
    return np.round(pixels.reshape(height, width, -1)[::-1, :, :3] * 255)


def stored(plates: Path, frame: int) -> np.ndarray:
    """The plate's own values, which are a display's, likewise."""
    exr = pytest.importorskip("OpenEXR").File(str(plates / "v001" / f"small_dub_v001.{frame}.exr"))
    rgba = exr.parts[0].channels["RGBA"].pixels
    return np.round(np.clip(rgba[..., :3].astype(np.float32), 0, 1) * 255)


def show(bpy, place: str) -> None:
    assert bpy.ops.dubplate.show_results(place=place) == {"FINISHED"}


def test_the_sequencer_shows_the_plates_on_their_frames_and_the_gap_between_them(bpy, scene, plates, tmp_path):
    from blender_addon.compat import SEQUENCER_BALANCES, sequence_strips

    show(bpy, "SEQUENCER")
    show(bpy, "SEQUENCER")  # again: nothing is there twice
    strips = [strip for strip in sequence_strips(scene.sequence_editor) if strip.type == "IMAGE"]
    spans = sorted((int(strip.frame_final_start), strip.frame_final_duration) for strip in strips)
    assert spans == [(1003, 2), (1006, 1)]
    if SEQUENCER_BALANCES:
        assert np.abs(rendered(bpy, scene, 1006, tmp_path) - stored(plates, 1006)).max() <= 1


def test_the_compositor_lays_the_element_over_the_plate_to_the_same_pixels(bpy, scene, plates, tmp_path):
    show(bpy, "COMPOSITOR")
    show(bpy, "COMPOSITOR")
    assert len(bpy.data.node_groups["small_dub_v001"].nodes) == 6
    assert np.abs(rendered(bpy, scene, 1004, tmp_path) - stored(plates, 1004)).max() <= 1


def test_an_artists_own_composite_is_left_as_it_is(bpy, scene, plates):
    from blender_addon import compat

    tree, output = compat.compositor(scene)
    own = tree.nodes.new("CompositorNodeRGB")
    tree.links.new(own.outputs[0], output.inputs[0])
    show(bpy, "COMPOSITOR")
    assert output.inputs[0].links[0].from_node == own
    assert any(getattr(node, "node_tree", None) for node in tree.nodes)


def test_plates_stand_before_what_was_filmed_behind_the_head(bpy, scene, plates):
    show(bpy, "BACKGROUND")
    show(bpy, "BACKGROUND")
    clips = [background.clip for background in scene.camera.data.background_images]
    assert [clip.name for clip in clips] == ["small_plate", "small_dub_v001"]
    assert clips[1].frame_start == 1003


def test_without_plates_the_folder_is_named(bpy, scene, plates):
    scene.dubplate.version = 7
    with pytest.raises(RuntimeError, match=r"No plates of small stand in .*v007.*Render the range first"):
        bpy.ops.dubplate.show_results(place="SEQUENCER")
