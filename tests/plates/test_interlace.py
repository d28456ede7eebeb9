# SPDX-License-Identifier: Apache-2.0
"""Interlaced pictures are told by their lines, and the next picture is decoded while this one is looked at."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from dubplate_backend.plates.interlace import CombWatch
from dubplate_backend.plates.read_ahead import PICTURES_AHEAD, read_ahead
from dubplate_shared.errors import FootageError


def moving(count: int, step: int = 3) -> list[np.ndarray]:
    """A scene that slides sideways, with texture of every size."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(96, 400))
    kernel = np.exp(-(np.fft.fftfreq(400)[None] ** 2 + np.fft.fftfreq(96)[:, None] ** 2) * 400)
    scene = np.fft.ifft2(np.fft.fft2(noise) * kernel).real
    scene = np.clip(128 + 60 * scene / scene.std(), 0, 255).astype(np.uint8)
    return [np.repeat(np.roll(scene, step * index, 1)[:, :200, None], 3, axis=2) for index in range(count)]


def woven(one: np.ndarray, other: np.ndarray, first: int) -> np.ndarray:
    """Lines first, first + 2 … of `one` and the others of `other`."""
    picture = other.copy()
    picture[first::2] = one[first::2]
    return picture


def watched(frames: list[np.ndarray], *, stated: bool = False) -> CombWatch:
    watch = CombWatch(stated=stated)
    for frame in frames:
        watch.feed(frame)
    return watch


@pytest.mark.parametrize("first", [0, 1], ids=["even lines first", "odd lines first"])
def test_fields_of_two_moments_are_found_in_either_order(first: int) -> None:
    scene = moving(40)
    tape = [woven(one, other, first) for one, other in zip(scene[::2], scene[1::2], strict=True)]
    watch = watched(tape)
    assert watch.found and watch.certain and watch.progressive == 0


def test_film_with_pulldown_is_found() -> None:
    scene = moving(32)
    tape = []
    for a, b, c, d in zip(*(scene[start::4] for start in range(4)), strict=True):
        tape += [a, b, woven(b, c, 0), woven(c, d, 0), d]
    assert watched(tape).found


@pytest.mark.parametrize("step", [0, 1, 3, 11])
def test_progressive_pictures_are_not_taken_for_interlaced(step: int) -> None:
    watch = watched(moving(20, step))
    assert watch.interlaced == 0 and not watch.found
    assert watch.progressive == (18 if step else 0)
    grain = np.random.default_rng(1)
    noisy = [np.clip(frame + grain.normal(0, 5, frame.shape), 0, 255).astype(np.uint8) for frame in moving(20, step)]
    assert not watched(noisy).found


def test_one_frame_is_enough_where_the_file_says_so_and_none_is_not() -> None:
    scene = moving(40)
    tape = [woven(one, other, 0) for one, other in zip(scene[::2], scene[1::2], strict=True)][:3]
    assert watched(tape, stated=True).found and not watched(tape).found
    assert not watched(moving(20), stated=True).found  # segmented frames: the flag lies


def test_pictures_read_ahead_are_the_same_and_in_order() -> None:
    pictures = [np.full((2, 2, 3), index, np.uint8) for index in range(20)]
    assert [int(picture[0, 0, 0]) for picture in read_ahead(pictures)] == list(range(20))


def test_no_more_is_read_ahead_than_is_needed_and_errors_arrive_in_their_place() -> None:
    read = []

    def pictures():
        for index in range(100):
            if index == 8:
                raise FootageError("frame 8 is damaged")
            read.append(index)
            yield np.full((1, 1, 3), index, np.uint8)

    seen = []
    with pytest.raises(FootageError, match="frame 8"):
        for picture in read_ahead(pictures()):
            assert len(read) <= len(seen) + PICTURES_AHEAD + 2
            seen.append(picture)
    assert len(seen) == 8


def test_a_reader_that_nobody_wants_any_more_ends() -> None:
    before = threading.active_count()
    closed = []

    def pictures():
        try:
            while True:
                yield np.zeros((1, 1, 3), np.uint8)
        finally:
            closed.append(True)

    stream = read_ahead(pictures())
    next(stream)
    stream.close()
    assert closed == [True] and threading.active_count() == before
