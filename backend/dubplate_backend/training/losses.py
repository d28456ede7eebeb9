# SPDX-License-Identifier: Apache-2.0
"""The losses of "Dubbing for Everyone", section 3.4:  10 L1 + 10 VGG + 5 texture + 1 LSGAN.

Where the user gives no VGG weights, Laplacian-pyramid L1, multi-scale SSIM and discriminator feature matching take the
perceptual loss's place. Pictures are -1..1, [N, 3, S, S] with N = B * T frames unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dubplate_backend.training.dataset import LIPS, LOWER_FACE, MASK, MOUTH, Frames
from dubplate_backend.training.settings import AdaptSettings
from dubplate_backend.training.ssim import ssim_map

PYRAMID_LEVELS = 4
SSIM_SCALES = 3
SSIM_WINDOW = 7  # px: the crop's third scale is 32 px wide at draft size
MOUTH_MARGIN = 5  # px, odd: the lips' surroundings count as mouth


def region_weights(frames: Frames, settings: AdaptSettings) -> Tensor:
    """[N, 1, S, S]: 10 on lips and mouth interior, 8 on the lower face and the rest of the redraw mask, 1 elsewhere."""
    mouth = (frames.has(LIPS) | frames.has(MOUTH)).float()[:, None]
    mouth = F.max_pool2d(mouth, MOUTH_MARGIN, stride=1, padding=MOUTH_MARGIN // 2)
    lower = (frames.has(LOWER_FACE) | frames.has(MASK)).float()[:, None]
    weights = torch.full_like(mouth, settings.elsewhere)
    weights = torch.where(lower > 0, settings.lower_face, weights)
    return torch.where(mouth > 0, settings.mouth, weights)


def weighted_l1(drawn: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Mean absolute difference with pixel weights [N, 1, S, S], each frame counting the same."""
    differences = ((drawn - target).abs() * weights).sum(dim=(1, 2, 3))
    return (differences / (weights.sum(dim=(1, 2, 3)) * drawn.shape[1])).mean()


def texture_l1(texels: Tensor, target: Tensor, face: Tensor) -> Tensor:
    """The regularisation of the texture: its first three channels on the head against the frame, where the head is.

    texels: [N, C, S, S].  face: [N, S, S] bool.  Each frame counts the same.
    """
    where = face.float()[:, None]
    differences = ((texels[:, :3] - target).abs() * where).sum(dim=(1, 2, 3))
    return (differences / (where.sum(dim=(1, 2, 3)) * 3).clamp(min=1.0)).mean()


def laplacian_l1(drawn: Tensor, target: Tensor) -> Tensor:
    """L1 of the band-passed differences, each level weighing the same a pixel."""
    difference = drawn - target
    bands = []
    for _ in range(PYRAMID_LEVELS - 1):
        coarse = F.avg_pool2d(difference, 2)
        upward = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        bands.append((difference - upward).abs().mean())
        difference = coarse
    bands.append(difference.abs().mean())
    return torch.stack(bands).sum()


def multi_scale_dissimilarity(drawn: Tensor, target: Tensor) -> Tensor:
    """1 - SSIM, averaged over scales (after Wang et al. 2003, with equal weights since crops are small)."""
    parts = []
    for scale in range(SSIM_SCALES):
        if scale:
            drawn, target = F.avg_pool2d(drawn, 2), F.avg_pool2d(target, 2)
        parts.append(1.0 - ssim_map(drawn, target, data_range=2.0, window=SSIM_WINDOW).mean())
    return torch.stack(parts).mean()


def feature_matching(drawn: Sequence[Tensor], target: Sequence[Tensor]) -> Tensor:
    """Mean L1 between a discriminator's maps, relative to their mean size (after pix2pixHD, Wang et al. 2018)."""
    return torch.stack(
        [F.l1_loss(got, want) / want.abs().mean().clamp(min=1e-4) for got, want in zip(drawn, target, strict=True)]
    ).mean()


def discriminator_lsgan(real: Tensor, drawn: Tensor) -> Tensor:
    """((D(x) - 1)^2 + D(x')^2) / 2.  Scores [B]."""
    return 0.5 * ((real - 1.0).square().mean() + drawn.square().mean())


def generator_lsgan(drawn: Tensor) -> Tensor:
    """(D(x') - 1)^2.  Scores [B]."""
    return (drawn - 1.0).square().mean()


def r1_penalty(scores: Tensor, real: Tensor) -> Tensor:
    """Squared gradient of the scores to the real windows, half (Mescheder et al. 2018, eq. 9).

    scores: [B] from `real`, which requires gradients.
    """
    (gradient,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
    return 0.5 * gradient.square().flatten(1).sum(dim=1).mean()
