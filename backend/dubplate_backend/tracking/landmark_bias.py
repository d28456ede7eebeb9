# SPDX-License-Identifier: Apache-2.0
"""What FaceMesh gets wrong of one face in all of its frames.

FaceMesh places a chin or a nose where it thinks such a face has it: up to 4 % of the inter-ocular distance off, alike
in every frame. Colours know where the head's points really go; the mean disagreement is kept as an offset of each
landmark on the head, so that the landmarks carry the motion from frame to frame without pulling the whole head aside.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dubplate_backend.tracking.projection import View, see
from dubplate_backend.tracking.surface_head import SurfaceHead
from dubplate_backend.tracking.unknowns import TURN, Shared, head_rotation
from dubplate_shared.landmarks import INNER_LIP_PAIRS, LIPS

# Frames at which the mean counts as much as no offset at all.
DOUBT = 3.0
# Of the lips' own offset: FaceMesh sees lips, where it guesses cheeks.
LIPS_SHARE = 0.5


def landmark_bias(
    head: SurfaceHead, view: View, motion: Tensor, shared: Shared, observed: Tensor, trust: Tensor
) -> Tensor:
    """[468, 3] metres in the head's own axes.   head: shaped, at the landmarks.   motion: [K, 114].
    observed: [K, 468, 2] px.   trust: [K]."""
    seen = see(head, view, motion, Shared(shared.camera))
    depth = seen.in_camera[..., 2:]  # [K, 468, 1]
    aside = (observed - seen.projected) / seen.focal[:, None, None] * depth  # [K, 468, 2] metres, camera axes
    offset = torch.cat((aside, torch.zeros_like(depth)), -1)
    turned = head_rotation(motion[:, TURN]) @ seen.posed.by_neck  # [K, 3, 3]
    own = offset @ turned  # R' v, row by row
    weight = trust[:, None, None]
    mean = (own * weight).sum(0) / (weight.sum(0) + DOUBT)
    mean[list(LIPS)] *= LIPS_SHARE
    upper, lower = (list(points) for points in zip(*INNER_LIP_PAIRS, strict=True))
    mean[upper] = mean[lower] = (mean[upper] + mean[lower]) / 2  # how far lips are apart FaceMesh sees well
    return mean
