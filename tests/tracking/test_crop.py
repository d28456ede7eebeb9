# SPDX-License-Identifier: Apache-2.0
"""The crop: holds the face with any jaw, does not depend on one, and moves smoothly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from dubplate_backend.head.model import HeadModel
from dubplate_backend.tracking.crop import crop_matrices, smoothed
from dubplate_shared.rotations import matrix_from_axis_angle
from dubplate_shared.track import Track

FRAMES = 30
TIMES = np.arange(FRAMES) / 25


def swaying(seed: int = 0) -> Track:
    """A head that sways, its jaw and expression moving as they like."""
    random = np.random.default_rng(seed)
    shift = np.stack([0.1 * np.sin(TIMES * 4), np.zeros(FRAMES), np.full(FRAMES, 0.8)], 1)
    return Track(
        frame=np.arange(FRAMES),
        time=TIMES,
        shape=np.zeros(300),
        expression=random.normal(size=(FRAMES, 100)),
        jaw=np.abs(random.normal(size=(FRAMES, 3))) * 0.3,
        neck=np.zeros((FRAMES, 3)),
        eyes=np.zeros((FRAMES, 6)),
        eyelids=np.zeros((FRAMES, 2)),
        rotation=np.tile([np.pi, 0.0, 0.0], (FRAMES, 1)),
        translation=shift,
        intrinsics=np.tile([800.0, 800.0, 320.0, 240.0], (FRAMES, 1)),
        distortion=np.zeros(8),
        lighting=np.zeros((FRAMES, 9, 3)),
        texture=np.zeros(0),
        confidence=np.ones(FRAMES),
        landmarks_px=np.zeros((FRAMES, 0, 2)),
        projected_px=np.zeros((FRAMES, 0, 2)),
        landmark_index=np.zeros(0),
    )


def in_crop(head: HeadModel, track: Track, matrices: np.ndarray, jaw_deg: float, mask: str) -> np.ndarray:
    """A region's vertices in the unit square, (T, P, 2)."""
    jaw = torch.tensor([[np.deg2rad(jaw_deg), 0, 0]], dtype=torch.float32)
    necks = torch.from_numpy(track.neck)
    points = head.vertices(torch.zeros(300), torch.zeros(1, 100), jaw, necks)[:, head.masks[mask]].double().numpy()
    camera = np.einsum("tij,tnj->tni", matrix_from_axis_angle(track.rotation), points) + track.translation[:, None]
    pixels = camera[..., :2] / camera[..., 2:] * track.intrinsics[:, None, :2] + track.intrinsics[:, None, 2:]
    return np.einsum("tij,tnj->tni", matrices[:, :, :2], pixels) + matrices[:, None, :, 2]


def test_the_face_stays_inside_with_the_jaw_closed_and_fully_open(head: HeadModel) -> None:
    track = swaying()
    matrices = crop_matrices(head, track)
    for jaw_deg in (0, 20, 35):
        for mask in ("face", "redraw"):
            placed = in_crop(head, track, matrices, jaw_deg, mask)
            assert placed.min() > 0.02 and placed.max() < 0.98


def test_a_turned_neck_takes_it_along(head: HeadModel) -> None:
    track = swaying()
    bent = replace(track, neck=np.tile([0.0, 0.3, 0.0], (FRAMES, 1)))
    matrices = crop_matrices(head, bent)
    assert not np.allclose(matrices, crop_matrices(head, track), atol=0.01)
    placed = in_crop(head, bent, matrices, 35, "face")
    assert placed.min() > 0.02 and placed.max() < 0.98


def test_no_jaw_and_no_expression_moves_it(head: HeadModel) -> None:
    first, second = swaying(0), swaying(1)
    assert not np.array_equal(first.jaw, second.jaw)
    assert np.array_equal(crop_matrices(head, first), crop_matrices(head, second))


def test_it_is_a_square_and_is_filled_by_the_face(head: HeadModel) -> None:
    matrices = crop_matrices(head, swaying())
    assert np.allclose(matrices[:, 0, 0], matrices[:, 1, 1])
    assert not matrices[:, 0, 1].any() and not matrices[:, 1, 0].any()
    placed = in_crop(head, swaying(), matrices, 35, "face")
    assert np.ptp(placed, axis=1).max(axis=1).min() > 0.6


def test_its_shake_is_a_tenth_of_the_heads(head: HeadModel) -> None:
    shaken = swaying()
    shake = np.random.default_rng(2).normal(size=(FRAMES, 3)) * 0.002
    steady = crop_matrices(head, shaken)
    moved = crop_matrices(head, replace(shaken, translation=shaken.translation + shake))
    jitter = np.diff(moved[:, :, 2] - steady[:, :, 2], n=2, axis=0).std()
    scale = steady[0, 0, 0] * 800 / 0.8  # unit square per metre
    assert jitter < 0.1 * np.diff(shake[:, :2] * scale, n=2, axis=0).std()


def test_smoothing_follows_true_times() -> None:
    times = np.array([0.0, 0.04, 0.08, 0.5, 0.54, 1.0])
    line = np.stack([times * 3, 1 - times], axis=1)
    inner = smoothed(np.repeat(line, 1, axis=0), times)[2:4]
    assert np.abs(inner - line[2:4]).max() < 0.25
    assert np.array_equal(smoothed(line[:1], times[:1]), line[:1])
