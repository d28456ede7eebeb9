# SPDX-License-Identifier: Apache-2.0
"""Invented people: every seed another one, the same seed the same, tracked as well as our tracker tracks."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from dubplate_backend.head.load import load_head
from dubplate_backend.renderers.neural_texture.crops import crop_picture
from dubplate_backend.synthetic import film as film_module
from dubplate_backend.synthetic.film import film
from dubplate_backend.synthetic.identity import invent
from dubplate_backend.synthetic.outline import with_own_outline
from dubplate_backend.synthetic.shot import project_landmarks
from dubplate_backend.synthetic.tracker_error import as_tracked
from dubplate_shared.landmarks import inter_ocular


@pytest.fixture(scope="module")
def head():
    return load_head()


@pytest.fixture(scope="module")
def scene(head):
    return film(invent(3), head, frames=12, crop_size=64)


def test_people_differ_in_all_that_a_camera_sees():
    people = [invent(seed) for seed in range(40)]
    tones = np.array([person.complexion.skin for person in people])[:, 1]
    assert tones.max() > 5 * tones.min(), "pale and dark"
    assert {person.complexion.beard > 0.1 for person in people} == {True, False}
    for what in ("shape", "hair", "light", "lens"):
        assert len({str(getattr(person, what)) for person in people}) == len(people), what
    assert np.std([person.manner.turn_deg[1] for person in people]) > 5


def test_a_seed_is_one_person():
    one, two = asdict(invent(7)), asdict(invent(7))
    assert str(one) == str(two) and str(one) != str(asdict(invent(8)))


def test_a_film_shows_the_face_large_and_the_same_each_time(head, scene):
    first = scene.shot.info.first_frame
    plate = scene.plates(first + 5)
    assert plate.dtype == np.uint8 and plate.shape == (80, 80, 3)
    again = film(invent(3), head, frames=12, crop_size=64)
    assert np.array_equal(again.plates(first + 5), plate)
    assert np.array_equal(again.shot.track.expression, scene.shot.track.expression)
    assert crop_picture(plate, scene.shot.crop[5], 64).std() > 15
    seconds = len(scene.sound[0]) / scene.sound[1]
    assert seconds == pytest.approx(12 / 25, abs=0.05)


def test_a_track_errs_as_much_as_the_tracker_was_measured_to(head, scene):
    """0.7 to 1.2 % of the eye corners' distance, and 0.1 to 0.4 mm of jitter where the head is still."""
    truth = scene.shot.track  # any track: what counts is how far its copy lies from it
    points = project_landmarks(head, truth)
    errors = []
    for seed in range(6):
        erring = project_landmarks(head, as_tracked(truth, seed))
        errors.append(np.linalg.norm(erring - points, axis=-1) / inter_ocular(points)[:, None])
    assert 0.005 < float(np.mean(errors)) < 0.02
    still = replace(truth, **{name: np.repeat(getattr(truth, name)[:1], len(truth), axis=0)
                              for name in ("expression", "jaw", "rotation", "translation")})  # fmt: skip
    shaken = as_tracked(still, 1)
    steps_mm = 1e3 * np.diff(shaken.translation, n=2, axis=0)[:, :2]
    assert 0.1 < float(np.sqrt((steps_mm**2).mean())) < 0.6


def test_a_person_is_filmed_with_an_own_outline(head, scene, monkeypatch):
    frame = scene.shot.info.first_frame + 5
    monkeypatch.setattr(film_module, "with_own_outline", lambda head, seed: head)
    plain = film(invent(3), head, frames=12, crop_size=64)
    assert not np.array_equal(plain.plates(frame), scene.plates(frame))
    assert np.array_equal(plain.shot.track.shape, scene.shot.track.shape)


def test_a_persons_jaw_lies_beside_the_heads_and_the_middle_of_the_face_does_not(head):
    jaw, middle = [172, 397], [33, 263, 1, 61, 291, 152]  # FaceMesh: under the ears; eyes, nose, mouth, chin
    at = head.landmarks(head.template[None])[0]
    moved = [with_own_outline(head, seed) for seed in range(30)]
    beside = np.array([(own.landmarks(own.template[None])[0] - at).numpy() for own in moved])  # [30, 468, 3] m
    sides = 1e3 * beside[:, jaw, 0]
    assert 2.0 < sides.std() < 6.0 and abs(np.corrcoef(sides.T)[0, 1]) < 0.5, "left and right by themselves"
    assert np.abs(1e3 * beside[:, middle]).max() < 0.1
    assert np.array_equal(with_own_outline(head, 4).template, moved[4].template)
