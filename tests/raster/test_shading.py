# SPDX-License-Identifier: Apache-2.0
"""The shaded picture: covered where the mesh is, lit from where the lamp stands, antialiased."""

import torch

from dubplate_backend.raster.shading import Light, Lighting, linear_to_srgb, over, shade, vertex_normals

INTRINSICS = torch.tensor([[220.0, 220.0, 48.0, 48.0]])


def lamp(x: float, y: float, z: float) -> Lighting:
    return Lighting(lamps=(Light((x, y, z), (1.0, 1.0, 1.0)),), sky=(0.0, 0.0, 0.0), ground=(0.0, 0.0, 0.0))


def before_camera(vertices):
    return vertices[None] + torch.tensor([0.0, 0.0, 0.6])


def test_light_from_the_left_lights_the_left_and_light_from_above_the_top(ball):
    for direction, bright, dark in (((-1.0, 0.0, -0.3), (48, 25), (48, 70)), ((0.0, -1.0, -0.3), (25, 48), (70, 48))):
        picture = shade(before_camera(ball[0]), ball[1], INTRINSICS, 96, 96, lighting=lamp(*direction))[0]
        assert picture[bright][0] > picture[dark][0] + 0.2


def test_the_winding_of_faces_does_not_turn_a_surface_dark(ball):
    one = shade(before_camera(ball[0]), ball[1], INTRINSICS, 64, 64)
    other = shade(before_camera(ball[0]), ball[1].flip(-1), INTRINSICS, 64, 64)
    torch.testing.assert_close(one, other, atol=2e-3, rtol=0)


def test_the_rim_is_soft_and_the_background_untouched(ball):
    picture = shade(before_camera(ball[0]), ball[1], INTRINSICS, 96, 96, supersample=4)
    alpha = picture[0, ..., 3]
    assert alpha[48, 48] == 1.0
    assert alpha[0, 0] == 0.0
    assert ((alpha > 0.1) & (alpha < 0.9)).sum() > 40
    background = torch.rand((96, 96, 3), generator=torch.Generator().manual_seed(0))
    laid = over(picture, background)[0]
    assert torch.equal(laid[alpha == 0], background[alpha == 0])
    assert torch.equal(laid[alpha == 1], picture[0, ..., :3][alpha == 1])


def test_vertex_colours_show(ball):
    colours = torch.where(ball[0][:, 1:2] < 0, torch.tensor([0.8, 0.05, 0.05]), torch.tensor([0.05, 0.05, 0.8]))
    picture = shade(before_camera(ball[0]), ball[1], INTRINSICS, 96, 96, colours=colours)[0]
    assert picture[30, 48, 0] > picture[30, 48, 2]
    assert picture[66, 48, 2] > picture[66, 48, 0]


def test_normals_are_unit_and_point_along_the_faces(ball):
    flat = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [5.0, 5.0, 5.0]]])
    normals = vertex_normals(flat, torch.tensor([[0, 1, 2]]))[0]
    torch.testing.assert_close(normals[:3], torch.tensor([[0.0, 0.0, 1.0]]).expand(3, 3))
    assert not bool(normals[3].any())
    torch.testing.assert_close(vertex_normals(ball[0][None], ball[1]).norm(dim=-1), torch.ones(1, len(ball[0])))


def test_srgb_encodes_as_the_standard_says():
    torch.testing.assert_close(
        linear_to_srgb(torch.tensor([0.0, 0.002, 0.21404, 1.0, 2.0])).tolist(),
        [0.0, 0.02584, 0.5, 1.0, 1.0],
        atol=1e-4,
        rtol=0,
    )
