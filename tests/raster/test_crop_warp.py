# SPDX-License-Identifier: Apache-2.0
"""Pixel centres lie at +0.5 in plate and crop: shown against images whose every value is known."""

import cv2
import numpy as np
import pytest

from dubplate_backend.raster.crop_warp import (
    Border,
    Sampling,
    crop_box,
    st_of_crop,
    st_of_plate,
    to_crop,
    to_plate,
)
from dubplate_shared.errors import InvalidInput

OPENCV_GRID = 1 / 32  # px, the step to which OpenCV rounds sampling positions


def centres(height: int, width: int) -> np.ndarray:
    """[H, W, 2]: each pixel holds its own centre, in pixels."""
    y, x = np.mgrid[:height, :width].astype(np.float32) + 0.5
    return np.stack((x, y), axis=-1)


def square(left: float, top: float, side: float, degrees: float = 0.0) -> np.ndarray:
    """(2, 3) plate px -> unit square: a square of `side` px turned about its top left corner."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / side
    return np.column_stack((turn, -turn @ (left, top)))


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def test_a_crop_that_lies_on_whole_pixels_is_the_plate_itself():
    plate = np.random.default_rng(1).random((60, 90, 3), np.float32)
    assert np.array_equal(to_crop(plate, square(20, 10, 32), 32), plate[10:42, 20:52])


def test_a_patch_that_lies_on_whole_pixels_is_the_crop_itself():
    crop = np.random.default_rng(2).random((32, 32, 3), np.float32)
    box, patch = to_plate(crop, square(20, 10, 32), 60, 90)
    assert (box.left, box.top, box.right, box.bottom) == (20, 10, 52, 42)
    assert np.array_equal(patch, crop)


@pytest.mark.parametrize("side, size", [(40.0, 64), (64.0, 64), (173.3, 64), (300.0, 64)])
@pytest.mark.parametrize("degrees", [0.0, 11.0, -37.0])
def test_each_crop_pixel_sees_the_plate_position_under_its_centre(side, size, degrees):
    plate = centres(600, 700)
    matrix = square(180.3, 220.7, side, degrees)
    seen = to_crop(plate, matrix, size)
    assert np.abs(apply(matrix, seen) * size - centres(size, size)).max() < OPENCV_GRID * max(1, size / side)


@pytest.mark.parametrize("degrees", [0.0, 23.0])
def test_each_patch_pixel_sees_the_crop_position_under_its_centre(degrees):
    matrix = square(100.4, 60.9, 200.0, degrees)
    crop = centres(64, 64)
    box, patch = to_plate(crop, matrix, 400, 500, sampling=Sampling.LINEAR)
    expected = apply(matrix, centres(400, 500)[box.slices]) * 64
    inside = ((expected > 1) & (expected < 63)).all(axis=-1)
    assert inside.sum() > 30_000
    assert np.abs(patch - expected)[inside].max() < OPENCV_GRID


def test_minifying_averages_and_does_not_alias():
    checks = (np.indices((400, 400)).sum(axis=0) % 2).astype(np.float32)  # the finest detail that a plate can hold
    crop = to_crop(checks, square(7.0, 9.0, 384.0), 64)
    assert np.abs(crop - 0.5).max() < 1e-6


def test_mean_brightness_survives_a_round_trip():
    plate = cv2.GaussianBlur(np.random.default_rng(3).random((300, 300, 3), np.float32), (0, 0), 12)
    matrix = square(50.2, 60.6, 180.0, 5.0)
    box, patch = to_plate(to_crop(plate, matrix, 180), matrix, 300, 300)
    where = apply(matrix, centres(300, 300)[box.slices])
    inside = ((where > 0.05) & (where < 0.95)).all(axis=-1)
    assert np.abs(patch - plate[box.slices])[inside].max() < 2e-3


def test_a_crop_beyond_the_frame_goes_on_at_the_edge_or_with_nothing():
    plate = np.ones((40, 40), np.float32)
    matrix = square(-20, -20, 40)
    assert np.array_equal(to_crop(plate, matrix, 40), np.ones((40, 40), np.float32))
    nothing = to_crop(plate, matrix, 40, border=Border.ZERO)
    assert nothing[:19, :19].max() == 0 and nothing[21:, 21:].min() == 1
    box, patch = to_plate(np.ones((32, 32), np.float32), square(100, 100, 40), 40, 40)
    assert box.empty and patch.size == 0


def test_the_same_bits_come_whatever_the_thread_count():
    plate = np.random.default_rng(4).random((500, 600, 3), np.float32)
    matrix = square(90.1, 77.7, 321.0, 4.0)
    before = cv2.getNumThreads()
    try:
        results = []
        for threads in (1, 2, 4):
            cv2.setNumThreads(threads)
            crop = to_crop(plate, matrix, 128)
            results.append((crop, to_plate(crop, matrix, 500, 600)[1]))
    finally:
        cv2.setNumThreads(before)
    for crop, patch in results[1:]:
        assert np.array_equal(crop, results[0][0]) and np.array_equal(patch, results[0][1])


def test_more_channels_than_opencv_takes_are_warped_alike():
    plate = np.random.default_rng(5).random((80, 80, 10), np.float32)
    matrix = square(7.3, 9.1, 60.0, 10.0)
    crop = to_crop(plate, matrix, 32)
    for channel in range(10):
        assert np.abs(crop[..., channel] - to_crop(plate[..., channel], matrix, 32)).max() < 1e-6


def test_the_st_maps_are_each_others_way_back():
    matrix = square(120.5, 80.25, 150.0, 8.0)
    pull = st_of_crop(matrix, 64, 400, 600)  # crop pixel -> place in the plate
    in_plate = np.stack((pull[..., 0] * 600, (1 - pull[..., 1]) * 400), axis=-1)
    assert np.abs(apply(matrix, in_plate) * 64 - centres(64, 64)).max() < 1e-3
    box = crop_box(matrix, 400, 600)
    push = st_of_plate(matrix, box)  # plate pixel -> place in the crop
    expected = apply(matrix, centres(400, 600)[box.slices])
    assert np.abs(push[..., 0] - expected[..., 0]).max() < 1e-6
    assert np.abs((1 - push[..., 1]) - expected[..., 1]).max() < 1e-6


def test_an_st_map_draws_what_the_warp_draws():
    plate = cv2.GaussianBlur(np.random.default_rng(6).random((200, 260), np.float32), (0, 0), 3)
    matrix = square(60.3, 40.8, 90.0, -6.0)
    pull = st_of_crop(matrix, 96, 200, 260)
    x, y = pull[..., 0] * 260 - 0.5, (1 - pull[..., 1]) * 200 - 0.5
    drawn = cv2.remap(plate, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    assert np.abs(drawn - to_crop(plate, matrix, 96)).max() < 5e-3


def test_a_crop_matrix_without_extent_is_refused():
    with pytest.raises(InvalidInput, match="crop matrix"):
        to_crop(np.zeros((8, 8), np.float32), np.zeros((2, 3)), 4)
