# SPDX-License-Identifier: Apache-2.0
"""Plates as they are looked at: light goes through the sRGB curve in BT.709, pictures stay as they are."""

import numpy as np
import pytest

from dubplate_backend.plates.colour import PlateColour
from dubplate_backend.plates.display import to_display, to_display_half

NAMES = ("lin_rec709_scene", "lin_ap1_scene", "srgb_rec709_display", "cineon")


@pytest.mark.parametrize("name", NAMES)
def test_halves_are_the_8_bit_picture_before_it_is_rounded(name):
    rgb = np.random.default_rng(1).uniform(-0.1, 1.3, (40, 30, 3)).astype(np.float16)
    colour = PlateColour.named(name)
    fine, coarse = to_display_half(rgb, colour), to_display(rgb, colour)
    assert fine.dtype == np.float16 and fine.min() >= 0 and fine.max() <= 1
    assert np.abs(fine.astype(float) * 255 - coarse).max() <= 0.6  # a half near 1 is 1/2048 away at most


def test_middle_grey_is_where_srgb_has_it_and_what_is_no_number_is_black():
    grey = np.full((1, 1, 3), 0.18, np.float32)
    assert to_display_half(grey, PlateColour.named("lin_rec709_scene"))[0, 0, 0] == pytest.approx(0.4613, abs=1e-3)
    assert (to_display_half(grey * np.nan, PlateColour.named("lin_rec709_scene")) == 0).all()
