# SPDX-License-Identifier: Apache-2.0
"""Cuts are found at their frame; flashes, gestures, pans and light that goes out are none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dubplate_backend.plates.footage import Footage
from dubplate_backend.tracking.cuts import CutWatch
from dubplate_backend.tracking.faces import FaceFinder
from dubplate_backend.tracking.split import shot_name, shot_ranges
from footage import clip

SIZE = (180, 320)  # of the pictures that are compared, which look at 48 px
Seen = tuple[np.ndarray, np.ndarray | None]


def small(name: str, start: int, count: int) -> list[Seen]:
    with Footage.open(clip(name)) as footage:
        return [
            (cv2.resize(rgb, SIZE, interpolation=cv2.INTER_AREA), None) for rgb in footage.iter(start, start + count)
        ]


@pytest.fixture(scope="module")
def gesture() -> list[Seen]:
    """The man throws his arms apart: the fastest thing in the clips."""
    return small("kitchen_man_25fps.mp4", 56, 24)


@pytest.fixture(scope="module")
def speaker() -> list[Seen]:
    return small("grid_bbaf2n.mpg", 20, 12)


def cuts_of(frames: list[Seen]) -> tuple[int, ...]:
    watch = CutWatch()
    for rgb, points in frames:
        watch.feed(rgb, points)
    return watch.cuts()


def lit(frame: Seen, gain: float, lift: float = 0.0) -> Seen:
    return np.clip(frame[0] * gain + lift, 0, 255).astype(np.uint8), None


@pytest.mark.parametrize("before", [1, 2, 3, 9])
def test_a_cut_is_found_at_its_frame_however_near_an_end(gesture, speaker, before: int) -> None:
    assert cuts_of(gesture[:before] + speaker[:8]) == (before,)
    assert cuts_of(speaker[:8] + gesture[:before]) == (8,)


def test_every_cut_is_found(gesture, speaker) -> None:
    other = small("grid_lrwp9a.mpg", 20, 8)
    assert cuts_of(speaker[:7] + other[:8] + speaker[7:] + gesture[:6]) == (7, 15, 20)


def test_a_fast_gesture_is_no_cut(gesture) -> None:
    assert cuts_of(gesture) == ()


@pytest.mark.parametrize(
    "flash",
    [[(2.5, 60)], [(1, 200)], [(1.5, 30), (4, 120), (2, 60)], [(0, 0), (0, 0)]],
    ids=["lamp", "white", "3", "black"],
)
def test_a_flash_is_no_cut(gesture, flash: list[tuple[float, float]]) -> None:
    frames = [lit(frame, 1) for frame in gesture[:9]] + [lit(gesture[9], *light) for light in flash] + gesture[9:16]
    assert cuts_of(frames) == ()


def test_light_that_goes_out_and_a_whip_pan_are_no_cuts(gesture) -> None:
    assert cuts_of(gesture[:7] + [lit(frame, 0.4) for frame in gesture[7:14]]) == ()
    places = np.cumsum([0] * 6 + [8, 30, 50, 50, 30, 8] + [0] * 6)
    assert cuts_of([(np.roll(gesture[0][0], int(place), axis=1), None) for place in places]) == ()


def test_a_cut_closer_in_the_same_set_up_is_found(gesture) -> None:
    def closer(frame: Seen) -> Seen:
        height, width = frame[0].shape[:2]
        inside = frame[0][height // 24 : height // 24 + height * 8 // 9, width // 18 : width // 18 + width * 8 // 9]
        return cv2.resize(inside, (width, height)), None

    assert cuts_of(gesture[:8] + [closer(frame) for frame in gesture[8:16]]) == (8,)


def test_a_jump_within_a_set_up_is_found_by_the_face_and_by_nothing_else() -> None:
    frames = []
    with Footage.open(clip("grid_bbaf2n.mpg")) as footage, FaceFinder() as finder:
        for start in (2, 58):  # the same man in the same place, two seconds later
            for rgb in footage.iter(start, start + 5):
                found = finder.follow(rgb)
                assert found is not None
                frames.append((rgb, found[0]))
    assert cuts_of(frames) == (5,)
    assert cuts_of([(rgb, None) for rgb, _ in frames]) == ()


def test_shots_of_a_clip_are_named_in_order() -> None:
    assert shot_ranges(20, (7, 15)) == ((0, 7), (7, 15), (15, 20))
    assert [shot_name("sh", index, 3) for index in range(3)] == ["sh_s01", "sh_s02", "sh_s03"]
    assert shot_name("sh", 0, 1) == "sh" and shot_name("sh", 4, 120) == "sh_s005"
