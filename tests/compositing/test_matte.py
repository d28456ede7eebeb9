# SPDX-License-Identifier: Apache-2.0
"""The matte's edge: nothing outside the mask, no step anywhere, no fade at the frame's own edge."""

import cv2
import numpy as np

from dubplate_backend.compositing.matte import RAMP, inside_distance, ramp, soft_matte
from dubplate_backend.raster.crop_warp import Border, Sampling, to_plate


def disc(size: int = 128, radius: float = 45.0) -> np.ndarray:
    y, x = np.mgrid[:size, :size] + 0.5
    return np.hypot(x - size / 2, y - size / 2) < radius


def placed(left: float, top: float, side: float) -> np.ndarray:
    return np.array([[1 / side, 0, -left / side], [0, 1 / side, -top / side]])


def test_the_matte_is_zero_wherever_a_pixel_of_the_mask_does_not_reach():
    matrix = placed(100.3, 50.8, 500)
    box, matte = soft_matte(disc(), matrix, 700, 800)
    solid = disc().astype(np.float32)
    outside = to_plate(solid, matrix, 700, 800, sampling=Sampling.LINEAR, border=Border.ZERO)[1] <= 0.5
    assert matte.shape == (box.height, box.width)
    assert matte[outside].max() == 0 and matte.max() == 1


def test_the_matte_rises_without_a_step_and_without_stairs():
    _, matte = soft_matte(disc(), placed(0, 0, 600), 600, 600)
    steepest = 1.5 / (RAMP * 600)  # of the smooth cubic, per pixel
    assert np.abs(np.diff(matte, axis=0)).max() < 1.3 * steepest
    assert np.abs(np.diff(matte, axis=1)).max() < 1.3 * steepest
    y, x = np.mgrid[:600, :600] + 0.5
    radius = np.hypot(x - 300, y - 300)
    on_a_ring = matte[np.abs(radius - (45 / 128 * 600 - 25)) < 0.6]  # mid-ramp: the same value all around
    assert 0.2 < on_a_ring.mean() < 0.8 and on_a_ring.std() < 0.06


def test_a_mask_cut_by_the_frame_goes_on_to_the_frames_edge():
    _, matte = soft_matte(np.ones((64, 64), bool), placed(-200, 100, 400), 600, 600)
    assert matte[200, 0] == 1.0  # the crop goes on to the left of the plate
    assert matte[200, -1] == 0.0  # and ends inside it on the right


def test_a_mask_that_ends_with_its_crop_fades_there():
    box, matte = soft_matte(np.ones((64, 64), bool), placed(100, 100, 300), 600, 600)
    assert max(matte[0].max(), matte[-1].max(), matte[:, 0].max(), matte[:, -1].max()) == 0
    assert matte[box.height // 2, box.width // 2] == 1


def test_an_empty_mask_gives_an_empty_matte():
    assert soft_matte(np.zeros((64, 64), bool), placed(0, 0, 300), 300, 300)[1].max() == 0


def test_distances_are_measured_to_the_nearest_pixel_outside():
    inside = np.zeros((20, 30), bool)
    inside[5:15, 5:25] = True
    distance = inside_distance(inside, (False,) * 4, 10)
    assert distance[5, 10] == 1 and distance[9, 10] == 5 and distance[0, 0] == 0


def test_the_ramp_is_level_at_both_ends():
    values = ramp(np.array([-1.0, 0.0, 0.01, 5.0, 9.99, 10.0, 20.0]), 10.0)
    assert values[1] == 0 and values[2] < 1e-5 and abs(values[3] - 0.5) < 1e-6
    assert values[4] > 0.99999 and values[5] == values[6] == 1


def test_pixels_that_join_and_leave_the_mask_hardly_move_the_matte():
    """A rasterised head's outline changes by pixels from frame to frame; the matte on the plate must not boil."""
    mask = disc()
    cross = np.ones((3, 3), np.uint8)
    outline = np.argwhere(cv2.dilate(mask.astype(np.uint8), cross) != cv2.erode(mask.astype(np.uint8), cross))
    _, still = soft_matte(mask, placed(100, 60, 400), 560, 640)
    ramp_ = (still > 0) & (still < 1)
    random, moved = np.random.default_rng(0), []
    for _ in range(4):
        other = mask.copy()
        other[tuple(random.permutation(outline)[: len(outline) // 6].T)] ^= True
        moved.append(soft_matte(other, placed(100, 60, 400), 560, 640)[1] - still)
    assert 0 < np.sqrt(np.square(np.stack(moved)[:, ramp_]).mean()) < 0.04  # 0.1 where the mask's own edge counts


def test_a_slit_in_the_mask_stays_plate():
    mask = disc()
    mask[64:66, :] = False
    _, matte = soft_matte(mask, placed(100, 60, 400), 560, 640)
    _, support = to_plate(mask.astype(np.float32), placed(100, 60, 400), 560, 640, sampling=Sampling.LINEAR)
    assert matte[support <= 0.5].max() == 0 and matte.max() == 1
