# SPDX-License-Identifier: Apache-2.0
"""Faces that are meant among several, that leave and come back, that turn away: who is followed, and how sure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from crowd import crowd, speaker

from dubplate_backend.tracking.face_choice import FaceChoice, SeveralFaces
from dubplate_backend.tracking.faces import FaceFinder, Faces, find_faces
from dubplate_backend.tracking.people import Following
from dubplate_backend.tracking.squares import square_around
from dubplate_shared.errors import FootageError, InvalidInput
from dubplate_shared.progress import never, silent

BEHIND, IN_FRONT = "bbaf2n", "sbia1a"
OFF_CENTRE_PX = 40  # a face lies within this of its bust's middle


@pytest.fixture(scope="module")
def busts() -> dict[str, list[np.ndarray]]:
    return {name: speaker(name, 30) for name in (BEHIND, IN_FRONT)}


def seen(frames: list[np.ndarray], choice: str | None = None) -> Faces:
    parsed = None if choice is None else FaceChoice.parse(choice)
    return find_faces(iter(frames), len(frames), progress=silent, stop=never, choice=parsed, one_shot=True)


def middles(faces: Faces) -> np.ndarray:
    """(T,) x of each frame's face; not a number where there is none."""
    return np.where(faces.seen, faces.landmarks_px[..., 0].mean(axis=1), np.nan)


def pair(busts: dict[str, list[np.ndarray]], scale: float, count: int = 3) -> list[np.ndarray]:
    return crowd([(busts[BEHIND], 1.0, lambda _: 220), (busts[IN_FRONT], scale, lambda _: 640)], count)


def test_two_faces_of_like_size_are_refused_with_a_picture_of_both(busts, tmp_path: Path) -> None:
    with pytest.raises(SeveralFaces, match="2 faces") as caught:
        seen(pair(busts, 0.95))
    assert "--face 0" in caught.value.hint and "--face 1" in caught.value.hint
    shown = caught.value.shown_at(tmp_path / "shot.faces.png")
    assert str(tmp_path / "shot.faces.png") in shown.hint
    picture = cv2.imread(str(tmp_path / "shot.faces.png"))
    plain = pair(busts, 0.95, 1)[0][..., ::-1]
    changed = np.abs(picture.astype(int) - plain).max(-1) > 60
    for x in (200, 640):  # a box and a number around each face, and nothing between them
        assert changed[:, x - 120 : x + 120].sum() > 500
    assert changed[:, 400:480].sum() == 0


@pytest.mark.parametrize("choice, x", [("0", 220), ("1", 640), ("640,170", 640), ("120,80,200,180", 220)])
def test_the_face_that_is_chosen_is_the_one_that_is_tracked(busts, choice: str, x: float) -> None:
    found = seen(pair(busts, 0.95), choice)
    assert np.abs(middles(found) - x).max() < OFF_CENTRE_PX and found.most_faces == 2


def test_a_face_that_is_clearly_bigger_is_taken_without_asking(busts) -> None:
    found = seen(pair(busts, 0.7))
    assert np.abs(middles(found) - 220).max() < OFF_CENTRE_PX and found.most_faces == 2


def test_a_choice_that_names_no_face_is_refused(busts) -> None:
    frames = pair(busts, 0.7)
    with pytest.raises(SeveralFaces, match=r"no face 2.*shows 2"):
        seen(frames, "2")
    with pytest.raises(FootageError, match="No face lies at 430,20"):
        seen(frames, "430,20")
    for text in ("left", "-1", "1,2,3", "1.5", "1,2,0,5", ""):
        with pytest.raises(InvalidInput, match="names no face") as caught:
            FaceChoice.parse(text)
        assert caught.value.hint


@pytest.mark.parametrize("choice, start, step, hidden", [("0", 200, 12, True), ("1", 740, -12, False)])
def test_people_who_cross_are_told_apart(busts, choice: str, start: float, step: float, hidden: bool) -> None:
    people = [(busts[BEHIND], 1.0, lambda i: 200 + 12 * i), (busts[IN_FRONT], 0.9, lambda i: 740 - 12 * i)]
    found = middles(seen(crowd(people, 45), choice))
    true = start + step * np.arange(45)
    assert np.nanmax(np.abs(found - true)) < OFF_CENTRE_PX
    assert np.isfinite(found[:14]).all() and np.isfinite(found[-5:]).all()
    assert np.isnan(found[22:25]).all() if hidden else np.isfinite(found).all()


def test_a_face_that_leaves_has_no_confidence_until_it_comes_back(busts) -> None:
    def walk(index: int) -> float | None:
        x = np.interp(index, [0, 5, 14, 24, 33, 40], [450, 450, 1020, 1020, 450, 450])
        return float(x)

    found = seen(crowd([(busts[BEHIND], 1.0, walk)], 40))
    at = middles(found)
    assert not found.seen[15:24].any() and (found.confidence[15:24] == 0).all()
    assert found.seen[:6].all() and found.seen[34:].all()
    true = np.array([walk(index) for index in range(40)])
    assert np.nanmax(np.abs(at - true)[[*range(6), *range(34, 40)]]) < OFF_CENTRE_PX
    assert (found.landmarks_px[~found.seen] == 0).all()


def test_the_chosen_one_is_found_again_and_not_the_one_who_stayed(busts) -> None:
    def walk(index: int) -> float:
        return float(np.interp(index, [0, 4, 12, 20, 28], [230, 230, -150, -150, 230]))

    found = seen(crowd([(busts[BEHIND], 1.0, walk), (busts[IN_FRONT], 1.0, lambda _: 640)], 32), "0")
    at = middles(found)
    assert not found.seen[12:20].any()
    assert np.isfinite(at[[0, 1, 2, 3, 29, 30, 31]]).all() and np.nanmax(at) < 300


def test_a_search_goes_on_from_its_state_with_the_same_bits(busts) -> None:
    people = [(busts[BEHIND], 1.0, lambda i: 200 + 12 * i), (busts[IN_FRONT], 0.9, lambda i: 740 - 12 * i)]
    frames = crowd(people, 30)
    choice = FaceChoice.parse("0")
    with FaceFinder(choice) as whole:
        every = [whole.follow(rgb) for rgb in frames]
    with FaceFinder(choice) as first:
        before = [first.follow(rgb) for rgb in frames[:17]]
        kept = json.dumps(first.state.to_json())
    with FaceFinder(choice, state=Following.from_json(json.loads(kept))) as second:
        after = [second.follow(rgb) for rgb in frames[17:]]
        assert second.state == whole.state
    for one, other in zip(every, [*before, *after], strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert np.array_equal(one[0], other[0]) and one[1] == other[1]


def test_confidence_falls_with_the_turn_beyond_45_degrees_and_nothing_explodes(head) -> None:
    from dubplate_backend.synthetic.shot import frames, stage
    from dubplate_shared.rotations import axis_angle_from_matrix, matrix_from_axis_angle

    turns_deg = (0, 40, 60, 75, 90)
    scene = stage(seconds=len(turns_deg) / 25, size=320, seed=3, head=head)
    ahead = matrix_from_axis_angle(scene.track.rotation[:1].astype(float))[0]
    turned = [ahead @ matrix_from_axis_angle(np.array([0.0, np.radians(turn), 0.0])) for turn in turns_deg]
    still = np.repeat(scene.track.translation[:1], len(turns_deg), axis=0)
    track = replace(
        scene.track, rotation=axis_angle_from_matrix(np.stack(turned)).astype(np.float32), translation=still
    )
    found = seen(list(frames(replace(scene, track=track), texture_size=256)))
    ahead_sure, three_quarter, past, profile, side = found.confidence
    assert ahead_sure > 0.8 and three_quarter > 0.7
    assert past < 0.6 * three_quarter and profile < 0.3 and side < 0.2
    inside = found.landmarks_px[found.seen]
    assert (inside > -160).all() and (inside < 480).all()


def test_confidence_falls_with_motion_blur(busts) -> None:
    sharp = crowd([(busts[BEHIND], 1.0, lambda _: 450)], 4)
    blurred = [*sharp[:2], *(cv2.blur(rgb, (45, 1)) for rgb in sharp[2:])]
    found = seen(blurred)
    assert found.confidence[2:].max() < 0.75 * found.confidence[:2].min()


def test_a_face_is_as_its_square_says(busts) -> None:
    found = seen(pair(busts, 0.7, 1))
    square = square_around(found.landmarks_px[0])
    assert square.holds(*found.landmarks_px[0, 1]) and not square.holds(640, 170)
