# SPDX-License-Identifier: Apache-2.0
"""How far a frame's landmarks can be trusted, 0..1: the product of three things that can be measured in the frame.

Agreement: two measurements in slightly different squares say the same. Facing: the head is within 45 degrees of the
camera. Sharpness: the face is not smeared by motion; FaceMesh's two measurements agree on a smeared face too, and are
wrong alike (measured: 2 % of the inter-ocular distance at a smear of a tenth of the face, 5 % at a fifth).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from dubplate_shared.landmarks import COUNT, LEFT_EYE_OUTER, RIGHT_EYE_OUTER, inter_ocular

# Views that disagree by this share of the inter-ocular distance mean that FaceMesh does not see what it measures.
DISAGREEMENT_WITHOUT_CONFIDENCE = 0.08
CONFIDENCE_OF_ONE_VIEW = 0.5
LEAST_CONFIDENCE = 0.05
# FaceMesh's own yaw reads 40 degrees at 45 and stays under 61 up to 90 (measured on a rendered head, 10 degrees apart).
YAW_OF_FULL_CONFIDENCE_DEG, YAW_WITHOUT_CONFIDENCE_DEG = 38.0, 65.0
# Mean slope between neighbouring pixels over the contrast, across and down, of the face's middle at the size that
# FaceMesh sees. Four sharp clips have 0.115 to 0.155 across and 0.085 to 0.126 down; smeared across by a fifth of the
# face 0.06 to 0.07, down 0.035 to 0.05.
SEEN_PX, MIDDLE = 192, np.s_[36:156, 36:156]
SHARP, SMEARED = (0.10, 0.08), (0.03, 0.02)


def confidence_of(views: Sequence[np.ndarray], asked: int, crop: np.ndarray) -> float:
    """Trust in the mean of `views`, each (478, 3) px, of `asked` that were tried.   crop: uint8 [S, S, 3], the face."""
    points = np.mean(views, axis=0)
    share = agreement(views, points) if len(views) == asked else CONFIDENCE_OF_ONE_VIEW
    return float(np.clip(share * facing(points) * sharpness(crop), LEAST_CONFIDENCE, 1))


def agreement(views: Sequence[np.ndarray], points: np.ndarray) -> float:
    """1 where the views are the same, 0 where they are DISAGREEMENT_WITHOUT_CONFIDENCE apart.   points: their mean."""
    spread = np.linalg.norm(np.stack(views)[:, :COUNT, :2] - points[:COUNT, :2], axis=-1).mean()
    apart = 2 * spread / max(float(inter_ocular(points[:, :2])), 1e-6)  # of two views, not from their mean
    return max(0.0, 1 - apart / DISAGREEMENT_WITHOUT_CONFIDENCE)


def facing(points: np.ndarray) -> float:
    """1 for a face within 45 degrees of the camera, falling to 0 beyond.  points: (478, 3) px, as FaceMesh has them."""
    across = points[LEFT_EYE_OUTER] - points[RIGHT_EYE_OUTER]
    yaw_deg = np.degrees(np.arctan2(abs(across[2]), np.hypot(across[0], across[1])))
    span = YAW_WITHOUT_CONFIDENCE_DEG - YAW_OF_FULL_CONFIDENCE_DEG
    return float(np.clip((YAW_WITHOUT_CONFIDENCE_DEG - yaw_deg) / span, 0, 1))


def sharpness(crop: np.ndarray) -> float:
    """1 for a face that is as sharp as FaceMesh can see, falling to 0 as it is smeared across or down."""
    grey = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (SEEN_PX, SEEN_PX), interpolation=cv2.INTER_AREA)
    face = grey[MIDDLE].astype(np.float32)
    slopes = [float(np.abs(np.diff(face, axis=axis)).mean()) / max(float(face.std()), 1.0) for axis in (1, 0)]
    shares = [
        (slope - smeared) / (sharp - smeared) for slope, sharp, smeared in zip(slopes, SHARP, SMEARED, strict=True)
    ]
    return float(np.clip(min(shares), 0, 1))
