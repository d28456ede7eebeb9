# SPDX-License-Identifier: Apache-2.0
"""What a compositor checks first: the plate is untouched outside the matte, and the element lays over it exactly."""

import numpy as np
import pytest

from dubplate_backend.compositing.composite import over
from dubplate_backend.raster.crop_warp import Box

BOX = Box(12, 8, 52, 48)


def made(kind, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    plate = (rng.random((64, 80, 3)) * 4 - 0.5).astype(kind)
    drawn = rng.random((40, 40, 3)).astype(np.float32)
    alpha = np.clip(rng.random((40, 40)) * 2 - 0.6, 0, 1).astype(np.float32)
    return plate, drawn, alpha


def bits(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels).view(np.uint16 if pixels.dtype == np.float16 else np.uint32)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_outside_the_matte_the_plates_bits_are_copied(kind):
    plate, drawn, alpha = made(kind)
    plate[0, :4] = ((np.nan,) * 3, (np.inf,) * 3, (-np.inf,) * 3, (-2.0,) * 3)
    plate[10, 14] = np.nan
    bits(plate)[1, 0, 0] = 0x7E01 if kind == np.float16 else 0x7FC00001  # a NaN with a payload
    alpha[10 - BOX.top, 14 - BOX.left] = 0
    rgb, _, stored = over(plate, BOX, drawn, alpha)
    outside = np.ones(plate.shape[:2], bool)
    outside[BOX.slices] = stored == 0
    assert outside.sum() > 3000
    assert np.array_equal(bits(rgb)[outside], bits(plate)[outside])
    assert not np.array_equal(bits(rgb), bits(plate))


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_the_element_over_the_plate_is_the_composite_to_half_a_unit_in_the_last_place(kind):
    plate, drawn, alpha = made(kind, 3)
    rgb, element, stored = over(plate, BOX, drawn, alpha)
    under = plate[BOX.slices].astype(np.float64)
    exact = element.astype(np.float64) + (1 - stored.astype(np.float64))[..., None] * under
    comp = rgb[BOX.slices]
    half_unit = np.spacing(np.abs(comp)).astype(np.float64) / 2
    assert (np.abs(comp.astype(np.float64) - exact) <= half_unit * (1 + 1e-9)).all()
    clear = stored == 0
    assert np.array_equal(comp[clear], plate[BOX.slices][clear]) and not element[clear].any()


def test_an_alpha_too_small_for_half_touches_nothing():
    plate, drawn, _ = made(np.float16)
    rgb, element, stored = over(plate, BOX, drawn, np.full((40, 40), 1e-9, np.float32))
    assert not stored.any() and not element.any() and np.array_equal(bits(rgb), bits(plate))


def test_full_alpha_shows_the_drawn_picture():
    plate, drawn, _ = made(np.float16)
    rgb, _, _ = over(plate, BOX, drawn, np.ones((40, 40), np.float32))
    assert np.array_equal(rgb[BOX.slices], drawn.astype(np.float16))


def test_the_plate_handed_in_is_not_changed():
    plate, drawn, alpha = made(np.float16)
    before = plate.copy()
    over(plate, BOX, drawn, alpha)
    assert np.array_equal(bits(before), bits(plate))
