# SPDX-License-Identifier: Apache-2.0
"""What the tools make of a performance, on the stand-in head: by the millimetre at the lips."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender_addon.tools.closure import TOUCHING_MM, hold_closure
from blender_addon.tools.face_points import FacePoints, LipPairs
from blender_addon.tools.mouth import UPPER_FACE, mouth_share
from blender_addon.tools.mouths import Mouths
from blender_addon.tools.retime import retimed
from blender_addon.tools.simplify import between_keys, key_rows, slopes_of
from blender_addon.tools.smooth import smooth
from dubplate_shared.errors import InvalidInput
from dubplate_shared.landmarks import LIPS
from dubplate_shared.rig import Rig
from dubplate_shared.rotations import axis_angle_from_matrix, matrix_from_euler_xyz

COUNT = 60


@pytest.fixture(params=["standin", "flame", "mixed"])
def any_rig(request: pytest.FixtureRequest, assets: Path) -> Rig:
    """An invented person's head, one of FLAME's counts whose joints move with expression, and one whose components
    each move another region along, lips with eyes and brows."""
    if request.param != "mixed":
        return Rig.load(assets / f"{request.param}.npz")
    rig = Rig.load(assets / "standin.npz")
    return replace(rig, expression_basis=rig.expression_basis + 0.5 * np.roll(rig.expression_basis, -11, axis=2))


def random_mouths(seed: int, count: int = COUNT) -> Mouths:
    """Open mouths without any order from frame to frame."""
    rng = np.random.default_rng(seed)
    jaw = np.abs(rng.normal(0, 1, (count, 3))) * (0.25, 0.03, 0.03)
    return Mouths(rng.normal(0, 0.7, (count, 100)), jaw)


def speech(count: int, seed: int = 5) -> Mouths:
    """Jaw and expression as smooth as a speaking face's: nothing faster than 6 a second at 25 frames a second."""
    rng = np.random.default_rng(seed)
    frequency = np.fft.rfftfreq(count, 1 / 25)
    heard = np.exp(-0.5 * (frequency / 2.5) ** 2)[:, None]

    def moving(columns: int) -> np.ndarray:
        noise = np.fft.irfft(np.fft.rfft(rng.normal(0, 1, (count, columns)), axis=0) * heard, count, axis=0)
        return noise / noise.std()

    return Mouths(0.5 * moving(100) * np.exp(-np.arange(100) / 15), 0.12 + moving(3) * (0.06, 0.005, 0.005))


def points_mm(rig: Rig, landmarks: tuple[int, ...], mouths: Mouths) -> np.ndarray:
    return 1e3 * FacePoints.of_landmarks(rig, landmarks).positions(mouths.expression, mouths.jaw)


def moved_mm(rig: Rig, landmarks: tuple[int, ...], before: Mouths, after: Mouths) -> np.ndarray:
    """How far each landmark has moved in each frame, (T, N)."""
    return np.linalg.norm(points_mm(rig, landmarks, after) - points_mm(rig, landmarks, before), axis=-1)


def test_points_lie_where_the_whole_head_has_them(any_rig: Rig) -> None:
    mouths = random_mouths(1, 4)
    turns = axis_angle_from_matrix(matrix_from_euler_xyz(mouths.jaw))
    posed = [any_rig.pose(e, j) for e, j in zip(mouths.expression, turns, strict=True)]
    lips = FacePoints.of_landmarks(any_rig, LIPS).positions(mouths.expression, mouths.jaw)
    assert np.abs(lips - np.stack([any_rig.landmarks(v)[list(LIPS)] for v in posed])).max() < 1e-7


@pytest.mark.parametrize("seed", range(3))
def test_lips_meet_over_the_held_frames_of_any_take_and_nothing_else_changes(any_rig: Rig, seed: int) -> None:
    mouths, pairs = random_mouths(seed), LipPairs(any_rig)
    change = hold_closure(any_rig, mouths, start=20, stop=35, blend_in=3, blend_out=5)
    closed = change.on(mouths, any_rig)
    before, after = (pairs.gap_mm(each.expression, each.jaw) for each in (mouths, closed))
    assert before[20:35].max() > 10
    assert after[20:35].max() < TOUCHING_MM
    assert (after[17:40] <= before[17:40] + 0.01).all()  # on the way there no mouth opens
    for values in (change.jaw, change.expression, *change.controls.values()):
        assert not values[:17].any() and not values[40:].any()
    # Lips close, eyes and brows keep still, and the mouth is no other mouth.
    assert moved_mm(any_rig, UPPER_FACE, mouths, closed).max() < 1.5  # the jaw pulls at lids a little
    was_open = pairs.apart(mouths.expression, mouths.jaw)[20:35, :, 1] > 0
    apart_mm = 1e3 * np.abs(pairs.apart(closed.expression, closed.jaw)[20:35][was_open])
    assert apart_mm[:, [0, 2]].max() < 3.0  # they meet, and do not pass each other


def test_lips_that_are_pressed_stay_pressed(standin_rig: Rig) -> None:
    press = standin_rig.control_names.index("press")
    expression = np.tile(standin_rig.control_expression[press], (5, 1))
    mouths, pairs = Mouths(expression, np.zeros((5, 3))), LipPairs(standin_rig)
    closed = hold_closure(standin_rig, mouths, start=0, stop=5, blend_in=0, blend_out=0).on(mouths, standin_rig)
    assert pairs.apart(expression, mouths.jaw)[..., 1].min() < -3e-4
    assert np.abs(pairs.apart(closed.expression, closed.jaw) - pairs.apart(expression, mouths.jaw)).max() < 1e-6


def test_smoothing_takes_the_noise_and_leaves_what_is_pinned_and_all_outside() -> None:
    rng = np.random.default_rng(2)
    clean = np.sin(np.arange(100) / 9)[:, None] * [1.0, 0.4]
    noisy = clean + rng.normal(0, 0.1, clean.shape)
    pinned = np.zeros(100, bool)
    pinned[[40, 41]] = True
    done = smooth(noisy, start=10, stop=90, pinned=pinned, reach=5)
    kept = pinned | (np.arange(100) < 10) | (np.arange(100) >= 90)
    assert np.array_equal(done[kept], noisy[kept])
    free = ~kept
    assert np.square(done - clean)[free].mean() < 0.4 * np.square(noisy - clean)[free].mean()
    # A pinned frame does not stick out: its neighbours lead to it.
    assert np.abs(np.diff(done, axis=0))[38:43].max() < np.abs(np.diff(noisy, axis=0)).max()


def test_smoothing_keeps_a_cubic_as_it_is() -> None:
    curve = (np.arange(40) / 20.0)[:, None] ** 3
    assert np.allclose(smooth(curve, start=0, stop=40, pinned=np.zeros(40, bool), reach=4), curve, atol=1e-9)


def test_a_retimed_moment_comes_when_it_is_told_to_and_the_ends_stay() -> None:
    rows = np.arange(50.0)[:, None]
    done = retimed(rows, start=10, stop=41, moment=20, to=28)
    assert done[28] == pytest.approx(20)
    assert np.array_equal(done[:11], rows[:11]) and np.array_equal(done[40:], rows[40:])
    assert (np.diff(done, axis=0) >= 0).all()
    with pytest.raises(InvalidInput, match="inside its stretch"):
        retimed(rows, start=10, stop=41, moment=40, to=28)


def test_a_mouth_is_told_from_the_eyes_and_brows_around_it(standin_rig: Rig) -> None:
    share = mouth_share(standin_rig)
    rng = np.random.default_rng(4)
    rest = Mouths(np.zeros((8, 100)), np.zeros((8, 3)))
    whole = Mouths(rng.normal(0, 0.7, (8, 100)), rest.jaw)
    mouth = Mouths(whole.expression @ share.T, rest.jaw)
    assert moved_mm(standin_rig, LIPS, whole, mouth).mean() < 0.3 < moved_mm(standin_rig, LIPS, rest, whole).mean()
    assert moved_mm(standin_rig, UPPER_FACE, rest, mouth).max() < 0.1
    assert moved_mm(standin_rig, UPPER_FACE, rest, whole).max() > 1.0


@pytest.mark.parametrize("most_mm", [0.3, 1.0])
def test_fewer_keys_keep_every_lip_vertex_within_the_bound(standin_rig: Rig, most_mm: float) -> None:
    mouths = speech(1500)
    began_s = time.process_time()
    values = mouths.columns()
    keys = key_rows(standin_rig, mouths, values, np.eye(103), most_mm=most_mm, keep=np.array([700, 703]))
    assert time.process_time() - began_s < 8
    assert {0, 700, 703, 1499} <= set(keys.tolist())
    assert len(keys) < 900
    found = Mouths.of_columns(between_keys(values[keys], slopes_of(values)[keys], keys, np.arange(1500)))
    lips = FacePoints.of_vertices(standin_rig, np.flatnonzero(standin_rig.masks["lips"]))
    apart = lips.positions(found.expression, found.jaw) - lips.positions(mouths.expression, mouths.jaw)
    error_mm = 1e3 * np.linalg.norm(apart, axis=-1).max(axis=1)
    assert 0.5 * most_mm < error_mm.max() <= most_mm
    assert np.array_equal(found.columns()[keys], values[keys])
