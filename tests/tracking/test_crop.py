# SPDX-License-Identifier: Apache-2.0
"""The crop: holds the face with any jaw, does not depend on one, and moves smoothly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.tracking.crop import crop_matrices, smoothed
from dubplate_backend.tracking.fit import Fit

FRAMES = 30
TIMES = np.arange(FRAMES) / 25
CENTRE = np.array([320.0, 240.0])


def still_fit(seed: int = 0) -> Fit:
    """A head that sways, its jaw and expression moving as they like."""
    random = np.random.default_rng(seed)
    shift = np.stack([0.1 * np.sin(TIMES * 4), np.zeros(FRAMES), np.full(FRAMES, 0.8)], 1)
    return Fit(
        shape=np.zeros(300),
        focal_px=800.0,
        rotation=np.tile(np.diag([1.0, -1.0, -1.0]), (FRAMES, 1, 1)),
        translation=shift,
        jaw=np.abs(random.normal(size=(FRAMES, 3))) * 0.3,
        expression=random.normal(size=(FRAMES, 100)),
        eyelids=np.zeros((FRAMES, 2)),
    )


def in_crop(head: HeadModel, fit: Fit, matrices: np.ndarray, jaw_deg: float, mask: str) -> np.ndarray:
    """A region's vertices in the unit square, (T, P, 2)."""
    jaw = torch.tensor([[np.deg2rad(jaw_deg), 0, 0]], dtype=torch.float32)
    points = head.vertices(torch.zeros(300), torch.zeros(1, 100), jaw)[0, head.masks[mask]].double().numpy()
    camera = np.einsum("tij,nj->tni", fit.rotation, points) + fit.translation[:, None]
    pixels = camera[..., :2] / camera[..., 2:] * fit.focal_px + CENTRE
    return np.einsum("tij,tnj->tni", matrices[:, :, :2], pixels) + matrices[:, None, :, 2]


def test_the_face_stays_inside_with_the_jaw_closed_and_fully_open(head: HeadModel) -> None:
    fit = still_fit()
    matrices = crop_matrices(head, fit, TIMES, CENTRE)
    for jaw_deg in (0, 20, 35):
        for mask in ("face", "redraw"):
            placed = in_crop(head, fit, matrices, jaw_deg, mask)
            assert placed.min() > 0.02 and placed.max() < 0.98


def test_no_jaw_and_no_expression_moves_it(head: HeadModel) -> None:
    first, second = still_fit(0), still_fit(1)
    assert not np.array_equal(first.jaw, second.jaw)
    assert np.array_equal(crop_matrices(head, first, TIMES, CENTRE), crop_matrices(head, second, TIMES, CENTRE))


def test_it_is_a_square_and_is_filled_by_the_face(head: HeadModel) -> None:
    matrices = crop_matrices(head, still_fit(), TIMES, CENTRE)
    assert np.allclose(matrices[:, 0, 0], matrices[:, 1, 1])
    assert not matrices[:, 0, 1].any() and not matrices[:, 1, 0].any()
    placed = in_crop(head, still_fit(), matrices, 35, "face")
    assert np.ptp(placed, axis=1).max(axis=1).min() > 0.6


def test_its_shake_is_a_tenth_of_the_heads(head: HeadModel) -> None:
    shaken = still_fit()
    shake = np.random.default_rng(2).normal(size=(FRAMES, 3)) * 0.002
    steady = crop_matrices(head, shaken, TIMES, CENTRE)
    moved = crop_matrices(head, replace(shaken, translation=shaken.translation + shake), TIMES, CENTRE)
    jitter = np.diff(moved[:, :, 2] - steady[:, :, 2], n=2, axis=0).std()
    scale = steady[0, 0, 0] * shaken.focal_px / 0.8  # unit square per metre
    assert jitter < 0.1 * np.diff(shake[:, :2] * scale, n=2, axis=0).std()


def test_smoothing_follows_true_times() -> None:
    times = np.array([0.0, 0.04, 0.08, 0.5, 0.54, 1.0])
    line = np.stack([times * 3, 1 - times], axis=1)
    inner = smoothed(np.repeat(line, 1, axis=0), times)[2:4]
    assert np.abs(inner - line[2:4]).max() < 0.25
    assert np.array_equal(smoothed(line[:1], times[:1]), line[:1])
