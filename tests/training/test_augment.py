# SPDX-License-Identifier: Apache-2.0
"""Augmentation: everything of a window changes together, and nothing is resampled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from dubplate_backend.training.augment import Augmentation, augmented, draw_augmentation
from dubplate_backend.training.dataset import FACE
from dubplate_backend.training.settings import AdaptSettings, PriorSettings

STILL = Augmentation(np.ones(3, np.float32), 0.0, (0, 0), np.zeros((5, 2), np.float32))


def window(crops):
    members = crops.window(int(crops.train[3]), 5)
    return crops.frames(members), crops.pictures(crops.assigned[members])


def test_no_change_is_no_change(crops):
    frames, reference = window(crops)
    same, beside = augmented(frames, reference, STILL)
    for name in ("rgb", "filled", "uv", "flags"):
        torch.testing.assert_close(getattr(same, name), getattr(frames, name), rtol=0, atol=1e-6)
    torch.testing.assert_close(beside, reference, rtol=0, atol=1e-6)


def test_picture_geometry_and_reference_move_together(crops):
    frames, reference = window(crops)
    moved, beside = augmented(frames, reference, replace(STILL, shift=(3, -2)))
    here, there = (slice(None, -2), slice(3, None)), (slice(2, None), slice(None, -3))
    assert torch.equal(moved.flags[:, *here], frames.flags[:, *there])
    assert torch.equal(moved.uv[:, *here], frames.uv[:, *there])
    torch.testing.assert_close(moved.rgb[:, :, *here], frames.rgb[:, :, *there], rtol=0, atol=1e-6)
    torch.testing.assert_close(beside[:, :, *here], reference[:, :, *there], rtol=0, atol=1e-6)


def test_colours_change_alike_in_picture_fill_and_reference(crops):
    frames, reference = window(crops)
    gain = np.array((1.1, 0.9, 1.0), np.float32)
    changed, beside = augmented(frames, reference, replace(STILL, gain=gain))
    for after, before in ((changed.rgb, frames.rgb), (changed.filled, frames.filled), (beside, reference)):
        wanted = ((before + 1) * torch.from_numpy(gain).view(1, 3, 1, 1)).clamp(0, 2)
        torch.testing.assert_close(after + 1, wanted, rtol=0, atol=1e-5)
    assert torch.equal(changed.uv, frames.uv)


def test_a_shake_reads_the_geometry_beside_each_pixel(crops):
    frames, reference = window(crops)
    jitter = np.zeros((5, 2), np.float32)
    jitter[:, 0] = 1.0  # a whole pixel to the right: each pixel shows what its left neighbour showed
    shaken, _ = augmented(frames, reference, replace(STILL, jitter=jitter))
    inner = frames.has(FACE)[:, :, 1:-1] & frames.has(FACE)[:, :, :-2] & frames.has(FACE)[:, :, 2:]
    moved = (shaken.uv[:, :, 1:-1] - frames.uv[:, :, :-2]).abs().amax(dim=-1)[inner]
    stayed = (shaken.uv[:, :, 1:-1] - frames.uv[:, :, 1:-1]).abs().amax(dim=-1)[inner]
    assert moved.median() < 0.4 * stayed.median()
    assert torch.equal(shaken.rgb, frames.rgb) and torch.equal(shaken.flags, frames.flags)


def test_chance_follows_the_settings():
    random = np.random.default_rng(0)
    drawn = [draw_augmentation(random, PriorSettings(), 5, 128) for _ in range(300)]
    shifts = np.array([each.shift for each in drawn])
    assert shifts.min() == -5 and shifts.max() == 5
    jitter = np.concatenate([each.jitter for each in drawn])
    assert 0.1 < jitter.std() < 0.2, "0.30 mm of a crop of 250 mm and 128 px"
    assert not AdaptSettings().augments and PriorSettings().augments
