# SPDX-License-Identifier: Apache-2.0
"""The drawn face takes the plate's colour, and a moved chin does not mislead it."""

import numpy as np

from dubplate_backend.compositing.colour_match import GAIN_LIMITS, Grade, match_colour


def skin(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:120, :120] / 120
    lit = 0.45 + 0.35 * (x - 0.5) + 0.2 * (y - 0.5)
    return (lit[..., None] * (1.0, 0.75, 0.6) + rng.normal(0, 0.01, (120, 120, 3))).astype(np.float32)


RING = np.zeros((120, 120), bool)
RING[10:110, 10:110] = True
RING[25:95, 25:95] = False


def test_a_cast_and_a_gain_are_undone():
    plate = skin()
    drawn = (plate - np.float32((0.03, -0.02, 0.01))) / np.float32((1.1, 0.95, 1.0))
    grade = match_colour(drawn, plate, RING)
    assert np.abs(grade.apply(drawn) - plate)[~RING].mean() < 0.006


def test_a_fifth_of_the_ring_showing_something_else_does_not_matter():
    plate = skin()
    drawn = plate - np.float32(0.04)
    drawn[88:] = 0.02  # a dark collar where the chin was
    grade = match_colour(drawn, plate, RING)
    rest = np.s_[25:85, 25:95]
    assert np.abs(grade.apply(drawn)[rest] - plate[rest]).mean() < 0.012


def test_equal_pictures_are_left_alone():
    plate = skin()
    grade = match_colour(plate, plate, RING)
    assert np.allclose(grade.gain, 1, atol=1e-6) and np.allclose(grade.offset, 0, atol=1e-6)


def test_a_flat_ring_gets_an_offset_and_no_invented_contrast():
    plate = np.full((120, 120, 3), 0.5, np.float32)
    drawn = np.random.default_rng(1).normal(0.45, 0.002, (120, 120, 3)).astype(np.float32)
    grade = match_colour(drawn, plate, RING)
    assert np.abs(grade.gain - 1).max() < 0.02
    assert np.abs(grade.apply(drawn).mean() - 0.5) < 1e-3


def test_the_grade_stays_within_its_limits_and_is_the_same_each_time():
    plate, drawn = skin(), skin(5) * 0.3
    grade = match_colour(drawn, plate, RING)
    assert grade.gain.max() <= np.float32(GAIN_LIMITS[1]) and np.abs(grade.offset).max() <= np.float32(0.1)
    again = match_colour(drawn, plate, RING)
    assert np.array_equal(grade.gain, again.gain) and np.array_equal(grade.offset, again.offset)


def test_a_ring_of_few_pixels_changes_nothing():
    ring = np.zeros((120, 120), bool)
    ring[:5, :5] = True
    grade = match_colour(skin(), skin(1), ring)
    assert np.array_equal(grade.gain, Grade.identity().gain) and np.array_equal(grade.offset, Grade.identity().offset)
