# SPDX-License-Identifier: Apache-2.0
"""What a preview shows in each mode, to the pixel, and what is kept of it within bounds. Needs no window."""

from __future__ import annotations

import numpy as np
import pytest

from dubplate_shared.messages import Picture, Stage
from dubplate_shared.tiles import Pixels

SIZE = 8  # of a crop
BOX = (10, 20)  # x, y of its first plate pixel, where crop and plate pixels are of one size
RNG = np.random.default_rng(3)
PLATE = RNG.random((64, 48, 3)).astype(np.float16)


def pixels(stage: str, array: np.ndarray, *, matrix: tuple[float, ...] = (), frame: int = 1001) -> Pixels:
    x, y = (0, 0) if stage == Stage.CROP else BOX
    return Pixels(Picture(1, 1, frame, stage, "float16", array.shape, matrix, x, y), array.astype(np.float16))


@pytest.fixture
def crop() -> Pixels:
    """Opaque but for its last column, upright, at BOX."""
    rgba = RNG.random((SIZE, SIZE, 4))
    rgba[..., 3], rgba[:, -1, 3] = 1.0, 0.0
    x, y = BOX
    return pixels(Stage.CROP, rgba, matrix=(1 / SIZE, 0, -x / SIZE, 0, 1 / SIZE, -y / SIZE))


@pytest.fixture
def filmed() -> Pixels:
    x, y = BOX
    return pixels(Stage.FILMED, PLATE[y : y + SIZE, x : x + SIZE])


def pictures(*drawn: Pixels):
    from blender_addon.preview.cache import FramePictures

    return FramePictures(1001, b"", {each.header.stage: each for each in drawn})


def arranged(mode: str, drawn: Pixels, filmed: Pixels | None = None, wipe: float = 0.5):
    from blender_addon.preview.compare import Mode, arrange

    return arrange(Mode(mode), pictures(drawn), filmed, wipe)


def test_a_crop_lies_on_the_plate_where_its_matrix_says(bpy, crop):
    from blender_addon.preview.compare import onto_plate

    part, x, y = onto_plate(arranged("DUBBED", crop), 48, 64)
    assert (x, y) == BOX and np.array_equal(part, crop.array.astype(np.float32))


def test_a_turned_crop_is_turned_on_the_plate(bpy, crop):
    """A quarter of a turn about the crop's middle: what was its right is now below."""
    from blender_addon.preview.compare import onto_plate

    x, y = BOX
    turned = (0, 1 / SIZE, -y / SIZE, -1 / SIZE, 0, (x + SIZE) / SIZE)
    part, left, top = onto_plate(arranged("DUBBED", pixels(Stage.CROP, crop.array, matrix=turned)), 48, 64)
    expected = np.rot90(crop.array.astype(np.float32), -1)
    assert np.array_equal(part[y - top :, x - left :][:SIZE, :SIZE], expected)


def test_a_wipe_leaves_the_plate_to_be_seen_left_of_its_line(bpy, crop):
    placed = arranged("WIPE", crop, wipe=0.5)
    assert (placed.rgba[:, :4, 3] == 0).all() and (placed.rgba[:, 4] == 1).all()
    assert np.array_equal(placed.rgba[:, 5:], crop.array[:, 5:].astype(np.float32))


def test_a_wipe_shows_what_was_filmed_left_of_its_line_once_it_is_there(bpy, crop, filmed):
    placed = arranged("WIPE", crop, filmed, wipe=0.5)
    assert np.array_equal(placed.rgba[:, :4, :3], filmed.array[:, :4].astype(np.float32))
    assert np.allclose(placed.rgba[:, 5:-1, :3], crop.array[:, 5:-1, :3].astype(np.float32), atol=1e-6)
    assert (placed.rgba[..., 3] == 1).all()


def test_the_difference_is_eight_times_as_bright_and_nothing_where_nothing_was_drawn(bpy, crop, filmed):
    placed = arranged("DIFFERENCE", crop, filmed)
    change = np.abs(crop.array[..., :3].astype(np.float32) - filmed.array.astype(np.float32))
    assert np.allclose(placed.rgba[:, :-1, :3], np.minimum(8 * change[:, :-1], 1), atol=1e-6)
    assert (placed.rgba[:, -1, :3] == 0).all()


def test_side_by_side_shows_what_was_filmed_and_then_the_dub(bpy, filmed):
    finished = pixels(Stage.COMPOSITE, RNG.random((SIZE, SIZE, 3)))
    placed = arranged("SIDE", finished, filmed)
    assert np.array_equal(placed.rgba[:, :SIZE, :3], filmed.array.astype(np.float32))
    assert np.array_equal(placed.rgba[:, SIZE:, :3], finished.array.astype(np.float32))
    assert np.allclose(placed.corners.mean(axis=0), np.array(BOX) + SIZE / 2)
    assert (placed.rgba[..., 3] == 1).all()
    assert arranged("SIDE", finished, None) is None, "what was filmed has not come yet"


def test_side_by_side_lays_a_crop_that_is_not_finished_over_what_was_filmed(bpy, crop, filmed):
    placed = arranged("SIDE", crop, filmed)
    assert np.allclose(placed.rgba[:, SIZE:-1, :3], crop.array[:, :-1, :3].astype(np.float32), atol=1e-6)
    assert np.array_equal(placed.rgba[:, -1, :3], filmed.array[:, -1].astype(np.float32))
    assert (placed.rgba[..., 3] == 1).all()


def test_old_pictures_make_room_for_new_ones(bpy, crop):
    from blender_addon.preview.cache import Cache, FrameState

    cache = Cache(3 * crop.array.nbytes)
    for frame in range(1001, 1006):
        cache.add(b"now", pixels(Stage.CROP, crop.array, matrix=crop.header.matrix, frame=frame))
        cache.get(1001, b"now")  # looked at again and again
    assert cache.size <= cache.limit
    states = [cache.state(frame, b"now") for frame in range(1001, 1006)]
    assert states == [FrameState.DRAWN, FrameState.UNDRAWN, FrameState.UNDRAWN, FrameState.DRAWN, FrameState.DRAWN]
    assert cache.state(1005, b"edited") == FrameState.STALE
    cache.fail(1005, b"edited", "no face")
    assert cache.state(1005, b"edited") == FrameState.FAILED
    assert cache.newest(1005) is not None


def test_what_was_filmed_does_not_drive_out_what_was_drawn(bpy, crop, filmed):
    from blender_addon.preview.cache import Cache, FrameState

    cache = Cache(4 * crop.array.nbytes)
    for frame in range(1001, 1004):
        cache.add(b"now", pixels(Stage.CROP, crop.array, matrix=crop.header.matrix, frame=frame))
    while cache.size + filmed.array.nbytes <= cache.limit:
        frame += 1
        cache.add(b"now", pixels(Stage.FILMED, filmed.array, frame=frame))
    for frame in range(2001, 2041):
        cache.add(b"now", pixels(Stage.FILMED, filmed.array, frame=frame))
    assert cache.size <= cache.limit and cache.filmed(2040) is not None
    assert [cache.state(frame, b"now") for frame in (1001, 1002, 1003)] == [FrameState.DRAWN] * 3


def test_runs_of_the_strip_join_frames_of_one_state(bpy):
    from blender_addon.preview.cache import FrameState
    from blender_addon.preview.strip import runs

    states = [(1, FrameState.DRAWN), (2, FrameState.DRAWN), (3, FrameState.UNDRAWN), (4, FrameState.STALE)]
    assert list(runs(states)) == [(1, 2, FrameState.DRAWN), (4, 4, FrameState.STALE)]
