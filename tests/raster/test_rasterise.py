# SPDX-License-Identifier: Apache-2.0
"""The fragments are those of a slow reference, from every backend, whatever the faces and the threads."""

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from reference_rasteriser import reference_fragments
from torch import Tensor

from dubplate_backend.raster.fragments import fragments_from_ids, interpolate
from dubplate_backend.raster.pytorch3d_adapter import to_ndc
from dubplate_backend.raster.rasterise import rasterise

HEIGHT, WIDTH = 120, 160
BACKENDS = [
    "numba",
    "torch",
    pytest.param(
        "pytorch3d", marks=pytest.mark.skipif(find_spec("pytorch3d") is None, reason="PyTorch3D is not installed here")
    ),
]


def soup(count: int = 400, seed: int = 5) -> tuple[Tensor, Tensor]:
    """Triangles of all sizes and depths across and beyond the picture, through one another."""
    random = np.random.default_rng(seed)
    centres = random.uniform((-20, -20), (WIDTH + 20, HEIGHT + 20), (count, 1, 2))
    corners = centres + random.normal(size=(count, 3, 2)) * random.choice([1.5, 6, 25], (count, 1, 1))
    depths = random.uniform(0.2, 2.0, (count, 3, 1))
    screen = torch.from_numpy(np.concatenate([corners, depths], -1)).float().reshape(1, -1, 3)
    return screen, torch.arange(3 * count).view(-1, 3)


Scene = tuple[Tensor, Tensor, list[tuple[np.ndarray, np.ndarray, np.ndarray]]]


@pytest.fixture(scope="module", params=["ball", "soup"])
def scene(request: pytest.FixtureRequest, ball: tuple[Tensor, Tensor], ball_on_screen: Tensor) -> Scene:
    """Screen, faces, and the reference's ids, depths and barycentrics of each picture."""
    screen, faces = (ball_on_screen, ball[1]) if request.param == "ball" else soup()
    return screen, faces, [reference_fragments(view.numpy(), faces.numpy(), HEIGHT, WIDTH) for view in screen]


@pytest.mark.parametrize("backend", BACKENDS)
def test_fragments_are_the_references(scene, backend):
    screen, faces, references = scene
    fragments = rasterise(screen, faces, HEIGHT, WIDTH, backend)
    for image, (ids, zbuf, barycentrics) in enumerate(references):
        same = fragments.pix_to_face[image].numpy() == ids
        assert same.mean() >= 0.9999
        assert (ids >= 0).mean() > 0.2
        np.testing.assert_allclose(fragments.bary_coords[image].numpy()[same], barycentrics[same], atol=1e-5)
        np.testing.assert_allclose(fragments.zbuf[image].numpy()[same], zbuf[same], rtol=1e-5)


def test_numba_and_torch_choose_the_same_face_everywhere(ball, ball_on_screen):
    for screen, faces in ((ball_on_screen, ball[1]), soup(seed=6)):
        numba = rasterise(screen, faces, HEIGHT, WIDTH, "numba").pix_to_face
        assert torch.equal(numba, rasterise(screen, faces, HEIGHT, WIDTH, "torch").pix_to_face)


def test_the_picture_does_not_depend_on_threads(ball, ball_on_screen):
    before = torch.get_num_threads()
    try:
        pictures = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            pictures.append(rasterise(ball_on_screen, ball[1], HEIGHT, WIDTH, "numba").pix_to_face)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(pictures[0], pictures[1])
    assert torch.equal(pictures[0], pictures[2])


def test_several_callers_at_once_get_what_each_gets_alone(ball, ball_on_screen):
    alone = rasterise(ball_on_screen, ball[1], HEIGHT, WIDTH, "numba").pix_to_face
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: rasterise(ball_on_screen, ball[1], HEIGHT, WIDTH, "numba"), range(12)))
    assert all(torch.equal(alone, fragments.pix_to_face) for fragments in together)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_triangle_of_either_winding_covers_the_pixels_whose_centres_it_holds(backend):
    # Holds the centres (0.5, 0.5), (1.5, 0.5) and (0.5, 1.5) and no other.
    screen = torch.tensor([[[0.4, 0.4, 1.0], [2.0, 0.4, 1.0], [0.4, 2.0, 1.0]]])
    expected = torch.tensor([[0, 0, -1, -1], [0, -1, -1, -1], [-1, -1, -1, -1]])
    for faces in ([[0, 1, 2]], [[0, 2, 1]]):
        assert torch.equal(rasterise(screen, torch.tensor(faces), 3, 4, backend).pix_to_face[0], expected)


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_a_fan_leaves_no_gap_between_its_faces_even_through_pixel_centres(backend):
    around = torch.arange(24) * (2 * np.pi / 24)
    rim = torch.stack([32.5 + 60 * around.cos(), 32.5 + 60 * around.sin(), torch.ones(24)], -1)
    screen = torch.cat([torch.tensor([[32.5, 32.5, 1.0]]), rim])[None]
    index = torch.arange(24)
    faces = torch.stack([torch.zeros_like(index), index + 1, (index + 1) % 24 + 1], -1)
    assert bool(rasterise(screen, faces, 65, 65, backend).covered.all())


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_equal_depth_goes_to_the_lower_face_id(backend):
    screen = torch.tensor([[[0.0, 0.0, 1.0], [9.0, 0.0, 1.0], [0.0, 9.0, 1.0]]])
    faces = torch.tensor([[0, 1, 2], [2, 1, 0], [1, 2, 0]])
    ids = rasterise(screen, faces, 8, 8, backend).pix_to_face
    assert set(ids.unique().tolist()) == {-1, 0}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "bad",
    [
        [[1.0, 1.0, 0.5], [5.0, 5.0, 0.5], [9.0, 9.0, 0.5]],  # no area
        [[0.0, 0.0, 0.5], [9.0, 0.0, 0.5], [0.0, 9.0, -0.5]],  # a corner behind the camera
        [[0.0, 0.0, 0.5], [9.0, 0.0, 0.5], [0.0, 9.0, 0.0]],  # a corner on the camera's plane
        [[float("nan"), 0.0, 0.5], [9.0, 0.0, 0.5], [0.0, 9.0, 0.5]],
        [[0.0, 0.0, 0.5], [9.0, 0.0, float("nan")], [0.0, 9.0, 0.5]],
        [[float("inf"), 0.0, 0.5], [9.0, 0.0, 0.5], [0.0, 9.0, 0.5]],
        [[0.0, 0.0, float("inf")], [9.0, 0.0, float("inf")], [0.0, 9.0, float("inf")]],
        [[-90.0, 0.0, 0.5], [-80.0, 0.0, 0.5], [-90.0, 9.0, 0.5]],  # left of the picture
        [[0.0, 900.0, 0.5], [9.0, 900.0, 0.5], [0.0, 909.0, 0.5]],  # below it
    ],
)
def test_a_face_that_cannot_be_drawn_leaves_the_others_alone(backend, bad):
    good = [[1.0, 1.0, 1.0], [7.0, 1.0, 1.0], [1.0, 7.0, 1.0]]
    screen, faces = torch.tensor([bad + good]), torch.tensor([[0, 1, 2], [3, 4, 5]])
    fragments = rasterise(screen, faces, 8, 8, backend)
    alone = rasterise(torch.tensor([good]), torch.tensor([[0, 1, 2]]), 8, 8, backend)
    assert torch.equal(fragments.pix_to_face, torch.where(alone.pix_to_face == 0, 1, -1))
    assert bool(fragments.zbuf.isfinite().all())


@pytest.mark.parametrize("backend", BACKENDS)
def test_faces_of_any_size_are_cut_at_the_pictures_edge(backend):
    screen = torch.tensor([[[-1e6, -1e6, 1.0], [3e6, -1e6, 1.0], [-1e6, 3e6, 1.0]]])
    assert bool(rasterise(screen, torch.tensor([[0, 1, 2]]), 9, 14, backend).covered.all())


def test_a_mesh_without_faces_draws_nothing():
    for backend in ("numba", "torch"):
        fragments = rasterise(torch.zeros(2, 4, 3), torch.zeros((0, 3), dtype=torch.int64), 5, 6, backend)
        assert not bool(fragments.covered.any())
        assert fragments.bary_coords.shape == (2, 5, 6, 3)


def test_attributes_are_read_where_the_ray_meets_the_plane():
    """A tilted plane under perspective: what is interpolated is the 3D point, and the ray through the centre has it."""
    focal, centre = 50.0, 16.0
    plane = torch.tensor([[[-1.0, -1.0, 1.2], [1.0, -1.0, 3.0], [-1.0, 1.0, 2.0], [1.0, 1.0, 3.8]]])
    screen = torch.cat([plane[..., :2] * focal / plane[..., 2:] + centre, plane[..., 2:]], -1)
    faces = torch.tensor([[0, 1, 2], [1, 3, 2]])
    fragments = rasterise(screen, faces, 32, 32)
    points = interpolate(fragments, plane[:, faces])  # [1, H, W, 3]
    pixels = points[..., :2] * focal / points[..., 2:] + centre
    centres = torch.stack(torch.meshgrid(torch.arange(32) + 0.5, torch.arange(32) + 0.5, indexing="xy"), -1)
    covered = fragments.covered
    assert covered.sum() > 300
    torch.testing.assert_close(pixels[covered], centres[None][covered], atol=1e-4, rtol=0)
    torch.testing.assert_close(points[..., 2][covered], fragments.zbuf[covered])


def test_gradients_of_the_fragments_are_the_finite_differences():
    screen, faces = soup(12, seed=2)
    screen = screen.double().requires_grad_()
    ids = rasterise(screen, faces, 30, 40).pix_to_face
    attributes = torch.randn(
        (12, 3, 2), dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()

    def picture(screen: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor]:
        fragments = fragments_from_ids(screen, faces, ids)
        return interpolate(fragments, attributes), fragments.zbuf

    assert (ids >= 0).sum() > 50
    assert torch.autograd.gradcheck(picture, (screen, attributes), eps=1e-6, atol=1e-6, rtol=1e-4, fast_mode=True)


def test_gradients_in_float32_are_those_in_float64(ball, ball_on_screen):
    weights = torch.randn((3, HEIGHT, WIDTH, 3), generator=torch.Generator().manual_seed(1))

    def gradient(screen: Tensor) -> Tensor:
        screen = screen.clone().requires_grad_()
        fragments = rasterise(screen, ball[1], HEIGHT, WIDTH)
        ((fragments.bary_coords * weights.to(screen.dtype)).sum() + fragments.zbuf.sum()).backward()
        return screen.grad

    single, double = gradient(ball_on_screen), gradient(ball_on_screen.double())
    assert (single - double).norm() / double.norm() < 1e-5


def test_interpolation_takes_attributes_for_all_images_or_for_each(ball, ball_on_screen):
    fragments = rasterise(ball_on_screen, ball[1], HEIGHT, WIDTH)
    shared = torch.rand((len(ball[1]), 3, 4), generator=torch.Generator().manual_seed(2))
    same = interpolate(fragments, shared[None].expand(3, -1, -1, -1))
    assert torch.equal(interpolate(fragments, shared), same)
    different = interpolate(fragments, torch.stack([shared, shared + 1, shared + 2]))
    torch.testing.assert_close(different[2], same[2] + 2 * fragments.covered[2][..., None])
    assert not bool(same[~fragments.covered].any())


def test_our_pixel_centres_are_pytorch3ds():
    """PyTorch3D, rasterization_utils.cuh, PixToNonSquareNdc; its rows and columns count from the lower right."""

    def pixel_to_ndc(index: int, size: int, other: int) -> float:
        span = 2.0 * size / other if size > other else 2.0
        return -span / 2 + (span * index + span / 2) / size

    for height, width in ((8, 8), (6, 10), (10, 6)):
        for row, column in ((0, 0), (3, 5), (height - 1, width - 1)):
            ours = to_ndc(torch.tensor([[[column + 0.5, row + 0.5, 1.0]]]), height, width)[0, 0]
            assert ours[0] == pytest.approx(pixel_to_ndc(width - 1 - column, width, height), abs=1e-6)
            assert ours[1] == pytest.approx(pixel_to_ndc(height - 1 - row, height, width), abs=1e-6)


def test_wrong_shapes_and_unknown_backends_are_refused():
    with pytest.raises(ValueError, match=r"\[B, V, 3\]"):
        rasterise(torch.zeros(4, 3), torch.zeros((1, 3), dtype=torch.int64), 4, 4)
    with pytest.raises(ValueError, match="opengl"):
        rasterise(torch.zeros(1, 4, 3), torch.zeros((1, 3), dtype=torch.int64), 4, 4, "opengl")
