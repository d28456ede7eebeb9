# SPDX-License-Identifier: Apache-2.0
"""Each measure on pictures and points whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from dubplate_backend.evaluation.face_points import FacePoints, colour_apart, laid_on
from dubplate_backend.evaluation.frechet import frechet_distance
from dubplate_backend.evaluation.seam import Seam
from dubplate_backend.evaluation.steadiness import Steadiness
from dubplate_shared.landmarks import LIPS, LOWER_INNER_LIP, UPPER_INNER_LIP

SIDE = 160


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_frechet_distance_is_that_of_the_formula_with_its_matrix_root(random):
    first, second = random.normal(0, 1, (200, 6)), random.normal(0.3, 1.5, (150, 6)) @ random.normal(0, 1, (6, 6))
    mean = first.mean(axis=0) - second.mean(axis=0)
    covariances = np.cov(first.T), np.cov(second.T)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    wanted = mean @ mean + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(wanted, rel=1e-6)
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(first[:5], first[:5] + 2.0) == pytest.approx(4.0 * 6)  # fewer samples than dimensions


def matte_and_pictures(random) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    radius = np.hypot(x - SIDE / 2, y - SIDE / 2)
    matte = np.clip((50 - radius) / 8, 0, 1).astype(np.float32)
    smooth = random.normal(0.5, 0.1, (SIDE, SIDE, 3)).astype(np.float32)
    return matte, smooth


def energy(shown: np.ndarray, filmed: np.ndarray, matte: np.ndarray) -> float:
    seam = Seam()
    seam.add(shown, filmed, matte)
    return seam.energy()


def test_a_step_at_the_mattes_border_is_a_seam_and_softness_inside_is_none(random):
    import cv2

    matte, filmed = matte_and_pictures(random)
    filmed = cv2.GaussianBlur(filmed, (0, 0), 2.0)
    assert energy(filmed, filmed, matte) == pytest.approx(1)
    brighter = filmed + 0.15 * matte[..., None]
    assert energy(brighter, filmed, matte) > 1.15
    half = filmed + 0.075 * matte[..., None]
    assert 1 < energy(half, filmed, matte) < energy(brighter, filmed, matte)
    soft = filmed + matte[..., None] * (cv2.GaussianBlur(filmed, (0, 0), 1.5) - filmed)
    assert energy(soft, filmed, matte) == pytest.approx(1, abs=0.08)


def ratios(shown: list[np.ndarray], filmed: list[np.ndarray], matte: np.ndarray, skip: int = -1):
    steadiness = Steadiness()
    for index, pair in enumerate(zip(shown, filmed, strict=True)):
        if index != skip:
            steadiness.add(index, *pair, matte)
    return steadiness.ratios()


def test_flicker_counts_jumps_and_neither_motion_nor_what_was_filmed(random):
    matte, still = matte_and_pictures(random)
    filmed = [still + random.normal(0, 0.01, still.shape) + 0.02 * index for index in range(8)]  # grain under a fade
    assert ratios(filmed, filmed, matte) == pytest.approx((1, 1))
    jumping = [frame + (0.02 if index % 2 else -0.02) * (matte >= 1)[..., None] for index, frame in enumerate(filmed)]
    inside, border = ratios(jumping, filmed, matte)
    assert inside > 2 and border == pytest.approx(1, abs=0.01)
    frozen = [np.where(matte[..., None] >= 1, filmed[0], frame) for frame in filmed]
    assert ratios(frozen, filmed, matte)[0] < 0.2
    assert np.isnan(ratios(filmed[:2], filmed[:2], matte)).all()


def test_frames_beside_a_gap_are_not_compared(random):
    matte, still = matte_and_pictures(random)
    filmed = [still + random.normal(0, 0.01, still.shape) for _ in range(7)]
    cut = [*filmed[:3], *(frame + 0.3 for frame in filmed[3:])]  # a cut in the drawn pictures, at index 3
    assert ratios(cut, filmed, matte)[0] > 5
    assert ratios(cut, filmed, matte, skip=3)[0] == pytest.approx(1)


def face(random) -> np.ndarray:
    points = random.uniform(0, 100, (478, 2))
    points[33], points[263] = (20, 40), (80, 40)  # outer eye corners, 60 apart
    return points


def test_lips_and_shape_are_measured_in_eye_distances(random):
    filmed = face(random)
    drawn = filmed.copy()
    drawn[list(LIPS)] += (0.6, 0)  # 1 % of 60
    points = FacePoints()
    points.add(drawn, filmed)
    points.add(None, filmed)
    assert points.count == 1
    assert points.lip_error_percent() == pytest.approx(1.0)
    assert points.shape_drift_percent() == pytest.approx(0, abs=1e-9)
    turned = (filmed - 50) @ np.array([[np.cos(0.1), np.sin(0.1)], [-np.sin(0.1), np.cos(0.1)]]) * 1.05 + 53
    moved = FacePoints()
    moved.add(turned, filmed)
    assert moved.shape_drift_percent() == pytest.approx(0, abs=1e-6)  # a pose is no other person
    assert np.allclose(laid_on(turned, filmed, (1, 2, 3, 4)), filmed)
    longer = filmed.copy()
    longer[152] += (0, 6)  # the chin
    chin = FacePoints()
    chin.add(longer, filmed)
    assert chin.shape_drift_percent() > 0.3


def test_the_gaps_of_lips_are_followed_over_frames(random):
    points, against = FacePoints(), FacePoints()
    for gap in (0.0, 3.0, 6.0, 1.0):
        filmed = face(random)
        filmed[UPPER_INNER_LIP], filmed[LOWER_INNER_LIP] = (50, 70), (50, 70 + gap)
        same, other = filmed.copy(), filmed.copy()
        same[LOWER_INNER_LIP] = (50, 70 + gap + 0.6)
        other[LOWER_INNER_LIP] = (50, 76 - gap)
        points.add(same, filmed)
        against.add(other, filmed)
    assert points.gap_correlation() == pytest.approx(1) and points.gap_error_percent() == pytest.approx(1.0)
    assert against.gap_correlation() == pytest.approx(-1)
    assert np.isnan(FacePoints().gap_correlation()) and np.isnan(FacePoints().lip_error_percent())


def test_colour_is_the_distance_of_means_and_not_of_pixels(random):
    skin = np.zeros((20, 20), bool)
    skin[5:15, 5:15] = True
    filmed = np.full((20, 20, 3), (0.7, 0.55, 0.45), np.float32)
    noisy = filmed + random.normal(0, 0.05, filmed.shape).astype(np.float32)
    assert colour_apart(noisy, filmed, skin) < 1.0
    redder = filmed + np.float32((0.05, 0, 0))
    assert 2.0 < colour_apart(redder, filmed, skin) < 10.0
    assert np.isnan(colour_apart(filmed, filmed, np.zeros((20, 20), bool)))
