# SPDX-License-Identifier: Apache-2.0
"""The scores of a track say what is wrong with it, by how much, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dubplate_backend.bench.followed_points import TruePoints, followed_error_percent
from dubplate_backend.bench.lip_warp import LipPoints, sample_lips, warp_difference
from dubplate_backend.bench.tracking_scores import (
    CONTACT_GAP_MM,
    Similarity,
    contact_scores,
    jitter,
    lip_gap_mm,
    truth_scores,
)
from dubplate_backend.head.load import load_standin
from dubplate_backend.head.model import HeadModel
from dubplate_backend.raster.camera import project, to_camera
from dubplate_backend.raster.shading import shade
from dubplate_shared.errors import InvalidInput
from dubplate_shared.landmarks import COUNT, INNER_LIPS, LEFT_EYE_OUTER, OUTER_LIPS, RIGHT_EYE_OUTER
from dubplate_shared.rotations import axis_angle_from_matrix, matrix_from_axis_angle
from dubplate_shared.track import Track

NECK = 1  # of the joints
FRAMES, SIZE, FOCAL, DISTANCE_M = 8, 160, 400.0, 0.6


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_standin()


@pytest.fixture(scope="module")
def true() -> Track:
    """A head that turns and opens its mouth."""
    share = np.linspace(0, 1, FRAMES)
    yaw, pitch = np.radians(20) * (share - 0.5), np.radians(8) * share
    zero = np.zeros(FRAMES)
    turn = matrix_from_axis_angle(np.stack([zero, yaw, zero], -1)) @ matrix_from_axis_angle(
        np.stack([pitch, zero, zero], -1)
    )
    jaw = np.stack([np.radians(15) * share, zero, zero], -1)
    expression = np.random.default_rng(0).normal(0, 0.3, (1, 100)).repeat(FRAMES, 0)
    return Track(
        frame=1001 + np.arange(FRAMES),
        time=np.arange(FRAMES) / 25,
        shape=np.random.default_rng(1).normal(0, 0.5, 300),
        expression=expression,
        jaw=jaw,
        neck=np.tile([0.03, -0.05, 0.02], (FRAMES, 1)),
        eyes=np.zeros((FRAMES, 6)),
        eyelids=np.zeros((FRAMES, 2)),
        rotation=axis_angle_from_matrix(matrix_from_axis_angle(np.array([np.pi, 0, 0])) @ turn),
        translation=np.stack([0.02 * share, -0.02 + zero, DISTANCE_M + 0.03 * share], -1),
        intrinsics=np.tile([FOCAL, FOCAL, SIZE / 2, SIZE / 2], (FRAMES, 1)),
        distortion=np.zeros(8),
        lighting=np.zeros((FRAMES, 9, 3)),
        texture=np.zeros(0),
        confidence=np.ones(FRAMES),
        landmarks_px=np.zeros((FRAMES, COUNT, 2)),
        projected_px=np.zeros((FRAMES, COUNT, 2)),
        landmark_index=np.arange(COUNT),
    )


def turned(track: Track, by: np.ndarray) -> np.ndarray:
    """The track's rotations with `by`, axis-angle, before the camera."""
    return axis_angle_from_matrix(matrix_from_axis_angle(by) @ matrix_from_axis_angle(track.rotation))


def test_a_similarity_is_found_again_whatever_its_scale() -> None:
    points = np.random.default_rng(0).normal(size=(40, 3))
    made = Similarity(1.7, matrix_from_axis_angle(np.array([0.3, -2.0, 0.5])), np.array([1.0, 2.0, -3.0]))
    found = Similarity.between(points, made(points))
    assert found.scale == pytest.approx(1.7)
    np.testing.assert_allclose(found.rotation, made.rotation, atol=1e-9)
    np.testing.assert_allclose(found(points), made(points), atol=1e-9)


def test_a_true_track_in_another_camera_s_axes_has_no_error(head: HeadModel, true: Track) -> None:
    by = np.array([0.1, -0.2, 0.15])
    moved = true.translation @ matrix_from_axis_angle(by).T + np.array([0.3, -0.1, 0.5])
    score = truth_scores(head, replace(true, rotation=turned(true, by), translation=moved), true)
    assert score.lips_mm < 1e-3
    assert score.lips_skull_mm < 1e-3
    assert score.rotation_deg < 1e-3
    assert score.jaw_deg == 0
    assert score.scale == pytest.approx(1, abs=1e-5)


def test_a_neck_turned_where_the_head_should_have_is_no_error_of_rotation(head: HeadModel, true: Track) -> None:
    head_turn, neck_turn = matrix_from_axis_angle(true.rotation), matrix_from_axis_angle(true.neck)
    pivot = head.shaped(torch.from_numpy(true.shape))[1][0, NECK].double().numpy()
    moved = true.translation + (head_turn @ (pivot - neck_turn @ pivot)[..., None])[..., 0]
    rotation = axis_angle_from_matrix(head_turn @ neck_turn)
    straight = replace(true, rotation=rotation, translation=moved, neck=np.zeros_like(true.neck))
    score = truth_scores(head, straight, true)
    assert score.rotation_deg < 0.1
    assert score.lips_skull_mm < 1e-3
    assert jitter(head, straight).skull_mm == pytest.approx(jitter(head, true).skull_mm, rel=1e-3)


def test_a_jaw_off_by_two_degrees_and_a_head_by_one_are_named(head: HeadModel, true: Track) -> None:
    jaw = true.jaw + np.radians([2.0, 0.0, 0.0])
    score = truth_scores(head, replace(true, jaw=jaw), true)
    assert score.jaw_deg == pytest.approx(2, abs=0.01)
    assert score.jaw_opening_deg == pytest.approx(2, abs=0.01)
    assert 0.5 < score.lips_skull_mm < 3
    rocking = np.radians(1.0) * np.where(np.arange(FRAMES) % 2, 1, -1)[:, None] * np.array([0, 0, 1.0])
    score = truth_scores(head, replace(true, rotation=turned(true, rocking)), true)
    assert score.rotation_deg == pytest.approx(1, abs=0.15)
    assert score.jaw_deg == 0


def test_frames_without_a_face_do_not_count(head: HeadModel, true: Track) -> None:
    nowhere = (np.arange(FRAMES) == 3)[:, None]
    lost = replace(true, confidence=~nowhere[:, 0], jaw=np.where(nowhere, 1.0, true.jaw))
    assert truth_scores(head, lost, true).jaw_deg == 0


def test_jitter_is_nothing_on_a_still_track_and_the_shake_s_size_on_a_shaken_one(head: HeadModel, true: Track) -> None:
    moving = ("expression", "jaw", "neck", "eyes", "eyelids", "rotation", "translation")
    still = replace(true, **{name: np.repeat(getattr(true, name)[:1], FRAMES, 0) for name in moving})
    assert jitter(head, still).camera_mm < 1e-6
    shift_m = 1e-4 * np.where(np.arange(FRAMES) % 2, 1, -1)[:, None] * np.array([1.0, 0, 0])
    shaken = jitter(head, replace(still, translation=still.translation + shift_m))
    assert shaken.skull_mm < 1e-6
    assert shaken.camera_mm == pytest.approx(0.4, rel=1e-2)  # +a, -a, +a: the second difference is 4 a


def test_lips_touch_at_rest_and_part_as_the_jaw_opens(head: HeadModel, true: Track) -> None:
    plain = replace(true, expression=np.zeros((FRAMES, 100)), shape=np.zeros(300))
    gap = lip_gap_mm(head, plain)
    assert abs(gap[0]) < 0.1 < CONTACT_GAP_MM
    assert (np.diff(gap) > 0).all()
    assert gap[-1] > 10
    touching = gap < 4  # as if a person had called small gaps touching
    score = contact_scores(gap, np.arange(FRAMES), touching)
    assert score.precision == 1
    assert score.recall == pytest.approx((gap <= CONTACT_GAP_MM).sum() / touching.sum())
    assert score.missed == tuple(np.flatnonzero(touching & (gap > CONTACT_GAP_MM)))
    assert score.invented == ()


@pytest.fixture(scope="module")
def lips(head: HeadModel, true: Track) -> TruePoints:
    """The head's own lip landmarks, as if they were another model's; two frames of rest are put before."""
    codes = (true.expression, true.jaw, true.neck, true.eyes, true.eyelids)
    vertices = head.vertices(torch.from_numpy(true.shape), *(torch.from_numpy(code) for code in codes))
    camera = to_camera(head.landmarks(vertices), torch.from_numpy(true.rotation), torch.from_numpy(true.translation))
    pixels = project(camera, torch.from_numpy(true.intrinsics)).double().numpy()
    right, left = pixels[:, RIGHT_EYE_OUTER], pixels[:, LEFT_EYE_OUTER]
    chosen = OUTER_LIPS[1:10] + OUTER_LIPS[11:] + INNER_LIPS[1:10] + INNER_LIPS[11:]
    upper = np.array([True] * 9 + [False] * 9 + [True] * 9 + [False] * 9)
    return TruePoints(pixels[:, chosen], upper, np.linalg.norm(right - left, axis=-1), range(1))


def test_points_tied_to_the_right_track_are_followed_and_to_a_wrong_jaw_are_not(head, true, lips) -> None:
    assert followed_error_percent(head, true, lips).mean() < 0.35
    late = true.jaw * np.where(np.arange(FRAMES) < FRAMES // 2, 1, 0.6)[:, None]
    wrong = followed_error_percent(head, replace(true, jaw=late), lips)
    assert len(wrong) == FRAMES - 1
    assert wrong[-1] > 1.5


def test_borders_that_two_models_place_differently_are_not_an_error_of_motion(head, true, lips) -> None:
    shifted = replace(lips, pixels=lips.pixels + np.array([0.0, 0.8]))
    plain = np.linalg.norm(shifted.pixels - lips.pixels, axis=-1).mean() / lips.inter_ocular_px.mean()
    assert followed_error_percent(head, true, shifted).mean() < 0.6 * 100 * plain + 0.35


@pytest.fixture(scope="module")
def filmed(head: HeadModel, true: Track) -> list[np.ndarray]:
    """Pictures of the head in colours that vary over the skin."""
    random = torch.Generator().manual_seed(0)
    waves = torch.sin(head.template @ (600 * torch.randn(3, 9, generator=random)))
    colours = (0.35 + 0.25 * waves.view(-1, 3, 3).mean(-1)).clamp(0.02, 0.9)
    pictures = []
    for index in range(FRAMES):
        part = slice(index, index + 1)
        codes = (true.expression, true.jaw, true.neck, true.eyes, true.eyelids)
        vertices = head.vertices(torch.from_numpy(true.shape), *(torch.from_numpy(code[part]) for code in codes))
        camera = to_camera(vertices, torch.from_numpy(true.rotation[part]), torch.from_numpy(true.translation[part]))
        drawn = shade(camera, head.faces, torch.from_numpy(true.intrinsics[part]), SIZE, SIZE, colours=colours)
        pictures.append((drawn[0, ..., :3] * 255).round().to(torch.uint8).numpy())
    return pictures


def test_warped_lips_differ_least_on_the_true_track_and_light_is_not_counted(head, true, filmed) -> None:
    lags = (1, 3)
    exact = warp_difference(head, sample_lips(head, true, filmed), lags)
    slipping = true.jaw + np.radians([[3.0, 0, 0]]) * (np.arange(FRAMES) % 2)[:, None]
    slipped = warp_difference(head, sample_lips(head, replace(true, jaw=slipping), filmed), lags)
    assert exact < 0.75 * slipped
    alone = [
        warp_difference(head, sample_lips(head, each, filmed), lags, lips_alone=True)
        for each in (true, replace(true, jaw=slipping))
    ]
    assert alone[0] < 0.75 * alone[1]
    dimmed = [(picture * (0.7 + 0.3 * (index % 2))).astype(np.uint8) for index, picture in enumerate(filmed)]
    assert warp_difference(head, sample_lips(head, true, dimmed), lags) < 1.15 * exact


def test_a_track_without_a_face_has_no_warp_difference(head, true, filmed) -> None:
    lost = replace(true, confidence=np.zeros(FRAMES))
    with pytest.raises(InvalidInput, match="No two frames"):
        warp_difference(head, sample_lips(head, lost, filmed), (1,))


def test_points_that_face_away_or_lie_behind_the_cheek_are_not_compared(head, true, filmed) -> None:
    frontal = sample_lips(head, true, filmed).shown[FRAMES // 2]
    to_the_left = matrix_from_axis_angle(np.array([0.0, np.radians(70), 0.0]))  # the subject's right side is seen
    profile = axis_angle_from_matrix(matrix_from_axis_angle(true.rotation) @ to_the_left)
    aside = sample_lips(head, replace(true, rotation=profile), filmed).shown[FRAMES // 2]
    x = LipPoints.of(head).at_rest[:, 0]
    assert frontal[x < -0.3].mean() > 0.5
    assert frontal[x > 0.3].mean() > 0.5
    assert aside[x > 0.3].mean() < 0.2 < aside[x < -0.3].mean()
