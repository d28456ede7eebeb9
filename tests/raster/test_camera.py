# SPDX-License-Identifier: Apache-2.0
"""Head space to pixels: axes, pixel centres, crops."""

import math

import torch

from dubplate_backend.raster.camera import crop_intrinsics, project, to_camera, vertices_to_screen

FRONTAL = torch.tensor([[math.pi, 0.0, 0.0]])


def test_a_frontal_face_stands_upright_with_its_left_on_the_right_of_the_picture():
    points = torch.tensor([[[0.0, 0.0, 0.1], [0.0, 0.1, 0.0], [0.1, 0.0, 0.0]]])  # nose tip, crown, left ear
    camera = to_camera(points, FRONTAL, torch.tensor([[0.0, 0.0, 1.0]]))
    pixels = project(camera, torch.tensor([[1000.0, 1000.0, 320.0, 240.0]]))[0]
    torch.testing.assert_close(camera[0, 0], torch.tensor([0.0, 0.0, 0.9]), atol=1e-6, rtol=0)  # the nose is nearest
    assert pixels[1, 1] < 240 - 90
    assert pixels[2, 0] > 320 + 90


def test_projection_is_the_pinholes():
    points = torch.tensor([[[0.1, -0.2, 2.0]]])
    pixels = project(points, torch.tensor([[800.0, 900.0, 300.0, 200.0]]))
    torch.testing.assert_close(pixels, torch.tensor([[[340.0, 110.0]]]))


def test_a_crop_shows_what_the_crop_matrix_says_rotated_or_not():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn((2, 50, 3), generator=generator) * 0.1 + torch.tensor([0.0, 0.0, 1.0])
    intrinsics = torch.tensor([[1100.0, 1150.0, 320.0, 250.0], [900.0, 900.0, 300.0, 260.0]])
    angle, scale = 0.3, 1 / 260
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]) * scale
    crop = torch.cat([turn, torch.tensor([[-0.4], [-0.2]])], -1).expand(2, 2, 3)
    plate = project(points, intrinsics)  # [2, 50, 2]
    expected = (plate @ crop[..., :2].transpose(-1, -2) + crop[..., None, :, 2]) * 128
    screen = vertices_to_screen(points, intrinsics, crop, 128)
    torch.testing.assert_close(screen[..., :2], expected, atol=1e-3, rtol=1e-5)
    assert torch.equal(screen[..., 2], points[..., 2])
    assert crop_intrinsics(intrinsics, crop, 128).shape == (2, 2, 3)


def test_points_behind_the_camera_stay_finite_with_finite_gradients():
    points = torch.tensor([[[0.1, 0.1, -1.0], [0.1, 0.1, 0.0]]], requires_grad=True)
    screen = vertices_to_screen(points, torch.tensor([[100.0, 100.0, 50.0, 50.0]]), None, None)
    screen.sum().backward()
    assert bool(screen.isfinite().all())
    assert bool(points.grad.isfinite().all())
