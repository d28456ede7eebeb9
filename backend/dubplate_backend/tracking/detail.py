# SPDX-License-Identifier: Apache-2.0
"""The skin's own detail: what of a picture is too fine to be light.

Shadows, gloss and shading stand with the lamps while the head turns; moles, lashes, brows and lips go with it. Colours
that are compared whole therefore make turns look smaller than they are, and faces deeper (docs/decisions/0150). Each
pixel's brightness over that of its neighbourhood keeps what is fine, and nothing that multiplies both (the idea of the
quotient image: Riklin-Raviv & Shashua 2001; of the retinex: Land & McCann 1971).
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from dubplate_backend.tracking.face_crops import FaceCrops

REACH_PX = 1.5  # deviation of the neighbourhood: measured on truth clips from 1 to 6
DARK = 0.06  # of the display's range: below it ratios say nothing
SPREAD = 0.78  # of the display's range to a ratio of e; nothing that skin shows reaches its ends


def detail(crops: FaceCrops) -> FaceCrops:
    """The same squares with detail instead of colours: 0.5 where a pixel is as bright as what is around it."""
    return replace(crops, levels=tuple(_detail(level) for level in crops.levels))


def _detail(pictures: Tensor) -> Tensor:
    """uint8 [T, S, S, 3] -> uint8 [T, S, S, 3]."""
    found = np.empty(pictures.shape, np.uint8)
    for picture, fine in zip(pictures.numpy(), found, strict=True):
        brightness = np.log(picture.astype(np.float32) / 255 + DARK)
        ratio = brightness - cv2.GaussianBlur(brightness, (0, 0), REACH_PX)
        fine[:] = np.clip(np.round(255 * (0.5 + SPREAD * ratio)), 0, 255)
    return torch.from_numpy(found)
