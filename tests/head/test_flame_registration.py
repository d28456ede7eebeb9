# SPDX-License-Identifier: Apache-2.0
"""Closest points, similarities and the smooth deformation, on shapes whose answers are known."""

import numpy as np
import pytest

from dubplate_backend.head.registration import Similarity, Surface, align, components, deform, fit_similarity


def sheet(height: float, jaw: float, count: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A flat square of 4 cm facing +z: vertices, faces, jaw shares."""
    x, y = np.meshgrid(np.linspace(-0.02, 0.02, count), np.linspace(-0.02, 0.02, count))
    vertices = np.stack([x.ravel(), y.ravel(), np.full(count * count, height)], 1)
    at = np.arange(count * count).reshape(count, count)
    first = np.stack([at[:-1, :-1], at[:-1, 1:], at[1:, :-1]], -1).reshape(-1, 3)
    second = np.stack([at[:-1, 1:], at[1:, 1:], at[1:, :-1]], -1).reshape(-1, 3)
    return vertices, np.concatenate([first, second]), np.full(count * count, jaw)


def two_lips() -> Surface:
    """Two sheets a hundredth of a millimetre apart: the upper one still, the lower one of the jaw."""
    (upper, faces, still), (lower, _, moving) = sheet(0.0, 0.0), sheet(1e-5, 1.0)
    return Surface(
        np.concatenate([upper, lower]), np.concatenate([faces, faces + len(upper)]), np.append(still, moving)
    )


@pytest.mark.parametrize("jaw", [0.0, 1.0])
def test_where_two_surfaces_touch_the_jaw_tells_them_apart(jaw):
    lips = two_lips()
    points = np.random.default_rng(0).uniform(-0.015, 0.015, (50, 3)) * [1, 1, 1e-3]
    found = lips.closest(points, np.full(50, jaw))
    np.testing.assert_allclose(found.read(lips.faces, lips.jaw), jaw)


def ball(count: int = 24) -> Surface:
    """A slightly uneven ball of 10 cm."""
    polar, around = np.meshgrid(
        np.linspace(0.1, np.pi - 0.1, count), np.arange(count) * 2 * np.pi / count, indexing="ij"
    )
    radius = 0.1 + 0.008 * np.sin(2 * around) * np.sin(polar) + 0.012 * np.cos(3 * polar)
    points = (
        np.stack([np.sin(polar) * np.cos(around), np.cos(polar), np.sin(polar) * np.sin(around)], -1)
        * radius[..., None]
    )
    at = np.arange(count * count).reshape(count, count)
    following = np.roll(at, -1, axis=1)
    first = np.stack([at[:-1], following[:-1], at[1:]], -1).reshape(-1, 3)
    second = np.stack([following[:-1], following[1:], at[1:]], -1).reshape(-1, 3)
    return Surface(points.reshape(-1, 3), np.concatenate([first, second]), np.zeros(count * count))


def test_closest_points_are_those_of_a_search_over_every_triangle():
    surface = ball()
    points = np.random.default_rng(1).normal(size=(60, 3)) * 0.08
    found = surface.closest(points, np.zeros(60))
    np.testing.assert_allclose(found.barycentrics.sum(1), 1.0)
    assert (found.barycentrics >= -1e-12).all()
    on_surface = found.read(surface.faces, surface.vertices)
    np.testing.assert_allclose(np.linalg.norm(on_surface - points, axis=1), found.distances, atol=1e-12)
    # Every triangle, sampled densely: nothing is nearer than what was found, but for the sampling.
    i, j = np.meshgrid(np.arange(21), np.arange(21))
    grid = np.stack([i, j, 20 - i - j], -1)[i + j <= 20] / 20
    samples = (grid @ surface.vertices[surface.faces]).reshape(-1, 3)
    nearest = np.array([np.linalg.norm(samples - point, axis=1).min() for point in points])
    near = nearest < 0.02  # far inside, many triangles are equally far and the nearest centroids decide
    assert near.sum() > 10
    assert (found.distances[near] <= nearest[near] + 1e-9).all()


def test_points_do_not_go_to_a_surface_that_faces_away():
    front, faces, share = sheet(0.0, 0.0)
    back = front + np.array([0, 0, -0.001])
    both = Surface(
        np.concatenate([front, back]), np.concatenate([faces, faces[:, ::-1] + len(front)]), np.tile(share, 2)
    )
    points = np.random.default_rng(2).uniform(-0.01, 0.01, (20, 3)) * [1, 1, 0] + [0, 0, -0.0009]
    normals = np.tile([0.0, 0.0, 1.0], (20, 1))
    found = both.closest(points, np.zeros(20), normals)
    np.testing.assert_allclose(found.read(both.faces, both.vertices)[:, 2], 0.0, atol=1e-12)


def turn(degrees: float) -> np.ndarray:
    s, c = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def test_a_similarity_is_found_again():
    points = np.random.default_rng(3).normal(size=(9, 3))
    true = Similarity(1.3, turn(40), np.array([0.1, -0.2, 0.3]))
    found = fit_similarity(points, true.apply(points))
    np.testing.assert_allclose(found.apply(points), true.apply(points), atol=1e-12)
    assert np.linalg.det(found.rotation) == pytest.approx(1.0)
    np.testing.assert_allclose(true.apply_directions(points), true.apply(points) - true.translation)


def test_closest_points_refine_a_rough_start():
    surface = ball()
    true = Similarity(1.1, turn(8), np.array([0.01, -0.01, 0.005]))
    target = surface.moved(true.apply(surface.vertices))
    start = Similarity(1.0, np.eye(3), np.zeros(3))
    used = np.ones(len(surface.vertices), dtype=bool)
    found = align(surface, used, target, start)
    # Turning about the ball's own axis hardly changes it, so what counts is how close the surfaces come.
    before, after = (
        target.closest(similarity.apply(surface.vertices), surface.jaw).distances.mean()
        for similarity in (start, found)
    )
    assert after < 0.3 * before  # closest points converge slowly from 8 degrees; joints start far nearer
    assert found.scale == pytest.approx(true.scale, rel=0.01)


def test_a_deformation_reaches_the_target_and_anchors_and_takes_idle_parts_along():
    surface = ball()
    bumps = 0.006 * np.exp(-np.square(surface.vertices - [0.1, 0, 0]).sum(1) / 0.07**2)
    target = surface.moved(surface.vertices + bumps[:, None] * surface.vertex_normals())
    used = np.ones(len(surface.vertices), dtype=bool)
    used[:40] = False  # the top follows its neighbours
    anchor = int(bumps.argmax())
    moved = deform(surface, used, target, (np.array([anchor]), target.vertices[[anchor]]))
    before = target.closest(surface.vertices, surface.jaw).distances
    after = target.closest(moved, surface.jaw).distances
    assert after.max() < 0.4 * before.max()
    assert np.linalg.norm(moved[anchor] - target.vertices[anchor]) < 1e-3
    assert np.linalg.norm(moved[:40] - surface.vertices[:40], axis=1).max() < 2e-3


def test_connected_parts_are_numbered_from_the_largest():
    faces = np.array([[5, 6, 7], [0, 1, 2], [1, 2, 3]])
    assert components(faces, 8).tolist()[:4] == [0, 0, 0, 0]
    assert len(set(components(faces, 8)[5:8])) == 1
