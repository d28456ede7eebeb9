# SPDX-License-Identifier: Apache-2.0
"""The background test keeps the plate where both frames show background, and never inside a face."""

import numpy as np
import pytest

from dubplate_backend.compositing.background import SelfieSegmenter, foreground, hold_matte, person_in_box
from dubplate_backend.raster.crop_warp import Box, crop_box
from footage import clip

BOX = Box(0, 0, 200, 200)
MATRIX = np.array([[1 / 200, 0, 0], [0, 1 / 200, 0]])


def disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:200, :200] + 0.5
    return np.hypot(columns - x, rows - y) < radius


def test_what_either_frame_calls_face_is_never_held():
    filmed, drawn = disc(100, 110, 60), disc(100, 90, 60)  # the chin was lower than it is now
    hold = hold_matte(filmed, drawn, BOX, MATRIX, 200, 200)
    assert hold[filmed | drawn].max() == 0
    assert hold[2, 2] == 1 and hold[100, 5] == 1


def test_the_hold_rises_inside_the_background_without_a_step():
    hold = hold_matte(disc(100, 100, 50), disc(100, 100, 50), BOX, MATRIX, 200, 200)
    assert np.abs(np.diff(hold, axis=1)).max() < 0.35
    assert ((hold > 0.05) & (hold < 0.95)).sum() > 300


def test_person_counts_only_near_the_head_and_the_oval_always():
    person = np.ones((200, 200), bool)
    person[:, :100] = False
    head, oval = disc(130, 100, 40), disc(90, 100, 15)
    face = foreground(person, head, oval, MATRIX)
    assert face[100, 130] and face[100, 172]  # head, and the beard's width beyond it
    assert not face[100, 195] and not face[20, 190]  # a person, but no head: the shoulder
    assert face[100, 85]  # the oval, though the segmentation misses it
    assert not face[100, 60]


@pytest.fixture(scope="module")
def man() -> np.ndarray:
    """[1920, 1080, 3] float 0..1."""
    from dubplate_backend.plates.footage import Footage

    with Footage.open(clip("kitchen_man_25fps.mp4")) as footage:
        return footage.frame(0).astype(np.float32) / 255


FACE = np.array([[1 / 420, 0, -330 / 420], [0, 1 / 420, -270 / 420]])  # 420 px around his face in frame 0


def test_the_man_is_told_from_his_kitchen_around_a_face_crop(man):
    segmenter = SelfieSegmenter()
    box = crop_box(FACE, *man.shape[:2])
    person = person_in_box(segmenter, man, FACE, box)
    segmenter.close()
    assert person.shape == (box.height, box.width)
    assert person[500 - box.top, 535 - box.left] and person[640 - box.top, 540 - box.left]  # nose, neck
    assert not person[300 - box.top, 345 - box.left] and not person[600 - box.top, 740 - box.left]  # tiles


def test_a_frames_answer_does_not_depend_on_the_frames_before_it(man):
    box = crop_box(FACE, *man.shape[:2])
    first, second = SelfieSegmenter(), SelfieSegmenter()
    alone = person_in_box(first, man, FACE, box)
    for other in (man[::-1].copy(), np.zeros_like(man), np.roll(man, 200, axis=1)):
        person_in_box(second, other, FACE, box)
    after = person_in_box(second, man, FACE, box)
    first.close()
    second.close()
    assert np.array_equal(alone, after)
