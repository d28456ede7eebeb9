# SPDX-License-Identifier: Apache-2.0
"""Wide blurs made on a smaller picture."""

from __future__ import annotations

import cv2
import numpy as np

from dubplate_backend.compositing.bands import blurred


def test_a_wide_blur_on_a_smaller_picture_is_the_same_blur():
    picture = np.random.default_rng(5).random((301, 260, 3), dtype=np.float32)
    for sigma in (1.5, 4.5, 9.0, 17.0):
        exact = cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        inside = slice(round(4 * sigma), -round(4 * sigma))
        apart = (blurred(picture, sigma) - exact)[inside, inside]
        assert np.sqrt(np.square(apart).mean()) < 0.003 * exact[inside, inside].std()
